"""Functions as tasks: what they get, what comes back, and the names of what goes wrong."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from treadle.errors import StatesError
from treadle.functions import FunctionBusy, FunctionNotFound, InProcessFunctions, Invoked
from treadle.integrations.lambda_ import LambdaIntegration, called, function_name
from treadle.runtime.ports import Call

DIRECT = "arn:aws:lambda:us-east-1:123456789012:function:f"
INVOKE = "arn:aws:states:::lambda:invoke"


class Boom(Exception):
    pass


def fails(event: Any, context: Any) -> Any:
    raise Boom("it failed")


def call_of(resource: str, arguments: Any) -> Call:
    return Call("arn:aws:states:us-east-1:123456789012:execution:m:e", 3, resource, arguments, None, None, 0, "key")


def ask(resource: str, arguments: Any, functions: Any = None) -> Any:
    functions = functions or InProcessFunctions({"f": lambda event, context: {"got": event}, "fails": fails})
    return asyncio.run(LambdaIntegration(functions).call(call_of(resource, arguments)))


class Answering:
    """Functions that all give the same."""

    names = staticmethod(lambda: ("f",))

    def __init__(self, outcome: Invoked | Exception) -> None:
        self.outcome = outcome
        self.payloads: list[bytes] = []

    async def invoke(self, name: str, payload: bytes, **options: Any) -> Invoked:
        self.payloads.append(payload)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def invoked(payload: bytes, error: str | None = None) -> Answering:
    return Answering(Invoked(payload, error, "", "request-1", "$LATEST", 0.1))


def test_a_function_gets_the_input_and_gives_the_output() -> None:
    assert ask(DIRECT, {"n": 2**70, "ü": [None, 1.5]}) == {"got": {"n": 2**70, "ü": [None, 1.5]}}


def test_the_optimised_integration_gives_the_parsed_payload_and_what_the_sdk_tells() -> None:
    answer = ask(INVOKE, {"FunctionName": DIRECT, "Payload": {"n": 1}})
    assert answer["Payload"] == {"got": {"n": 1}}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["SdkHttpMetadata"]["HttpHeaders"]["x-amzn-RequestId"] == answer["SdkResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(("kind", "status"), [("RequestResponse", 200), ("Event", 202), ("DryRun", 204)])
def test_each_kind_of_invocation_has_its_status(kind: str, status: int) -> None:
    answer = ask(INVOKE, {"FunctionName": "f", "InvocationType": kind})
    assert answer["StatusCode"] == answer["SdkHttpMetadata"]["HttpStatusCode"] == status
    assert (answer["Payload"] == "") == (kind != "RequestResponse")


@pytest.mark.parametrize("given", [{}, {"Payload": None}])
def test_without_a_payload_the_function_gets_an_empty_object(given: Any) -> None:
    assert ask(INVOKE, {"FunctionName": "f", **given})["Payload"] == {"got": {}}


def test_a_dry_run_calls_nothing() -> None:
    functions = Answering(AssertionError("called"))
    assert ask(INVOKE, {"FunctionName": "f", "InvocationType": "DryRun"}, functions)["StatusCode"] == 204
    with pytest.raises(StatesError, match="ResourceNotFoundException"):
        ask(INVOKE, {"FunctionName": "g", "InvocationType": "DryRun"}, functions)


def test_the_log_comes_where_it_is_wanted() -> None:
    assert "LogResult" not in ask(INVOKE, {"FunctionName": "f"})
    answer = ask(INVOKE, {"FunctionName": "f", "LogType": "Tail"})
    assert b"START RequestId" in base64.b64decode(answer["LogResult"])


@pytest.mark.parametrize(
    ("arguments", "name", "words"),
    [
        ({"Payload": {}}, "States.Runtime", "'FunctionName' is required"),
        ({"FunctionName": 7}, "States.Runtime", "'FunctionName' must be a string"),
        ({"FunctionName": "f", "InvocationType": "Later"}, "States.Runtime", "'InvocationType' must be one of"),
        ({"FunctionName": "f:1", "Qualifier": "2"}, "Lambda.InvalidParameterValueException", "derived qualifier"),
        ({"FunctionName": "f", "ClientContext": "?"}, "Lambda.InvalidRequestContentException", "Base64"),
        (
            {"FunctionName": "g:live"},
            "Lambda.ResourceNotFoundException",
            "Function not found: arn:aws:lambda:us-east-1:123456789012:function:g:live (Service: AWSLambda; ",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: Any, name: str, words: str) -> None:
    with pytest.raises(StatesError) as failed:
        ask(INVOKE, arguments)
    assert failed.value.name == name and words in (failed.value.cause or "")


@pytest.mark.parametrize(
    ("named", "qualifier", "arn"),
    [
        ("f", None, DIRECT),
        ("f:1", "1", DIRECT),
        ("999999999999:function:f", None, DIRECT.replace("123456789012", "999999999999")),
        ("999999999999:function:f:live", "live", DIRECT.replace("123456789012", "999999999999")),
        (DIRECT, None, DIRECT),
        (f"{DIRECT}:$LATEST", "$LATEST", DIRECT),
        ("function:f", None, DIRECT),
    ],
)
def test_a_function_may_be_named_in_all_of_lambdas_ways(named: str, qualifier: str | None, arn: str) -> None:
    assert called(named, None, call_of(INVOKE, {})) == (arn, qualifier)


@pytest.mark.parametrize("resource", [f"{DIRECT}ails", INVOKE])
def test_what_a_function_raises_is_named_by_its_type(resource: str) -> None:
    with pytest.raises(StatesError) as failed:
        ask(resource, {"FunctionName": "fails"} if resource == INVOKE else {})
    assert failed.value.name == "Boom" and '"errorMessage"' in (failed.value.cause or "")


@pytest.mark.parametrize(
    ("given", "sent"),
    [('"text"', b'"text"'), ('{"n": 1}', b'{"n": 1}'), ("7", b"7"), ("text", b'"text"'), ("", b'""'), ("[1", b'"[1"')],
)
def test_a_text_that_is_json_is_the_payload_itself(given: str, sent: bytes) -> None:
    functions = Answering(Invoked(b"1", None, "", "request-1", "$LATEST", 0.1))
    ask(INVOKE, {"FunctionName": DIRECT, "Payload": given}, functions)
    assert functions.payloads == [sent]


@pytest.mark.parametrize("payload", [b"not json", b"[1]", b'{"errorType": 7}', b'{"other": 1}', b""])
def test_an_error_without_a_type_is_unknown(payload: bytes) -> None:
    with pytest.raises(StatesError) as failed:
        ask(DIRECT, {}, invoked(payload, "Unhandled"))
    assert failed.value.name == "Lambda.Unknown"


def test_a_result_that_is_no_json_is_a_failure_and_an_empty_one_is_null() -> None:
    with pytest.raises(StatesError) as failed:
        ask(DIRECT, {}, invoked(b"<html>"))
    assert failed.value.name == "Lambda.Unknown" and "<html>" in (failed.value.cause or "")
    assert ask(DIRECT, {}, invoked(b"")) is None


@pytest.mark.parametrize(
    ("raised", "name"),
    [
        (FunctionNotFound("f"), "Lambda.ResourceNotFoundException"),
        (FunctionBusy("f"), "Lambda.TooManyRequestsException"),
    ],
)
def test_what_lambda_itself_refuses_has_the_names_of_the_sdk(raised: Exception, name: str) -> None:
    with pytest.raises(StatesError) as failed:
        ask(DIRECT, {}, Answering(raised))
    assert failed.value.name == name and "Service: AWSLambda; Status Code: 4" in (failed.value.cause or "")


@pytest.mark.parametrize("named", ["f", "f:1", "f:$LATEST", DIRECT, f"{DIRECT}:live", "123456789012:function:f"])
def test_a_function_is_found_by_any_form_of_its_name(named: str) -> None:
    assert function_name(named) == "f"


def test_a_call_that_was_under_way_may_be_made_again() -> None:
    assert LambdaIntegration(InProcessFunctions({})).redelivery == "again"

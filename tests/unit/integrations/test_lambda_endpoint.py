"""Functions of elsewhere: what goes over the wire to Lambda's Invoke, and what becomes of each answer."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from http_answers import Answers
from treadle.errors import StatesError
from treadle.functions import InProcessFunctions
from treadle.functions.contract import RESPONSE_LIMIT
from treadle.integrations.lambda_ import LambdaIntegration
from treadle.integrations.lambda_endpoint import LambdaEndpoint
from treadle.runtime.ports import Call

DIRECT = "arn:aws:lambda:eu-west-1:123456789012:function:f"
INVOKE = "arn:aws:states:::lambda:invoke"
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:m:e"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")


def answering(body: bytes | str, status: int = 200, **headers: str) -> Answers:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        named = {"x-amzn-RequestId": "request-1", **{key.replace("_", "-"): value for key, value in headers.items()}}
        return web.Response(body=body, status=status, headers=named)

    return Answers(answer)


def task(resource: str, arguments: Any) -> Call:
    return Call(EXECUTION, 3, resource, arguments, None, None, 0, "key")


def ask(server: Answers, resource: str, arguments: Any, functions: Any = None, **options: Any) -> Any:
    async def asked() -> Any:
        async with server.running(), LambdaEndpoint(server.url, **options) as endpoint:
            return await LambdaIntegration(functions, endpoint).call(task(resource, arguments))

    return asyncio.run(asked())


def failure(server: Answers, resource: str = DIRECT, arguments: Any = None, **options: Any) -> StatesError:
    with pytest.raises(StatesError) as failed:
        ask(server, resource, arguments or {}, **options)
    return failed.value


def test_a_function_of_elsewhere_gets_the_input_and_gives_the_output() -> None:
    server = answering(b'{"n": 1180591620717411303424}')
    assert ask(server, DIRECT, {"a": "ü"}) == {"n": 2**70}
    assert server.seen[0].body == '{"a":"ü"}'.encode()
    assert server.seen[0].path == (
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Af/invocations"
    )


def test_all_that_a_task_may_say_reaches_lambda() -> None:
    server = answering(b"7", X_Amz_Executed_Version="3", X_Amz_Log_Result="bG9n")
    context = base64.b64encode(b'{"custom": {}}').decode()
    answer = ask(
        server,
        INVOKE,
        {
            "FunctionName": "f",
            "Qualifier": "$LATEST",
            "Payload": "text",
            "InvocationType": "RequestResponse",
            "LogType": "Tail",
            "ClientContext": context,
        },
    )
    (sent,) = server.seen
    assert sent.body == b'"text"' and sent.path.endswith("/invocations?Qualifier=%24LATEST")
    assert sent.headers["X-Amz-Log-Type"] == "Tail"
    assert sent.headers["X-Amz-Client-Context"] == context
    assert (answer["Payload"], answer["LogResult"], answer["ExecutedVersion"]) == (7, "bG9n", "3")
    assert answer["SdkResponseMetadata"] == {"RequestId": "request-1"}
    assert answer["SdkHttpMetadata"]["AllHttpHeaders"]["X-Amz-Executed-Version"] == ["3"]


def test_a_request_is_signed_as_it_is_sent() -> None:
    server = answering(b"1")
    ask(server, INVOKE, {"FunctionName": f"{DIRECT}:live", "Payload": {}})
    (sent,) = server.seen
    told = dict(each.strip().split("=", 1) for each in sent.headers["Authorization"].partition(" ")[2].split(","))
    signed = {name: sent.headers[name] for name in map(str.title, told["SignedHeaders"].split(";")) if name != "Host"}
    request = AWSRequest("POST", server.url + sent.path, signed, sent.body)
    request.context["timestamp"] = sent.headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "lambda", "eu-west-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert signer.signature(text, request) == told["Signature"]
    assert "/eu-west-1/lambda/aws4_request" in told["Credential"]


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"])
def test_the_endpoint_is_the_one_of_the_sdks(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked() -> Any:
        async with server.running():
            monkeypatch.setenv(variable, server.url)
            if variable == "AWS_ENDPOINT_URL_LAMBDA":
                monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            async with LambdaEndpoint() as endpoint:
                return await LambdaIntegration(None, endpoint).call(task(DIRECT, 1))

    server = answering(b"5")
    assert asyncio.run(asked()) == 5


def test_functions_of_this_machine_come_first() -> None:
    server = answering(b'"elsewhere"')
    functions = InProcessFunctions({"f": lambda event, context: "here"})
    assert ask(server, DIRECT, {}, functions) == "here"
    assert ask(server, f"{DIRECT}ar", {}, functions) == "elsewhere"
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("server", "name", "cause"),
    [
        (
            answering(b'{"Type":"User","Message":"Rate Exceeded."}', 429, x_amzn_ErrorType="TooManyRequestsException"),
            "Lambda.TooManyRequestsException",
            "Rate Exceeded. (Service: AWSLambda; Status Code: 429; Error Code: TooManyRequestsException; "
            "Request ID: request-1; Proxy: null)",
        ),
        (
            answering(b'{"Message":"Function not found: x"}', 404, x_amzn_ErrorType="ResourceNotFoundException:http:"),
            "Lambda.ResourceNotFoundException",
            f"Function not found: {DIRECT}:$LATEST (Service: AWSLambda; Status Code: 404; "
            "Error Code: ResourceNotFoundException; Request ID: request-1; Proxy: null)",
        ),
        (
            answering(b'{"__type":"com.amazonaws#ServiceException","message":"broken"}', 500),
            "Lambda.ServiceException",
            "broken (Service: AWSLambda; Status Code: 500; Error Code: ServiceException; Request ID: request-1; "
            "Proxy: null)",
        ),
        (
            answering(b'{"Message":"no rights"}', 403, x_amzn_ErrorType="AccessDeniedException"),
            "Lambda.AWSLambdaException",
            "no rights (Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException; "
            "Request ID: request-1; Proxy: null)",
        ),
        (
            answering(b"<html>", 503),
            "Lambda.AWSLambdaException",
            "null (Service: AWSLambda; Status Code: 503; Error Code: null; Request ID: request-1; Proxy: null)",
        ),
        (answering(b"", 307, Location="http://127.0.0.1:9/"), "Lambda.AWSLambdaException", "Status Code: 307"),
    ],
    ids=["throttled", "unknown", "broken", "no-rights", "no-aws", "redirect"],
)
def test_what_lambda_refuses_has_its_name_and_the_words_of_the_sdk(server: Answers, name: str, cause: str) -> None:
    failed = failure(server)
    assert failed.name == name and cause in (failed.cause or "")


@pytest.mark.parametrize("resource", [DIRECT, INVOKE])
def test_what_a_function_raised_is_the_error_with_its_payload_as_the_cause(resource: str) -> None:
    payload = '{"errorMessage": "no", "errorType": "Declined", "stackTrace": []}'
    failed = failure(answering(payload, X_Amz_Function_Error="Unhandled"), resource, {"FunctionName": "f"})
    told = payload if resource == DIRECT else json.dumps(json.loads(payload), separators=(",", ":"))
    assert (failed.name, failed.cause) == ("Declined", told)


def test_an_error_without_a_type_is_unknown_and_shows_what_came() -> None:
    failed = failure(answering(b'{"errorMessage":"x"}', X_Amz_Function_Error="Unhandled"))
    assert failed.name == "Lambda.Unknown"
    assert failed.cause == (
        "The cause could not be determined because Lambda did not return an error type. "
        'Returned payload: {"errorMessage":"x"}'
    )


def test_an_answer_without_end_is_cut_off() -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * (RESPONSE_LIMIT // 4))

    assert failure(Answers(endless)).name == "States.DataLimitExceeded"


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    async def never(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    assert failure(Answers(never), longest=0.2).name == "Lambda.ClientExecutionTimeoutException"


@pytest.mark.parametrize(("url", "answered"), [("", True), ("http://lambda.example", False)])
def test_only_this_machine_is_asked_without_credentials(
    url: str, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    async def asked() -> Any:
        async with server.running(), LambdaEndpoint(url or server.url) as endpoint:
            return await LambdaIntegration(None, endpoint).call(task(DIRECT, {}))

    server = answering(b"1")
    if answered:
        assert asyncio.run(asked()) == 1
    else:
        with pytest.raises(StatesError, match="credentials"):
            asyncio.run(asked())


def test_credentials_that_cannot_be_found_are_the_clients_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, program = tmp_path / "config", tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o700)
    config.write_text(f"[default]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    failed = failure(answering(b"1"))
    assert failed.name == "Lambda.SdkClientException" and "custom-process" in (failed.cause or "")


def test_who_waits_for_a_turn_loses_no_time() -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response(body=b"1")

    async def asked() -> list[Any]:
        async with server.running(), LambdaEndpoint(server.url, longest=1.0, at_once=1) as endpoint:
            invoke = LambdaIntegration(None, endpoint).call
            return await asyncio.gather(*(invoke(task(DIRECT, {})) for _ in range(5)))

    server = Answers(slow)
    assert asyncio.run(asked()) == [1] * 5


def test_an_event_is_acknowledged_with_nothing_but_its_status() -> None:
    server = answering(b"", 202)
    answer = ask(server, INVOKE, {"FunctionName": "f", "InvocationType": "Event"})
    assert (answer["StatusCode"], answer["Payload"]) == (202, "")
    assert "ExecutedVersion" not in answer

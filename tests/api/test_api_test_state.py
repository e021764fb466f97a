"""TestState over HTTP: a state is tried by itself, its task really called or mocked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_serving import ROLE, Served
from botocore.exceptions import ClientError

CHOICE = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "One"}], "Default": "Other"}
INVOKE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "f"},
    "End": True,
}
WAITS = {**INVOKE, "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken"}
INSIDE = {"StartAt": "In", "States": {"In": {"Type": "Pass", "End": True}}}
BESIDE = {"StartAt": "Beside", "States": {"Beside": {"Type": "Pass", "End": True}}}
PARALLEL = {"Type": "Parallel", "Branches": [INSIDE, BESIDE], "End": True}
MAP = {"Type": "Map", "ItemProcessor": INSIDE, "End": True}
MACHINE = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {**MAP, "ItemProcessor": INSIDE}}}
FAILS = {"errorOutput": {"error": "Boom", "cause": "why"}}


def tried(states: Any, definition: Any, input: Any = None, **given: Any) -> Any:
    options = {name: value if name != "input" else json.dumps(value) for name, value in given.items()}
    if input is not None:
        options["input"] = json.dumps(input)
    answer = states.test_state(definition=json.dumps(definition), **options)
    del answer["ResponseMetadata"]
    return answer


def refused(states: Any, definition: Any, **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        tried(states, definition, **given)
    told = raised.value.response["Error"]
    return told["Code"], told["Message"]


def test_a_state_alone_tells_its_output_and_where_it_leads(states: Any) -> None:
    assert tried(states, CHOICE, {"n": 1}) == {"status": "SUCCEEDED", "output": '{"n": 1}', "nextState": "One"}
    assert tried(states, CHOICE, {"n": 2})["nextState"] == "Other"


def test_the_inspection_tells_of_every_step(states: Any) -> None:
    definition = {"Type": "Pass", "InputPath": "$.a", "ResultPath": "$.r", "End": True}
    data = tried(states, definition, {"a": 1}, inspectionLevel="DEBUG")["inspectionData"]
    assert {name: json.loads(text) for name, text in data.items()} == {
        "input": {"a": 1},
        "afterInputPath": 1,
        "afterParameters": 1,
        "afterResultSelector": 1,
        "afterResultPath": {"a": 1, "r": 1},
    }


def test_a_state_of_a_machine_is_found_by_its_name_also_inside_a_map(states: Any) -> None:
    assert tried(states, MACHINE, 5, stateName="A")["nextState"] == "B"
    assert tried(states, MACHINE, 5, stateName="In")["output"] == "5"
    assert refused(states, MACHINE, stateName="C") == ("ValidationException", "State not found in definition")


def test_a_mocked_failure_is_retried_or_caught(states: Any) -> None:
    retried = {**INVOKE, "Retry": [{"ErrorEquals": ["Boom"], "IntervalSeconds": 2, "MaxAttempts": 3}]}
    answer = tried(
        states, retried, {}, mock=FAILS, stateConfiguration={"retrierRetryCount": 2}, inspectionLevel="DEBUG"
    )
    assert (answer["status"], answer["error"], answer["cause"]) == ("RETRIABLE", "Boom", "why")
    assert answer["inspectionData"]["errorDetails"] == {"retryIndex": 0, "retryBackoffIntervalSeconds": 8}
    caught = {**INVOKE, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Handler"}]}
    answer = tried(states, caught, {}, mock=FAILS)
    assert (answer["status"], answer["nextState"]) == ("CAUGHT_ERROR", "Handler")
    assert json.loads(answer["output"]) == {"Error": "Boom", "Cause": "why"}


def test_variables_are_seen_and_told(states: Any) -> None:
    definition = {"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"n": "{% $n + 1 %}"}, "End": True}
    answer = tried(states, definition, {}, variables='{"n": 1}', inspectionLevel="DEBUG")
    assert json.loads(answer["inspectionData"]["variables"]) == {"n": 2}


def test_a_task_without_a_mock_is_really_called(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("try")
    (place / "functions").mkdir()
    (place / "functions" / "f.py").write_text("def handler(event, context): return {'got': event}\n")
    served = Served(place / "data", "--functions", str(place / "functions"))
    try:
        answer = tried(served.client(), INVOKE, {}, roleArn=ROLE, inspectionLevel="DEBUG")
        assert answer["status"] == "SUCCEEDED"
        assert json.loads(answer["inspectionData"]["result"])["Payload"] == {"got": {}}
    finally:
        assert served.stop() == 0


@pytest.mark.parametrize(
    ("definition", "given", "code", "words"),
    [
        (INVOKE, {}, "ValidationException", "RoleArn must be specified when testing a Task state"),
        (WAITS, {"roleArn": ROLE}, "InvalidDefinition", "mock"),
        (PARALLEL, {}, "InvalidDefinition", "does not support Map or Parallel states"),
        (MAP, {"mock": {"result": "{}"}}, "ValidationException", "Mocked result must be an array."),
        (PARALLEL, {"mock": {"result": "[1]"}}, "ValidationException", "same number of items"),
        (CHOICE, {"mock": {"result": "1"}}, "ValidationException", "State type 'Choice' is not supported"),
        (INVOKE, {"mock": {"result": "{"}}, "ValidationException", "Mocked result must be valid JSON"),
        (INVOKE, {"mock": {**FAILS, "result": "1"}}, "ValidationException", "only one of the following fields"),
        (INVOKE, {"mock": {"result": '{"StatusCode": "1"}'}}, "ValidationException", "Mock result schema validation"),
        (INVOKE, {"mock": FAILS, "revealSecrets": True}, "ValidationException", "RevealSecrets"),
        (INVOKE, {"mock": FAILS, "context": '{"Map": {}}'}, "ValidationException", "'Map' field is not supported"),
        (INVOKE, {"mock": FAILS, "variables": "[]"}, "ValidationException", "Variables must be"),
        (
            MAP,
            {"mock": {"result": "[]"}, "input": [1], "stateConfiguration": {"mapIterationFailureCount": 2}},
            "ValidationException",
            "Map iteration failure count must be less than or equal",
        ),
        ({"Type": "Nothing", "End": True}, {}, "InvalidDefinition", "SCHEMA_VALIDATION_FAILED"),
    ],
)
def test_what_cannot_be_tried_is_refused(states: Any, definition: Any, given: Any, code: str, words: str) -> None:
    told = refused(states, definition, **given)
    assert told[0] == code and words in told[1]

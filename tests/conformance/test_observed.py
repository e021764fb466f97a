"""What the recorded cases taught and no specification says, in workflows of our own: these need no recorded case."""

from __future__ import annotations

import json
from typing import Any

import pytest

from treadle.testing import Fails, Never, World, run

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"


def machine(*states: dict[str, Any]) -> dict[str, Any]:
    """States S0, S1 ... one after the other."""
    last = len(states) - 1
    following = [{"End": True} if index == last else {"Next": f"S{index + 1}"} for index in range(len(states))]
    return {
        "StartAt": "S0",
        "States": {
            f"S{index}": state if state["Type"] in ("Fail", "Succeed") else state | following[index]
            for index, state in enumerate(states)
        },
    }


def mapped(**fields: Any) -> dict[str, Any]:
    """A Map over `$.items` that does nothing to them."""
    processor = machine({"Type": "Pass"})
    if any(name.startswith("Tolerated") for name in fields):
        processor["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    inner = {"Inner": processor["States"]["S0"]}
    return {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": processor | {"StartAt": "Inner", "States": inner},
    } | fields


@pytest.mark.parametrize(
    "task",
    [
        {"Resource": LAMBDA, "TimeoutSeconds": 5},
        {"Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "TimeoutSeconds": 5},
        {"Resource": "arn:aws:states:us-east-1:123456789012:activity:a", "TimeoutSeconds": 5},
    ],
)
def test_a_timeout_is_caught_with_an_empty_cause(task: dict[str, Any]) -> None:
    task = {"Type": "Task", "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "S1"}], **task}
    assert run(machine(task, {"Type": "Pass"}), tasks={"S0": Never()}).output == {
        "Error": "States.Timeout",
        "Cause": "",
    }


def test_an_uncaught_timeout_has_no_cause() -> None:
    ended = run(machine({"Type": "Task", "Resource": LAMBDA, "TimeoutSeconds": 5}), tasks={"S0": Never()})
    assert ended.history[-1]["executionFailedEventDetails"] == {"error": "States.Timeout"}


def test_an_error_without_a_cause_is_caught_with_an_empty_one_in_jsonata_too() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "S1", "Output": "{% $states.errorOutput %}"}]
    definition = machine({"Type": "Task", "Resource": LAMBDA, "Catch": catch}, {"Type": "Pass"})
    assert run(definition | {"QueryLanguage": "JSONata"}, tasks={"S0": Fails("Boom")}).output == {
        "Error": "Boom",
        "Cause": "",
    }


@pytest.mark.parametrize("name", ["MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage"])
@pytest.mark.parametrize("value", [1, "1"])
def test_a_number_of_a_map_may_be_given_as_text(name: str, value: Any) -> None:
    ended = run(machine(mapped(**{f"{name}Path": "$.n"})), {"items": [1, 2], "n": value})
    assert ended.output == [1, 2]


@pytest.mark.parametrize(
    ("name", "noun", "value", "shown"),
    [
        ("MaxConcurrency", "integer", "1.0", "1.0"),
        ("MaxConcurrency", "integer", "1_0", "1_0"),
        ("MaxConcurrency", "integer", 1.5, "1.5"),
        ("MaxConcurrency", "integer", True, "true"),
        ("MaxConcurrency", "integer", None, "null"),
        ("MaxConcurrency", "integer", "-1", "-1"),
        ("ToleratedFailureCount", "integer", {"a": 1}, '{"a":1}'),
        ("ToleratedFailurePercentage", "float", "nan", "nan"),
        ("ToleratedFailurePercentage", "float", [], "[]"),
    ],
)
def test_what_is_no_number_is_told(name: str, noun: str, value: Any, shown: str) -> None:
    ended = run(machine(mapped(**{f"{name}Path": "$.n"})), {"items": [1], "n": value})
    complaint = f'The {name}Path field refers to value "{shown}" which is not a valid {noun}: $.n'
    assert (ended.error, ended.cause) == (
        "States.Runtime",
        f"An error occurred while executing the state 'S0' (entered at the event id #2). {complaint}",
    )


@pytest.mark.parametrize(
    ("text", "first"),
    [("[1, 2.50]", "[1, 2.50]"), ("[1,2.5]", "[1,2.5]"), ('{"a" : 1e2}', '{"a" : 1e2}')],
)
def test_the_input_is_shown_as_it_was_written(text: str, first: str) -> None:
    world = World()
    started = world.start(machine({"Type": "Pass"}, {"Type": "Pass"}), json.loads(text), text=text)
    shown = [
        event[member]["input"]
        for event in started.history
        for member in ("executionStartedEventDetails", "stateEnteredEventDetails")
        if member in event
    ]
    compact = json.dumps(json.loads(text), separators=(",", ":"))
    assert shown == [first, first, compact]


LAMBDA_FAILING = {
    "Type": "Task",
    "Resource": LAMBDA,
    "Arguments": {},
    "Catch": [
        {"ErrorEquals": ["Other"], "Next": "S1"},
        {"ErrorEquals": ["Boom"], "Next": "S1", "Output": {"v": ["{% $nothing %}"]}},
    ],
}


@pytest.mark.parametrize(
    ("state", "location"),
    [
        ({"Type": "Pass", "Output": {"a": {"b": "{% $nothing %}"}}}, "Output/a/b"),
        ({"Type": "Pass", "Assign": {"a": [1, "{% $nothing %}"]}}, "Assign/a[1]"),
        ({"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "S1"}]}, "Choices[0]/Condition"),
        (
            {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "S1", "Output": "{% $nothing %}"}]},
            "Choices[0]/Output",
        ),
        (LAMBDA_FAILING, "Catch[1]/Output/v[0]"),
    ],
)
def test_a_failed_evaluation_names_its_place_in_the_state(state: dict[str, Any], location: str) -> None:
    definition = machine(state, {"Type": "Pass"}) | {"QueryLanguage": "JSONata"}
    if state["Type"] == "Choice":
        del definition["States"]["S0"]["Next"]
    ended = run(definition, tasks={"S0": Fails("Boom")})
    failed = next(event for event in ended.history if event["type"] == "EvaluationFailed")
    assert failed["evaluationFailedEventDetails"]["location"] == location

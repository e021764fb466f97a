"""Numbers, previousEventId and the public shape of events."""

from __future__ import annotations

import re
from typing import Any

import boto3
import pytest
from botocore.model import Shape
from driven import ACTIVITY, LAMBDA, SYNC, TOKEN, chain, distributed, mapped, parallel, task

from treadle.machine.journal import DETAILS, HIDDEN, Entry, history, history_event, json_text, number
from treadle.testing import Fails, Never, Run, run

MODEL = boto3.client("stepfunctions", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x").meta.service_model
EVENT = MODEL.shape_for("HistoryEvent")


# ---- previousEventId ---------------------------------------------------------------------------------------------


def links(result: Run) -> list[str]:
    """`type<-previous type` of every event; the event before a first state is shown as 0."""
    types = {event["id"]: event["type"] for event in result.history}
    return [f"{event['type']}<-{types.get(event['previousEventId'], 0)}" for event in result.history]


LINKS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "the first state points at nothing, the next at the exit before it",
        chain(A={"Type": "Pass"}, B={"Type": "Pass"}),
        {},
        "ExecutionStarted<-0 PassStateEntered<-0 PassStateExited<-PassStateEntered PassStateEntered<-PassStateExited "
        "PassStateExited<-PassStateEntered ExecutionSucceeded<-PassStateExited",
    ),
    (
        "an exit points at the last event of the state's work",
        chain(A=task()),
        {"A": 1},
        "ExecutionStarted<-0 TaskStateEntered<-0 LambdaFunctionScheduled<-TaskStateEntered "
        "LambdaFunctionStarted<-LambdaFunctionScheduled LambdaFunctionSucceeded<-LambdaFunctionStarted "
        "TaskStateExited<-LambdaFunctionSucceeded ExecutionSucceeded<-TaskStateExited",
    ),
    (
        "branches begin at ParallelStateStarted, and nothing points at ParallelStateSucceeded",
        chain(A=parallel(chain(B={"Type": "Pass"}))),
        {},
        "ExecutionStarted<-0 ParallelStateEntered<-0 ParallelStateStarted<-ParallelStateEntered "
        "PassStateEntered<-ParallelStateStarted PassStateExited<-PassStateEntered "
        "ParallelStateSucceeded<-PassStateExited ParallelStateExited<-PassStateExited "
        "ExecutionSucceeded<-ParallelStateExited",
    ),
    (
        "what a failure aborts, and the failure of the whole, point at the failing event",
        chain(A=parallel(chain(B=task()), chain(C={"Type": "Wait", "Seconds": 9}), chain(D={"Type": "Fail"}))),
        {"B": Never()},
        "ExecutionStarted<-0 ParallelStateEntered<-0 ParallelStateStarted<-ParallelStateEntered "
        "TaskStateEntered<-ParallelStateStarted LambdaFunctionScheduled<-TaskStateEntered "
        "LambdaFunctionStarted<-LambdaFunctionScheduled WaitStateEntered<-ParallelStateStarted "
        "FailStateEntered<-ParallelStateStarted TaskStateAborted<-FailStateEntered WaitStateAborted<-FailStateEntered "
        "ParallelStateFailed<-FailStateEntered ExecutionFailed<-ParallelStateFailed",
    ),
    (
        "an iteration that fails, its siblings and its Map point at the failing event",
        chain(A=mapped(chain(B=task()), ItemsPath="$.items")),
        {"B": lambda item: Fails("E") if item == 2 else Never()},
        "ExecutionStarted<-0 MapStateEntered<-0 MapStateStarted<-MapStateEntered MapIterationStarted<-MapStateStarted "
        "MapIterationStarted<-MapStateStarted TaskStateEntered<-MapIterationStarted "
        "LambdaFunctionScheduled<-TaskStateEntered LambdaFunctionStarted<-LambdaFunctionScheduled "
        "TaskStateEntered<-MapIterationStarted LambdaFunctionScheduled<-TaskStateEntered "
        "LambdaFunctionStarted<-LambdaFunctionScheduled LambdaFunctionFailed<-LambdaFunctionStarted "
        "MapIterationFailed<-LambdaFunctionFailed TaskStateAborted<-LambdaFunctionFailed "
        "MapIterationAborted<-LambdaFunctionFailed MapStateFailed<-LambdaFunctionFailed "
        "ExecutionFailed<-MapStateFailed",
    ),
    (
        "a retried Map starts again at the failing event",
        chain(A=mapped(chain(B={"Type": "Fail"}), ItemsPath="$.one", Retry=[{"ErrorEquals": ["States.ALL"]}])),
        {},
        "ExecutionStarted<-0 MapStateEntered<-0 MapStateStarted<-MapStateEntered MapIterationStarted<-MapStateStarted "
        "FailStateEntered<-MapIterationStarted MapIterationFailed<-FailStateEntered MapStateStarted<-FailStateEntered "
        "MapIterationStarted<-MapStateStarted FailStateEntered<-MapIterationStarted "
        "MapIterationFailed<-FailStateEntered MapStateStarted<-FailStateEntered MapIterationStarted<-MapStateStarted "
        "FailStateEntered<-MapIterationStarted MapIterationFailed<-FailStateEntered MapStateStarted<-FailStateEntered "
        "MapIterationStarted<-MapStateStarted FailStateEntered<-MapIterationStarted "
        "MapIterationFailed<-FailStateEntered MapStateFailed<-FailStateEntered ExecutionFailed<-MapStateFailed",
    ),
    (
        "EvaluationFailed points where its state's Entered points",
        chain(
            A={"Type": "Pass"},
            B={"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.input.missing %}"},
        ),
        {},
        "ExecutionStarted<-0 PassStateEntered<-0 PassStateExited<-PassStateEntered PassStateEntered<-PassStateExited "
        "EvaluationFailed<-PassStateExited ExecutionFailed<-EvaluationFailed",
    ),
    (
        "EvaluationFailed of the first state points at nothing",
        chain(A={"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.input.missing %}"}),
        {},
        "ExecutionStarted<-0 PassStateEntered<-0 EvaluationFailed<-0 ExecutionFailed<-EvaluationFailed",
    ),
    (
        "EvaluationFailed of a Wait points at its Entered",
        chain(A={"Type": "Wait", "QueryLanguage": "JSONata", "Timestamp": "{% 'never' %}"}),
        {},
        "ExecutionStarted<-0 WaitStateEntered<-0 EvaluationFailed<-WaitStateEntered ExecutionFailed<-EvaluationFailed",
    ),
    (
        "a distributed Map points at its map run",
        chain(A=distributed(ItemsPath="$.items")),
        {},
        "ExecutionStarted<-0 MapStateEntered<-0 MapStateStarted<-MapStateEntered MapRunStarted<-MapStateStarted "
        "MapRunSucceeded<-MapRunStarted MapStateSucceeded<-MapRunSucceeded MapStateExited<-MapRunSucceeded "
        "ExecutionSucceeded<-MapStateExited",
    ),
]


@pytest.mark.parametrize(("definition", "tasks", "expected"), [row[1:] for row in LINKS], ids=[row[0] for row in LINKS])
def test_previous_event_id_follows_the_rules_of_aws(definition: Any, tasks: dict[str, Any], expected: str) -> None:
    assert links(run(definition, {"items": [1, 2], "one": [1]}, tasks)) == expected.split()


def test_a_new_iteration_points_where_the_success_that_made_room_for_it_points() -> None:
    definition = chain(A=mapped(chain(B={"Type": "Pass"}), ItemsPath="$.items", MaxConcurrency=1))
    events = run(definition, {"items": [1, 2]}).history
    succeeded = [event["previousEventId"] for event in events if event["type"] == "MapIterationSucceeded"]
    started = [event["previousEventId"] for event in events if event["type"] == "MapIterationStarted"]
    ended = [event["previousEventId"] for event in events if event["type"] in ("MapStateSucceeded", "MapStateExited")]
    last = [event["id"] for event in events if event["type"] == "MapIterationSucceeded"][-1]
    assert started == [3, succeeded[0]]
    assert ended == [last, last]


def test_hidden_entries_take_no_id() -> None:
    result = run(chain(A={"Type": "Wait", "Seconds": 1}))
    assert [entry.id for entry in result.journal if entry.type in HIDDEN] == [0, 0]
    assert [event["id"] for event in result.history] == list(range(1, len(result.history) + 1))


@pytest.mark.parametrize("type", sorted(HIDDEN))
def test_a_hidden_entry_is_numbered_zero_whatever_came_before(type: str) -> None:
    class Anywhere:
        previous = 7

    assert number(type, Anywhere(), 41) == (0, 7)


# ---- AWS's shapes ------------------------------------------------------------------------------------------------


def test_every_history_event_type_of_aws_is_known_and_no_other() -> None:
    assert set(DETAILS) == set(MODEL.shape_for("HistoryEventType").enum)
    assert len(DETAILS) == 62


def test_details_stand_in_members_of_a_history_event() -> None:
    members = {member for member in EVENT.members if member.endswith("EventDetails")}
    named = {member for member in DETAILS.values() if member}
    # A map run that is aborted and its kin have none; all others that the model has are used.
    assert named == members


RICH = chain(
    P={"Type": "Pass", "Assign": {"v": 1}},
    L=task(
        LAMBDA,
        TimeoutSeconds=60,
        Credentials={"RoleArn": "arn:aws:iam::123456789012:role/other"},
        ResultPath=None,
    ),
    S=task(SYNC, TimeoutSeconds=60, HeartbeatSeconds=5, ResultPath=None),
    A=task(ACTIVITY, TimeoutSeconds=60, HeartbeatSeconds=5, ResultPath=None),
    M=mapped(chain(I={"Type": "Pass"}), ItemsPath="$.items", ResultPath=None),
    D=distributed(ItemsPath="$.items", ResultPath=None),
    W={"Type": "Wait", "Seconds": 1},
    X=parallel(
        chain(XT=task(TOKEN, TimeoutSeconds=1)),
        chain(XW={"Type": "Wait", "Seconds": 9}),
        chain(XM=mapped(chain(XI=task()), ItemsPath="$.items")),
        chain(XP=parallel(chain(XQ=task()))),
        Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "F"}],
    ),
    F=mapped(
        chain(FI=task(ACTIVITY, TimeoutSeconds=1)),
        ItemsPath="$.items",
        Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "G"}],
    ),
    G=task(LAMBDA, TimeoutSeconds=1, Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "H"}]),
    H={"Type": "Choice", "Choices": [{"Variable": "$.items", "IsPresent": True, "Next": "E"}]},
    E={"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $nothing.there %}"},
)
ANSWERS = {name: Never() for name in ("XT", "XI", "XQ", "FI", "G")}
FAILING = [
    (resource, phase)
    for resource in (LAMBDA, ACTIVITY, TOKEN)
    for phase in ("schedule", "start", "submit", "run")
    if (resource, phase) != (ACTIVITY, "start")
]


def entries() -> list[Entry]:
    """Entries of as many types as a handful of executions can make."""
    journal = list(run(RICH, {"items": [1, 2]}, {**ANSWERS, "*": {"ok": True}}).journal)
    for resource, phase in FAILING:
        journal += run(chain(T=task(resource)), tasks={"T": Fails("E", "C", phase=phase)}).journal
    journal += run(chain(S=parallel(chain(T={"Type": "Succeed"})))).journal
    journal += run(chain(F={"Type": "Fail"})).journal
    journal += run({**chain(W={"Type": "Wait", "Seconds": 9}), "TimeoutSeconds": 1}).journal
    journal += run(chain(D=distributed(chain(I={"Type": "Fail"}), ItemsPath="$.items")), {"items": [1]}).journal
    return journal


@pytest.fixture(scope="module")
def visible() -> list[Entry]:
    return [entry for entry in entries() if entry.id]


def complaints(shape: Shape, value: Any, place: str) -> list[str]:
    """Where a value does not fit a shape of the service model."""
    found: list[str] = []
    match shape.type_name:
        case "structure":
            found += [f"{place}: no member {key}" for key in value if key not in shape.members]
            found += [f"{place}: {key} is missing" for key in shape.required_members if key not in value]
            for key, member in shape.members.items():
                if key in value:
                    found += complaints(member, value[key], f"{place}.{key}")
        case "map":
            for key, member in value.items():
                found += complaints(shape.value, member, f"{place}[{key}]")
        case "string":
            found += [] if isinstance(value, str) else [f"{place}: no string but {value!r}"]
            longest = shape.metadata.get("max")
            found += [f"{place}: too long"] if longest and len(value) > longest else []
        case "boolean":
            found += [] if isinstance(value, bool) else [f"{place}: no boolean but {value!r}"]
        case "integer" | "long":
            whole = isinstance(value, int) and not isinstance(value, bool)
            found += [] if whole else [f"{place}: no integer but {value!r}"]
        case "timestamp":
            found += [] if isinstance(value, float | int) else [f"{place}: no timestamp but {value!r}"]
        case other:
            found.append(f"{place}: {other} is not expected")
    return found


def test_events_fit_the_service_model(visible: list[Entry]) -> None:
    assert [each for entry in visible for each in complaints(EVENT, history_event(entry), entry.type)] == []


def test_events_without_data_fit_the_service_model_but_for_the_parameters_of_a_task(visible: list[Entry]) -> None:
    found = {each for entry in visible for each in complaints(EVENT, history_event(entry, False), entry.type)}
    assert found == {"TaskScheduled.taskScheduledEventDetails: parameters is missing"}


NOT_MADE_HERE = {"ExecutionAborted", "ExecutionRedriven", "MapRunAborted", "MapRunRedriven"}
"""Made by a stop, a redrive or a failed sibling: see test_changes.py, test_interpreter.py and tests/cases."""


def test_the_machine_makes_all_types_but_these(visible: list[Entry]) -> None:
    assert set(DETAILS) - {entry.type for entry in visible} == NOT_MADE_HERE


def test_data_is_left_out_where_it_is_not_wanted(visible: list[Entry]) -> None:
    shown = json_text([history_event(entry, include_data=False) for entry in visible])
    assert not re.search(r'"(input|output|parameters|assignedVariables)(Details)?"', shown)


def test_input_and_output_are_texts_with_a_note_that_they_are_whole() -> None:
    events = run(chain(A={"Type": "Pass", "Assign": {"v": [1, "é"]}}), {"a": 1}).history
    assert events[1]["stateEnteredEventDetails"] == {
        "name": "A",
        "input": '{"a":1}',
        "inputDetails": {"truncated": False},
    }
    assert events[2]["stateExitedEventDetails"] == {
        "name": "A",
        "output": '{"a":1}',
        "outputDetails": {"truncated": False},
        "assignedVariables": {"v": '[1,"é"]'},
        "assignedVariablesDetails": {"truncated": False},
    }


def test_absent_errors_and_causes_are_left_out() -> None:
    assert run(chain(A={"Type": "Fail"})).history[-1]["executionFailedEventDetails"] == {}
    told = run(chain(A={"Type": "Fail", "Error": "E"})).history[-1]["executionFailedEventDetails"]
    assert told == {"error": "E"}


def test_a_timed_out_execution_tells_neither_error_nor_cause() -> None:
    result = run({**chain(A={"Type": "Wait", "Seconds": 9}), "TimeoutSeconds": 1})
    assert result.history[-1]["executionTimedOutEventDetails"] == {}
    assert (result.status, result.error, result.cause) == ("TIMED_OUT", None, None)


def test_a_history_is_the_journal_less_its_hidden_entries() -> None:
    journal = run(chain(A={"Type": "Wait", "Seconds": 1})).journal
    assert [event["type"] for event in history(journal)] == [entry.type for entry in journal if entry.id]

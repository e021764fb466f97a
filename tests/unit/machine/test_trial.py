"""One state tried by itself: what comes of it, and what is told of its data flow."""

from __future__ import annotations

import random
from typing import Any

import pytest

from treadle.language.compile import plan_of
from treadle.machine.events import Identity, TaskErred, TaskReturned, TimerDue
from treadle.machine.frame import Failure
from treadle.machine.interpreter import Moment
from treadle.machine.trial import MapSetting, Mock, Setting, Trial

IDENTITY = Identity(
    arn="arn:aws:states:us-east-1:123456789012:express:m:e",
    name="e",
    role_arn="",
    machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
    machine_name="m",
    counts_redrives=False,
)
FUNCTION = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"}
INSIDE = {"StartAt": "In", "States": {"In": {"Type": "Pass", "End": True}}}
DISTRIBUTED = {**INSIDE, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


def tried(fields: dict[str, Any], input: Any = None, mock: Mock | None = None, **options: Any) -> Trial:
    machine = {"StartAt": "Tried", "States": {"Tried": fields}}
    map_setting = options.pop("map_setting", None)
    setting = Setting(IDENTITY, **options)
    moment = Moment(1_000_000.0, random.Random(1), lambda wait: f"token-{wait}")
    language = fields.get("QueryLanguage", "JSONPath")
    state = plan_of(machine).states["Tried"]
    return Trial(state, language, input, moment, setting, mock, map_setting)


def told(*arguments: Any, **options: Any) -> tuple[Any, ...]:
    trial = tried(*arguments, **options)
    assert trial.waits_for() is None
    verdict = trial.verdict()
    return verdict.status, verdict.output, verdict.next, verdict.notes


def test_every_step_of_the_data_flow_is_noted() -> None:
    fields = {
        "Type": "Pass",
        "InputPath": "$.a",
        "Parameters": {"x.$": "$.b"},
        "ResultPath": "$.r",
        "OutputPath": "$.r",
        "Next": "There",
    }
    status, output, next, notes = told(fields, {"a": {"b": 1}})
    assert (status, output, next) == ("SUCCEEDED", {"x": 1}, "There")
    assert notes == {
        "input": {"a": {"b": 1}},
        "afterInputPath": {"b": 1},
        "afterParameters": {"x": 1},
        "afterResultSelector": {"x": 1},
        "afterResultPath": {"a": {"b": 1}, "r": {"x": 1}},
    }


def test_a_result_of_a_pass_leaves_out_what_is_not_looked_at() -> None:
    notes = told({"Type": "Pass", "Result": 7, "End": True}, {"a": 1})[3]
    assert notes == {"input": {"a": 1}, "result": 7, "afterResultSelector": 7, "afterResultPath": 7}


def test_a_task_waits_for_its_answer_and_shows_it() -> None:
    trial = tried({**FUNCTION, "ResultSelector": {"y.$": "$.x"}, "End": True}, {"i": 1})
    task = trial.waits_for()
    assert task is not None and task.arguments == {"i": 1}
    trial.settle(TaskReturned(task.wait, {"x": 5}))
    assert trial.waits_for() is None
    verdict = trial.verdict()
    assert (verdict.status, verdict.output, verdict.next) == ("SUCCEEDED", {"y": 5}, None)
    assert verdict.notes["result"] == {"x": 5} and verdict.notes["afterResultSelector"] == {"y": 5}


def test_a_state_that_leads_to_itself_is_tried_once() -> None:
    fields = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "Tried"}], "Default": "D"}
    assert told(fields, {"n": 1})[:3] == ("SUCCEEDED", {"n": 1}, "Tried")
    assert told(fields, {"n": 2})[:3] == ("SUCCEEDED", {"n": 2}, "D")


def test_time_does_not_pass_for_a_wait() -> None:
    assert told({"Type": "Wait", "Seconds": 99_999, "Next": "N"}, 1)[:3] == ("SUCCEEDED", 1, "N")


@pytest.mark.parametrize(
    ("retries", "status", "details"),
    [
        (0, "RETRIABLE", {"retryIndex": 1, "retryBackoffIntervalSeconds": 2}),
        (2, "RETRIABLE", {"retryIndex": 1, "retryBackoffIntervalSeconds": 8}),
        (3, "CAUGHT_ERROR", {"retryIndex": 1, "catchIndex": 1}),
    ],
)
def test_a_failure_meets_the_retrier_as_often_as_it_says_and_then_the_catcher(
    retries: int, status: str, details: Any
) -> None:
    fields = {
        **FUNCTION,
        "Retry": [{"ErrorEquals": ["Other"]}, {"ErrorEquals": ["Boom"], "IntervalSeconds": 2, "MaxAttempts": 3}],
        "Catch": [
            {"ErrorEquals": ["Other"], "Next": "A"},
            {"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "B"},
        ],
        "End": True,
    }
    trial = tried(fields, {}, Mock(failure=Failure("Boom", "why")), retries=retries)
    assert trial.waits_for() is None
    verdict = trial.verdict()
    assert verdict.failure is not None
    assert (verdict.status, verdict.failure.error, verdict.failure.cause) == (status, "Boom", "why")
    assert verdict.notes["errorDetails"] == details
    if status == "CAUGHT_ERROR":
        assert (verdict.output, verdict.next) == ({"e": {"Error": "Boom", "Cause": "why"}}, "B")


def test_a_time_limit_is_a_failure_without_a_cause() -> None:
    trial = tried({**FUNCTION, "TimeoutSeconds": 5, "End": True}, {})
    task = trial.waits_for()
    assert task is not None and task.deadline == 1_000_005.0
    trial.settle(TimerDue(task.wait, "timeout"))
    assert trial.waits_for() is None
    assert trial.verdict().failure == Failure("States.Timeout", None)


def test_what_cannot_be_evaluated_fails_the_state() -> None:
    trial = tried({"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $error('no') %}", "End": True}, {})
    verdict = trial.verdict()
    assert verdict.failure is not None
    assert (verdict.status, verdict.failure.error) == ("FAILED", "States.QueryEvaluationError")


@pytest.mark.parametrize("pattern", ["activity", "sync:2", "waitForTaskToken"])
def test_a_mock_answers_whatever_pattern_the_task_follows(pattern: str) -> None:
    resource = {
        "activity": "arn:aws:states:us-east-1:123456789012:activity:a",
        "sync:2": "arn:aws:states:::states:startExecution.sync:2",
        "waitForTaskToken": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    }[pattern]
    fields = {"Type": "Task", "Resource": resource, "Parameters": {"Input": {}}, "End": True}
    assert told(fields, {}, Mock({"ok": 1}))[:2] == ("SUCCEEDED", {"ok": 1})
    trial = tried(fields, {}, Mock(failure=Failure("Boom")))
    assert trial.waits_for() is None and trial.verdict().failure == Failure("Boom")


def test_the_branches_of_a_parallel_give_their_parts_of_the_mock() -> None:
    fields = {"Type": "Parallel", "Branches": [INSIDE, INSIDE], "ResultPath": "$.r", "End": True}
    status, output, _, notes = told(fields, {"i": 0}, Mock([1, {"b": 2}]))
    assert (status, output) == ("SUCCEEDED", {"i": 0, "r": [1, {"b": 2}]})
    assert notes == {"input": {"i": 0}, "afterResultSelector": [1, {"b": 2}], "afterResultPath": output}


@pytest.mark.parametrize(("by_task", "status"), [(True, "CAUGHT_ERROR"), (False, "FAILED")])
def test_task_failed_stands_for_a_failure_inside_if_a_task_caused_it(by_task: bool, status: str) -> None:
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "C"}]
    fields = {"Type": "Parallel", "Branches": [INSIDE], "Catch": catch, "End": True}
    trial = tried(fields, {}, Mock(failure=Failure("Boom", "why"), by_task=by_task))
    assert trial.waits_for() is None
    assert trial.verdict().status == status


@pytest.mark.parametrize("processor", [INSIDE, DISTRIBUTED], ids=["inline", "distributed"])
def test_a_map_shows_its_items_and_what_becomes_of_them(processor: Any) -> None:
    fields = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemSelector": {"v.$": "$$.Map.Item.Value"},
        "ItemProcessor": processor,
        "MaxConcurrency": 3,
        "End": True,
    }
    status, output, _, notes = told(fields, {"items": [7, 8]}, Mock(["a", "b"]))
    assert (status, output) == ("SUCCEEDED", ["a", "b"])
    assert notes["afterItemsPath"] == [7, 8] and notes["afterItemSelector"] == [{"v": 7}, {"v": 8}]
    assert notes["maxConcurrency"] == 3 and notes["afterResultPath"] == ["a", "b"]


def test_a_batching_map_shows_its_batches() -> None:
    fields = {
        "Type": "Map",
        "ItemProcessor": DISTRIBUTED,
        "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"b": 1}},
        "End": True,
    }
    notes = told(fields, [1, 2, 3], Mock([]))[3]
    assert notes["afterItemBatcher"] == [
        {"BatchInput": {"b": 1}, "Items": [1, 2]},
        {"BatchInput": {"b": 1}, "Items": [3]},
    ]


def test_batches_are_bounded_by_bytes_too() -> None:
    batcher = {"MaxItemsPerBatch": 3, "MaxInputBytesPerBatch": 31}
    fields = {"Type": "Map", "ItemProcessor": DISTRIBUTED, "ItemBatcher": batcher, "End": True}
    notes = told(fields, ["a" * 12, "b" * 2, "c", "d", "e", "f" * 90], Mock([]))[3]
    assert [each["Items"] for each in notes["afterItemBatcher"]] == [
        ["a" * 12, "b" * 2],
        ["c", "d", "e"],
        ["f" * 90],
    ]


@pytest.mark.parametrize(
    ("tolerated", "failures", "status"),
    [
        ({"ToleratedFailureCount": 1}, 1, "SUCCEEDED"),
        ({"ToleratedFailureCount": 1}, 2, "FAILED"),
        ({"ToleratedFailurePercentage": 50}, 2, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 49}, 2, "FAILED"),
        ({}, 4, "SUCCEEDED"),
    ],
)
def test_a_map_fails_when_more_fails_than_it_tolerates(tolerated: Any, failures: int, status: str) -> None:
    fields = {"Type": "Map", "ItemProcessor": DISTRIBUTED, **tolerated, "End": True}
    trial = tried(fields, [1, 2, 3, 4], Mock([0]), map_setting=MapSetting(failures=failures))
    assert trial.waits_for() is None
    verdict = trial.verdict()
    assert verdict.status == status
    if status == "FAILED":
        assert verdict.failure is not None and verdict.failure.error == "States.ExceedToleratedFailureThreshold"


POINTS: dict[str, Any] = {
    "Type": "Map",
    "ItemReader": {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON", "ItemsPointer": "/a~1b/0/n"},
        "Parameters": {"Bucket": "b", "Key": "k"},
    },
    "ItemSelector": {"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"},
    "ItemProcessor": DISTRIBUTED,
    "End": True,
}


def test_a_reader_is_not_asked_when_its_items_are_given() -> None:
    reader = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"}, "Parameters": {}}
    fields = {"Type": "Map", "ItemReader": reader, "ItemProcessor": DISTRIBUTED, "End": True}
    trial = tried(fields, {}, Mock(["r"]), map_setting=MapSetting(([1, 2],)))
    assert trial.waits_for() is None
    assert trial.verdict().output == ["r"] and trial.items == 2


@pytest.mark.parametrize(
    ("data", "pointed", "selected"),
    [
        ({"a/b": [{"n": [5, 6]}]}, [5, 6], [{"v": 5, "i": 0}, {"v": 6, "i": 1}]),
        ({"a/b": [{"n": {"x": 5}}]}, {"x": 5}, [{"v": 5, "i": 0}]),
    ],
)
def test_what_a_pointer_leads_to_has_the_items(data: Any, pointed: Any, selected: Any) -> None:
    trial = tried(POINTS, {}, Mock([]), map_setting=MapSetting((data,)))
    assert trial.waits_for() is None
    notes = trial.verdict().notes
    assert (notes["afterItemsPointer"], notes["afterItemSelector"]) == (pointed, selected)
    assert "afterItemsPath" not in notes


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ({"a/b": []}, "ItemsPointer '/a~1b/0/n' names nothing in the data."),
        ({"a/b": [{"n": 7}]}, "Attempting to map over non-iterable node."),
    ],
)
def test_a_pointer_that_leads_nowhere_fails_the_reader(data: Any, cause: str) -> None:
    trial = tried(POINTS, {}, Mock([]), map_setting=MapSetting((data,)))
    assert trial.waits_for() is None
    failure = trial.verdict().failure
    assert failure is not None and (failure.error, failure.cause) == ("States.ItemReaderFailed", cause)


def test_variables_are_seen_and_those_assigned_are_told() -> None:
    fields = {"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"n": "{% $n + 1 %}"}, "End": True}
    assert tried(fields, {}, variables={"n": 1, "m": 2}).verdict().variables == {"n": 2, "m": 2}


def test_the_context_object_is_that_of_an_express_execution_or_the_one_that_is_given() -> None:
    fields = {"Type": "Pass", "Parameters": {"c.$": "$$"}, "End": True}
    seen = told(fields, 5, item={"Item": {"Index": 0, "Value": 5}})[1]["c"]
    assert seen["Execution"]["Id"] == IDENTITY.arn and seen["Execution"]["RoleArn"] is None
    assert seen["State"]["Name"] == "StateName" and seen["Map"]["Item"]["Value"] == 5
    assert told(fields, 5, context={"Execution": {"Id": "x"}})[1]["c"] == {"Execution": {"Id": "x"}}


def test_a_failing_task_may_be_told_apart_from_a_late_answer() -> None:
    trial = tried({**FUNCTION, "End": True}, {})
    task = trial.waits_for()
    assert task is not None
    trial.settle(TaskErred(task.wait, "Boom", None))
    trial.settle(TaskReturned(task.wait, "late"))
    assert trial.verdict().status == "FAILED"

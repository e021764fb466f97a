"""The order of events, by what happens to a state: AWS's sequences, one row each."""

from __future__ import annotations

from typing import Any

import pytest
from driven import ACTIVITY, LAMBDA, REQUEST, SYNC, TOKEN, chain, distributed, mapped, parallel, task

from treadle.machine.events import StopRequested
from treadle.testing import Fails, Never, Returns, World, run

CATCH = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]}
CAUGHT = {"Type": "Succeed"}
RETRY = {"Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]}
JSONATA = {"QueryLanguage": "JSONata"}

SEQUENCES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("a Pass", chain(S={"Type": "Pass"}), {}, "PassStateEntered PassStateExited ExecutionSucceeded"),
    ("a Wait", chain(S={"Type": "Wait", "Seconds": 3}), {}, "WaitStateEntered WaitStateExited ExecutionSucceeded"),
    (
        "a Choice and a Succeed",
        chain(
            S={"Type": "Choice", "Choices": [{"Variable": "$.none", "IsNull": True, "Next": "S"}], "Default": "T"},
            T={"Type": "Succeed"},
        ),
        {},
        "ChoiceStateEntered ChoiceStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded",
    ),
    ("a Fail", chain(S={"Type": "Fail"}), {}, "FailStateEntered ExecutionFailed"),
    (
        "a path that leads nowhere in a Pass",
        chain(S={"Type": "Pass", "InputPath": "$.a"}),
        {},
        "PassStateEntered ExecutionFailed",
    ),
    (
        "a path that leads nowhere in a Wait",
        chain(S={"Type": "Wait", "SecondsPath": "$.a"}),
        {},
        "WaitStateEntered ExecutionFailed",
    ),
    (
        "a Choice in which no rule holds",
        chain(S={"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": True, "Next": "T"}]}, T=CAUGHT),
        {},
        "ChoiceStateEntered ExecutionFailed",
    ),
    (
        "a path that leads nowhere in a Map",
        chain(S=mapped(chain(I={"Type": "Pass"}), ItemsPath="$.a")),
        {},
        "MapStateEntered ExecutionFailed",
    ),
    (
        "a path that leads nowhere in a Fail",
        chain(S={"Type": "Fail", "ErrorPath": "$.a"}),
        {},
        "FailStateEntered ExecutionFailed",
    ),
    (
        "a JSONata expression that fails in a Pass",
        chain(S={"Type": "Pass", **JSONATA, "Output": "{% $states.input.a %}"}),
        {},
        "PassStateEntered EvaluationFailed ExecutionFailed",
    ),
    (
        "a JSONata expression that fails in a Map",
        chain(S=mapped(chain(I={"Type": "Pass"}), **JSONATA, Items="{% $states.input.a %}")),
        {},
        "MapStateEntered EvaluationFailed MapStateFailed ExecutionFailed",
    ),
    (
        "a service",
        chain(S=task(REQUEST)),
        {"S": 1},
        "TaskStateEntered TaskScheduled TaskStarted TaskSucceeded TaskStateExited ExecutionSucceeded",
    ),
    (
        "a Lambda function",
        chain(S=task(LAMBDA)),
        {"S": 1},
        "TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited "
        "ExecutionSucceeded",
    ),
    (
        "an activity",
        chain(S=task(ACTIVITY)),
        {"S": 1},
        "TaskStateEntered ActivityScheduled ActivityStarted ActivitySucceeded TaskStateExited ExecutionSucceeded",
    ),
    *(
        (
            f"a job of {resource}",
            chain(S=task(resource)),
            {"S": 1},
            "TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskStateExited ExecutionSucceeded",
        )
        for resource in (SYNC, TOKEN)
    ),
    (
        "a job that fails",
        chain(S=task(SYNC)),
        {"S": Fails("E")},
        "TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskFailed ExecutionFailed",
    ),
    (
        "a task that fails",
        chain(S=task(REQUEST)),
        {"S": Fails("E")},
        "TaskStateEntered TaskScheduled TaskStarted TaskFailed ExecutionFailed",
    ),
    (
        "a task whose failure is caught",
        chain(S=task(REQUEST, **CATCH), Caught=CAUGHT),
        {"S": Fails("E")},
        "TaskStateEntered TaskScheduled TaskStarted TaskFailed TaskStateExited SucceedStateEntered SucceedStateExited "
        "ExecutionSucceeded",
    ),
    (
        "a task that is retried",
        chain(S=task(REQUEST, **RETRY)),
        {"S": Fails("E")},
        "TaskStateEntered TaskScheduled TaskStarted TaskFailed TaskScheduled TaskStarted TaskFailed ExecutionFailed",
    ),
    (
        "an output that fails after the task succeeded",
        chain(S=task(LAMBDA, OutputPath="$.a")),
        {"S": {}},
        "TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded ExecutionFailed",
    ),
    *(
        (
            f"a timeout of {resource}",
            chain(S=task(resource, TimeoutSeconds=5)),
            {"S": Never()},
            f"TaskStateEntered {family}Scheduled {family}Started {family}TimedOut ExecutionFailed",
        )
        for resource, family in ((LAMBDA, "LambdaFunction"), (ACTIVITY, "Activity"), (REQUEST, "Task"))
    ),
    (
        "a heartbeat that is missed",
        chain(S=task(TOKEN, HeartbeatSeconds=5)),
        {"S": Never()},
        "TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskTimedOut ExecutionFailed",
    ),
    (
        "a job that is refused",
        chain(S=task(SYNC)),
        {"S": Fails("E", phase="submit")},
        "TaskStateEntered TaskScheduled TaskStarted TaskSubmitFailed ExecutionFailed",
    ),
    (
        "a start that is refused",
        chain(S=task(REQUEST)),
        {"S": Fails("E", phase="start")},
        "TaskStateEntered TaskScheduled TaskStarted TaskStartFailed ExecutionFailed",
    ),
    (
        "a Parallel",
        chain(S=parallel(chain(A={"Type": "Pass"}), chain(B={"Type": "Pass"}))),
        {},
        "ParallelStateEntered ParallelStateStarted PassStateEntered PassStateExited PassStateEntered PassStateExited "
        "ParallelStateSucceeded ParallelStateExited ExecutionSucceeded",
    ),
    (
        "a Parallel in which a Fail is reached beside a Wait and a task",
        chain(S=parallel(chain(A=task()), chain(B={"Type": "Wait", "Seconds": 1}), chain(C={"Type": "Fail"}))),
        {"A": Never()},
        "ParallelStateEntered ParallelStateStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted "
        "WaitStateEntered FailStateEntered TaskStateAborted WaitStateAborted ParallelStateFailed ExecutionFailed",
    ),
    (
        "a Parallel in which a task fails, shown as aborted itself",
        chain(S=parallel(chain(A=task()), **CATCH), Caught=CAUGHT),
        {"A": Fails("E")},
        "ParallelStateEntered ParallelStateStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted "
        "LambdaFunctionFailed TaskStateAborted ParallelStateFailed ParallelStateExited SucceedStateEntered "
        "SucceedStateExited ExecutionSucceeded",
    ),
    (
        "a Parallel that is retried, without a word of its failure in between",
        chain(S=parallel(chain(C={"Type": "Fail"}), **RETRY)),
        {},
        "ParallelStateEntered ParallelStateStarted FailStateEntered ParallelStateStarted FailStateEntered "
        "ParallelStateFailed ExecutionFailed",
    ),
    (
        "an inline Map",
        chain(S=mapped(chain(I={"Type": "Pass"}), ItemsPath="$.items", MaxConcurrency=1)),
        {},
        "MapStateEntered MapStateStarted MapIterationStarted PassStateEntered PassStateExited MapIterationSucceeded "
        "MapIterationStarted PassStateEntered PassStateExited MapIterationSucceeded MapStateSucceeded MapStateExited "
        "ExecutionSucceeded",
    ),
    (
        "an inline Map over nothing",
        chain(S=mapped(chain(I={"Type": "Pass"}), ItemsPath="$.none")),
        {},
        "MapStateEntered MapStateStarted MapStateSucceeded MapStateExited ExecutionSucceeded",
    ),
    (
        "an inline Map in which an iteration fails",
        chain(S=mapped(chain(I=task()), ItemsPath="$.items")),
        {"I": lambda item: Fails("E") if item == 2 else Never()},
        "MapStateEntered MapStateStarted MapIterationStarted MapIterationStarted TaskStateEntered "
        "LambdaFunctionScheduled LambdaFunctionStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted "
        "LambdaFunctionFailed MapIterationFailed TaskStateAborted MapIterationAborted MapStateFailed ExecutionFailed",
    ),
    (
        "a Map that is retried",
        chain(S=mapped(chain(I={"Type": "Fail"}), ItemsPath="$.items", MaxConcurrency=1, **RETRY)),
        {},
        "MapStateEntered MapStateStarted MapIterationStarted FailStateEntered MapIterationFailed "
        "MapStateStarted MapIterationStarted FailStateEntered MapIterationFailed MapStateFailed ExecutionFailed",
    ),
    (
        "an ItemSelector that fails while an iteration runs",
        chain(
            S=mapped(
                chain(I=task()),
                ItemsPath="$.items",
                ItemSelector={"x.$": "States.ArrayGetItem($.one, $$.Map.Item.Index)"},
                **CATCH,
            ),
            Caught=CAUGHT,
        ),
        {"I": Never()},
        "MapStateEntered MapStateStarted MapIterationStarted MapIterationAborted MapStateFailed MapStateExited "
        "SucceedStateEntered SucceedStateExited ExecutionSucceeded",
    ),
    (
        "a distributed Map",
        chain(S=distributed(ItemsPath="$.items")),
        {},
        "MapStateEntered MapStateStarted MapRunStarted MapRunSucceeded MapStateSucceeded MapStateExited "
        "ExecutionSucceeded",
    ),
    (
        "a distributed Map that fails",
        chain(S=distributed(chain(I={"Type": "Fail"}), ItemsPath="$.items")),
        {},
        "MapStateEntered MapStateStarted MapRunStarted MapRunFailed MapStateFailed ExecutionFailed",
    ),
    (
        "a machine that runs out of time",
        {**chain(S={"Type": "Wait", "Seconds": 10}), "TimeoutSeconds": 5},
        {},
        "WaitStateEntered ExecutionTimedOut",
    ),
]


@pytest.mark.parametrize(
    ("definition", "tasks", "expected"), [row[1:] for row in SEQUENCES], ids=[row[0] for row in SEQUENCES]
)
def test_events_come_in_the_order_of_aws(definition: dict[str, Any], tasks: dict[str, Any], expected: str) -> None:
    result = run(definition, {"items": [1, 2], "none": [], "one": [1]}, tasks)
    assert [event["type"] for event in result.history] == ["ExecutionStarted", *expected.split()]


def test_a_stopped_execution_ends_with_execution_aborted() -> None:
    world = World()
    started = world.start(chain(S={"Type": "Wait", "Seconds": 10}), {})
    world.send(started, StopRequested("E", "C"))
    assert [event["type"] for event in started.history][1:] == ["WaitStateEntered", "ExecutionAborted"]
    assert (started.status, started.error, started.cause) == ("ABORTED", "E", "C")


def test_a_wait_whose_moment_has_passed_starts_no_timer() -> None:
    result = run(chain(S={"Type": "Wait", "Timestamp": "2020-01-01T00:00:00Z"}))
    assert result.seconds == 0
    assert not any(entry.type == "WaitScheduled" for entry in result.journal)


def test_parallel_results_stand_in_the_order_of_the_branches() -> None:
    definition = chain(S=parallel(chain(A=task()), chain(B=task())))
    result = run(definition, tasks={"A": Returns("slow", after=9), "B": Returns("fast")})
    assert result.output == ["slow", "fast"]


def test_map_results_stand_in_the_order_of_the_items() -> None:
    definition = chain(S=mapped(chain(I=task()), ItemsPath="$.items"))
    result = run(definition, {"items": [3, 1, 2]}, {"I": lambda item: Returns(item * 10, after=item)})
    assert result.output == [30, 10, 20]


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (2, 2), (0, 5)])
def test_a_map_runs_no_more_iterations_at_once_than_max_concurrency(limit: int, most: int) -> None:
    definition = chain(S=mapped(chain(I=task()), ItemsPath="$.items", MaxConcurrency=limit))
    result = run(definition, {"items": [1, 2, 3, 4, 5]}, {"I": Returns(0, after=1)})
    running = high = 0
    for entry in result.journal:
        running += (entry.type == "MapIterationStarted") - (entry.type == "MapIterationSucceeded")
        high = max(high, running)
    assert high == most

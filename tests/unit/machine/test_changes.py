"""What a redrive and a fork make of where an execution stood."""

from __future__ import annotations

from typing import Any

import pytest
from driven import ACTIVITY, Driven, chain, distributed, mapped, parallel, task

from treadle.machine.commands import Cancel, Close, Command, StartMapRun, StartTimer
from treadle.machine.events import (
    ForkRequested,
    MapRunClosed,
    RedriveRequested,
    StartRequested,
    StopRequested,
    TaskErred,
    TaskPickedUp,
    TaskReturned,
    TimerDue,
)
from treadle.machine.interpreter import Moment
from treadle.machine.limits import Limits
from treadle.runtime.clock import START
from treadle.testing.world import identity_of

# ---- redrive -----------------------------------------------------------------------------------------------------


def test_a_redriven_task_is_scheduled_again_but_not_entered_again() -> None:
    driven = Driven(chain(P={"Type": "Pass"}, T=task()))
    driven.give(TaskErred(driven.number(), "E"))
    driven.give(RedriveRequested(), after=60)
    assert driven.since("ExecutionRedriven") == [
        "ExecutionRedriven",
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
    ]
    driven.give(TaskReturned(driven.number(), 1))
    assert driven.status == "SUCCEEDED"
    assert driven.types.count("PassStateEntered") == 1


def test_a_redrive_counts_itself_and_forgets_the_error() -> None:
    driven = Driven(chain(T=task()))
    driven.give(TaskErred(driven.number(), "E", "C"))
    for count in (1, 2):
        driven.give(RedriveRequested(), after=60)
        assert driven.last("ExecutionRedriven").details == {"redriveCount": count}
        assert (driven.status, driven.execution.error, driven.execution.cause) == ("RUNNING", None, None)
        driven.give(StopRequested())
    assert driven.execution.redriven_at == driven.now


def test_a_redrive_begins_the_retry_counters_again() -> None:
    driven = Driven(chain(T=task(Retry=[{"ErrorEquals": ["E"], "MaxAttempts": 1}])))
    for _ in range(2):
        driven.give(TaskErred(driven.number(), "E"))
        driven.give(TimerDue(driven.number()))
        driven.give(TaskErred(driven.number(), "E"))
        assert driven.status == "FAILED"
        driven.give(RedriveRequested())
    assert driven.types.count("LambdaFunctionFailed") == 4


def test_a_redriven_choice_is_evaluated_again() -> None:
    driven = Driven(chain(C={"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": True, "Next": "C"}]}))
    driven.give(RedriveRequested())
    assert driven.since("ExecutionRedriven") == ["ExecutionRedriven", "ExecutionFailed"]


def test_a_redriven_fail_is_entered_again() -> None:
    driven = Driven(chain(F={"Type": "Fail", "ErrorPath": "$.e"}), {"e": "E"})
    driven.give(RedriveRequested())
    assert driven.since("ExecutionRedriven") == ["ExecutionRedriven", "FailStateEntered", "ExecutionFailed"]
    assert driven.last("FailStateEntered").details["input"] == {"e": "E"}


@pytest.mark.parametrize(
    ("until", "expected"), [({"Timestamp": "2026-01-01T00:00:09Z"}, "SUCCEEDED"), ({"Seconds": 9}, "RUNNING")]
)
def test_a_redriven_wait_ends_at_once_when_its_moment_has_passed(until: dict[str, Any], expected: str) -> None:
    driven = Driven(chain(W={"Type": "Wait", **until}))
    driven.give(StopRequested(), after=1)
    driven.give(RedriveRequested(), after=60)
    assert driven.status == expected


def test_a_redriven_parallel_runs_only_the_branches_that_did_not_succeed() -> None:
    driven = Driven(chain(P=parallel(chain(A=task()), chain(B=task()), chain(C=task()))))
    driven.give(TaskReturned(driven.number("A"), "a"))
    driven.give(TaskErred(driven.number("B"), "E"))
    driven.give(RedriveRequested())
    assert sorted(each.state for each in driven.execution.waits().values() if not isinstance(each, StartTimer)) == [
        "B",
        "C",
    ]
    driven.give(TaskReturned(driven.number("B"), "b"))
    driven.give(TaskReturned(driven.number("C"), "c"))
    assert driven.execution.output == ["a", "b", "c"]


def test_a_redriven_map_runs_only_the_iterations_that_did_not_succeed() -> None:
    driven = Driven(chain(M=mapped(chain(I=task()), ItemsPath="$.items", MaxConcurrency=2)), {"items": [1, 2, 3, 4]})
    first, second = driven.execution.waits()
    driven.give(TaskReturned(first, "one"))
    driven.give(TaskErred(second, "E"))
    driven.give(RedriveRequested())
    assert driven.types.count("MapStateStarted") == 1
    while driven.status == "RUNNING":
        number = next(iter(driven.execution.waits()))
        driven.give(TaskReturned(number, driven.execution.waits()[number].arguments))
    assert driven.execution.output == ["one", 2, 3, 4]


def test_a_redriven_distributed_map_redrives_its_map_run() -> None:
    driven = Driven(chain(M=distributed(ItemsPath="$.items")), {"items": [1]})
    first = driven.run()
    driven.give(MapRunClosed(first.wait, error="E"))
    (command,) = driven.give(RedriveRequested())
    assert isinstance(command, StartMapRun)
    assert (command.arn, command.redrive) == (first.arn, 1)
    assert driven.since("ExecutionRedriven") == ["ExecutionRedriven", "MapRunRedriven"]
    driven.give(MapRunClosed(command.wait, [1]))
    assert driven.status == "SUCCEEDED"


def test_a_map_run_that_succeeded_is_not_redriven_but_run_anew() -> None:
    driven = Driven(chain(M=distributed(ItemsPath="$.items", OutputPath="$.missing")), {"items": [1]})
    first = driven.run()
    driven.give(MapRunClosed(first.wait, [1]))
    driven.give(RedriveRequested())
    assert driven.since("ExecutionRedriven") == ["ExecutionRedriven", "MapStateStarted", "MapRunStarted"]
    assert driven.run().arn != first.arn


def test_a_distributed_map_whose_run_never_started_starts_one() -> None:
    driven = Driven(chain(M=distributed(ItemsPath="$.items", ToleratedFailureCountPath="$.missing")), {"items": [1]})
    assert driven.status == "FAILED"
    driven.give(RedriveRequested())
    assert "MapIterationStarted" not in driven.types


def test_a_redrive_starts_the_time_limit_of_the_machine_again() -> None:
    driven = Driven({**chain(W={"Type": "Wait", "Seconds": 50}), "TimeoutSeconds": 10})
    limit = driven.execution.time_limit
    assert limit is not None
    driven.give(TimerDue(limit.wait), after=10)
    driven.give(RedriveRequested(), after=90)
    again = driven.execution.time_limit
    assert again is not None
    assert again.at == START + 110


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_only_what_ended_unhappily_is_redriven(status: str) -> None:
    driven = Driven(chain(T=task()))
    if status == "SUCCEEDED":
        driven.give(TaskReturned(driven.number(), 1))
    before = list(driven.journal)
    assert driven.give(RedriveRequested()) == []
    assert (driven.journal, driven.status) == (before, status)


def test_a_history_without_room_for_two_events_more_is_not_redriven() -> None:
    driven = Driven(chain(A={"Type": "Pass"}, B={"Type": "Pass"}), limits=Limits(history_events=5))
    assert (driven.status, len(driven.types)) == ("FAILED", 5)
    assert driven.give(RedriveRequested()) == []


def halted_after(type: str, definition: dict[str, Any], input: Any = None) -> Driven:
    """An execution that was stopped between two pages, right after an entry of this type, and redriven."""
    driven = Driven(definition, journal=[])
    event: Any = StartRequested({} if input is None else input, identity_of())
    while driven.types[-1:] != [type]:
        entries, _ = driven.interpreter.handle(event, Moment(driven.now, driven.random, str), page=1)
        driven.journal += entries
        event = None
    driven.give(StopRequested())
    driven.give(RedriveRequested())
    return driven


def test_a_state_that_was_about_to_be_entered_keeps_its_input_through_a_stop_and_a_redrive() -> None:
    driven = halted_after("PassStateExited", chain(A={"Type": "Pass", "Result": "kept"}, T=task()))
    assert driven.last("TaskStateEntered").details["input"] == "kept"


def test_an_iteration_that_starts_because_of_a_redrive_points_at_the_redrive() -> None:
    definition = chain(M=mapped(chain(I={"Type": "Pass"}), ItemsPath="$.items"))
    driven = halted_after("MapStateStarted", definition, {"items": [1]})
    assert driven.last("MapIterationStarted").previous == driven.last("ExecutionRedriven").id
    assert driven.types.count("MapStateStarted") == 1


# ---- fork --------------------------------------------------------------------------------------------------------


def forked(original: Driven, definition: dict[str, Any], state: str, **edits: Any) -> tuple[Driven, list[Command]]:
    """A copy that goes on from where the state was entered, and the commands its host is given."""
    cut = next(
        index
        for index, entry in enumerate(original.journal)
        if entry.type.endswith("Entered") and entry.details["name"] == state
    )
    fork = Driven(definition, journal=original.journal[:cut])
    return fork, fork.give(ForkRequested(original.journal[cut].frame, **edits))


DEFINITION = chain(
    A={"Type": "Pass", "Assign": {"v": "original"}},
    B={"Type": "Pass", "Parameters": {"in.$": "$", "v.$": "$v"}},
)

FORKS = [
    ({}, {"in": {"n": 1}, "v": "original"}),
    ({"input": 5}, {"in": 5, "v": "original"}),
    ({"input": None}, {"in": None, "v": "original"}),
    ({"variables": {"v": "edited"}}, {"in": {"n": 1}, "v": "edited"}),
    ({"variables": {"other": 1}}, {"in": {"n": 1}, "v": "original"}),
]


@pytest.mark.parametrize(("edits", "expected"), FORKS)
def test_a_fork_goes_on_with_edited_input_and_variables(edits: dict[str, Any], expected: Any) -> None:
    original = Driven(DEFINITION, {"n": 1})
    fork, _ = forked(original, DEFINITION, "B", **edits)
    assert fork.execution.output == expected
    assert original.execution.output == {"in": {"n": 1}, "v": "original"}


def test_a_fork_takes_on_the_waits_that_were_open() -> None:
    definition = chain(P=parallel(chain(A=task()), chain(B={"Type": "Pass"}, C=task(ACTIVITY))))
    fork, commands = forked(Driven(definition), definition, "C")
    assert {command.wait for command in commands} == set(fork.execution.waits())
    assert len(fork.execution.waits()) == 2


def test_a_fork_that_fails_at_once_cancels_nothing_that_nobody_opened() -> None:
    definition = chain(P=parallel(chain(A=task()), chain(B={"Type": "Pass"}, C={"Type": "Pass", "InputPath": "$.n"})))
    _, commands = forked(Driven(definition, {"n": 1}), definition, "C", input={})
    assert not any(isinstance(command, Cancel) for command in commands)
    assert isinstance(commands[-1], Close)


def test_the_time_of_a_fork_begins_with_the_fork() -> None:
    definition = {**chain(A={"Type": "Pass"}, T=task()), "TimeoutSeconds": 10}
    original = Driven(definition)
    cut = [entry.type for entry in original.journal].index("TaskStateEntered")
    fork = Driven(definition, journal=original.journal[:cut])
    commands = fork.give(ForkRequested(()), after=1_000)
    limit = fork.execution.time_limit
    assert limit is not None
    assert limit.at == START + 1_010
    assert [command for command in commands if isinstance(command, StartTimer)] == [limit]


def test_a_fork_starts_only_where_a_state_is_about_to_be_entered() -> None:
    driven = Driven(chain(T=task(ACTIVITY)))
    driven.give(TaskPickedUp(driven.number()))
    with pytest.raises(AssertionError, match="about to be entered"):
        driven.give(ForkRequested(()))

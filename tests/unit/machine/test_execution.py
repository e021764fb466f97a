"""Where an execution stands: open waits, their differences, and recovery."""

from __future__ import annotations

import pytest
from driven import ACTIVITY, Driven, chain, mapped, parallel, task

from treadle.machine.commands import StartTimer
from treadle.machine.events import TaskErred, TaskPickedUp, TaskReturned, TimerDue
from treadle.machine.execution import Execution, recover
from treadle.runtime.clock import START

DEFINITION = chain(
    A=task(Retry=[{"ErrorEquals": ["E"]}]),
    P=parallel(chain(B=task(ACTIVITY)), chain(M=mapped(chain(I=task()), ItemsPath="$.items", MaxConcurrency=1))),
)


@pytest.fixture(scope="module")
def driven() -> Driven:
    driven = Driven({**DEFINITION, "TimeoutSeconds": 1_000}, {"items": [1, 2]})
    driven.give(TaskErred(driven.number("A"), "E"))
    (retry,) = (each for each in driven.execution.waits().values() if each != driven.execution.time_limit)
    driven.give(TimerDue(retry.wait), after=1)
    driven.give(TaskReturned(driven.number("A"), {"items": [1, 2]}))
    driven.give(TaskPickedUp(driven.number("B")))
    driven.give(TaskReturned(driven.number("I"), 1))
    return driven


def test_a_recovered_execution_waits_for_the_same(driven: Driven) -> None:
    recovered = recover(driven.plan, driven.journal)
    assert recovered.waits() == driven.execution.waits()
    assert len(recovered.waits()) == 3


def test_a_recovered_execution_owes_its_host_no_command(driven: Driven) -> None:
    assert recover(driven.plan, driven.journal).take_difference() == ([], [])


def test_every_prefix_of_a_journal_is_a_place_to_recover(driven: Driven) -> None:
    for length in range(len(driven.journal) + 1):
        execution = recover(driven.plan, driven.journal[:length])
        assert execution.seq == length
        assert execution.events == max((entry.id for entry in driven.journal[:length]), default=0)


def test_a_difference_is_given_once() -> None:
    execution = Execution(Driven(DEFINITION).plan)
    for entry in Driven(DEFINITION).journal:
        execution.apply(entry)
    opened, closed = execution.take_difference()
    assert ([wait.wait for wait in opened], closed) == ([3], [])
    assert execution.take_difference() == ([], [])


def test_a_wait_that_opens_and_closes_between_two_looks_is_not_told() -> None:
    driven = Driven(chain(T=task()))
    driven.give(TaskReturned(driven.number(), 1))
    execution = Execution(driven.plan)
    for entry in driven.journal:
        execution.apply(entry)
    assert execution.take_difference() == ([], [])


def test_a_frame_is_found_by_its_path(driven: Driven) -> None:
    frame = driven.execution.frame((1, 1))
    assert frame.path == (1, 1)
    assert frame.state is not None
    assert frame.state.name == "I"


def test_the_time_limit_of_a_machine_is_a_wait(driven: Driven) -> None:
    assert driven.execution.time_limit == StartTimer(1, START + 1_000)
    assert driven.execution.waits()[1] == driven.execution.time_limit

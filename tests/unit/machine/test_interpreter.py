"""Events in, commands out: late and repeated ones, pages, stops and limits."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from driven import ACTIVITY, LAMBDA, REQUEST, SYNC, TOKEN, Driven, chain, distributed, mapped, parallel, task

from treadle.language.compile import plan_of
from treadle.machine.commands import Cancel, Close, RunTask, StartMapRun, StartTimer
from treadle.machine.events import (
    Event,
    JobAccepted,
    MapRunClosed,
    StartRequested,
    StopRequested,
    TaskErred,
    TaskPickedUp,
    TaskReturned,
    TimerDue,
)
from treadle.machine.execution import Execution
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.limits import Limits
from treadle.runtime.clock import START
from treadle.testing.world import identity_of

# ---- commands ----------------------------------------------------------------------------------------------------


def test_a_task_is_one_command_with_all_that_an_integration_needs() -> None:
    definition = chain(
        T=task(
            TOKEN,
            Parameters={"token.$": "$$.Task.Token"},
            TimeoutSeconds=60,
            HeartbeatSeconds=5,
            Credentials={"RoleArn": "role"},
        )
    )
    driven = Driven(definition)
    number = driven.number()
    assert driven.wait() == RunTask(
        wait=number,
        state="T",
        resource=TOKEN,
        arguments={"token": f"token-{number}"},
        phase="started",
        attempt=0,
        credentials={"RoleArn": "role"},
        token=f"token-{number}",
        timeout=60,
        deadline=START + 60,
        heartbeat=5,
    )


@pytest.mark.parametrize(
    ("resource", "has_token"), [(LAMBDA, False), (REQUEST, False), (ACTIVITY, True), (TOKEN, True), (SYNC, True)]
)
def test_only_what_is_ended_from_outside_has_a_token(resource: str, has_token: bool) -> None:
    assert (Driven(chain(T=task(resource))).task().token is not None) is has_token


def test_the_deadline_of_an_activity_runs_from_the_moment_a_worker_takes_it() -> None:
    driven = Driven(chain(T=task(ACTIVITY, TimeoutSeconds=10)))
    assert (driven.task().phase, driven.task().deadline) == ("scheduled", None)
    (command,) = driven.give(TaskPickedUp(driven.number(), "worker"), after=100)
    assert command == driven.task()
    assert (driven.task().phase, driven.task().deadline) == ("started", START + 110)
    assert driven.last("ActivityStarted").details == {"workerName": "worker"}


def test_a_job_that_was_accepted_gives_its_command_again() -> None:
    driven = Driven(chain(T=task(SYNC)))
    number = driven.number()
    (command,) = driven.give(JobAccepted(number, {"id": 1}))
    assert command == driven.task()
    assert (driven.task().wait, driven.task().phase, driven.task().job) == (number, "submitted", {"id": 1})


def test_a_wait_that_is_settled_is_cancelled_and_the_end_is_told() -> None:
    driven = Driven(chain(T=task()))
    assert driven.give(TaskReturned(driven.number(), 1)) == [Cancel(2 + 1), Close("SUCCEEDED", 1)]


def test_a_failure_cancels_the_waits_of_the_siblings() -> None:
    driven = Driven(chain(P=parallel(chain(A=task()), chain(B={"Type": "Wait", "Seconds": 9}), chain(C=task()))))
    numbers = set(driven.execution.waits())
    commands = driven.give(TaskErred(driven.number("A"), "E"))
    assert {command.wait for command in commands if isinstance(command, Cancel)} == numbers
    assert commands[-1] == Close("FAILED", None, "E", None)


@pytest.mark.parametrize(
    "definition",
    [
        chain(T=task()),
        chain(W={"Type": "Wait", "Seconds": 9}),
        chain(M=mapped(chain(I=task()), ItemsPath="$.items")),
        chain(D=distributed(ItemsPath="$.items")),
        {**chain(T=task(ACTIVITY)), "TimeoutSeconds": 9},
    ],
)
def test_a_stop_cancels_all_that_was_waited_for(definition: dict[str, Any]) -> None:
    driven = Driven(definition, {"items": [1, 2, 3]})
    numbers = set(driven.execution.waits())
    *cancels, close = driven.give(StopRequested("E", "C"))
    assert {command.wait for command in cancels if isinstance(command, Cancel)} == numbers
    assert close == Close("ABORTED", None, "E", "C")
    assert driven.execution.waits() == {}
    assert driven.last("ExecutionAborted").previous == 0


# ---- late, repeated and unfitting events -------------------------------------------------------------------------

OPEN: list[tuple[dict[str, Any], type, list[Event]]] = [
    (
        chain(W={"Type": "Wait", "Seconds": 9}),
        StartTimer,
        [TaskReturned(2, 1), TaskErred(2), TaskPickedUp(2), JobAccepted(2, 1), MapRunClosed(2)],
    ),
    (chain(T=task(LAMBDA)), RunTask, [TaskPickedUp(2), JobAccepted(2, 1), MapRunClosed(2)]),
    (chain(T=task(REQUEST)), RunTask, [TaskPickedUp(2), JobAccepted(2, 1), MapRunClosed(2)]),
    (chain(T=task(SYNC)), RunTask, [TaskPickedUp(2), MapRunClosed(2)]),
    (
        chain(T=task(ACTIVITY)),
        RunTask,
        [TaskReturned(2, 1), JobAccepted(2, 1), TimerDue(2, "timeout"), TimerDue(2, "heartbeat"), MapRunClosed(2)],
    ),
    (
        chain(D=distributed(ItemsPath="$.items")),
        StartMapRun,
        [TimerDue(2), TaskReturned(2, 1), TaskErred(2), JobAccepted(2, 1), TaskPickedUp(2)],
    ),
]


@pytest.mark.parametrize(("definition", "kind", "events"), OPEN)
def test_an_event_that_does_not_fit_its_wait_changes_nothing(
    definition: dict[str, Any], kind: type, events: list[Event]
) -> None:
    driven = Driven(definition, {"items": [1]})
    assert isinstance(driven.wait(), kind)
    before = list(driven.journal)
    for event in events:
        assert driven.give(msgspec.structs.replace(event, wait=driven.number())) == []
    assert driven.journal == before
    assert len(driven.execution.waits()) == 1


def test_only_a_timer_ends_the_time_of_the_machine() -> None:
    driven = Driven({**chain(T=task()), "TimeoutSeconds": 9})
    limit = driven.execution.time_limit
    assert limit is not None
    assert driven.give(TaskReturned(limit.wait, 1)) == []
    driven.give(TimerDue(limit.wait))
    assert driven.status == "TIMED_OUT"


@pytest.mark.parametrize(
    "late",
    [TaskReturned(3, 1), TaskErred(3, "E"), TimerDue(3, "timeout"), JobAccepted(3, 1), TaskPickedUp(3), TimerDue(99)],
)
def test_a_late_event_changes_nothing(late: Event) -> None:
    driven = Driven(chain(T=task(), W={"Type": "Wait", "Seconds": 9}))
    assert driven.number() == 3
    driven.give(TaskReturned(3, 1))
    before = list(driven.journal)
    assert driven.give(late) == []
    assert driven.journal == before


@pytest.mark.parametrize("again", [StartRequested({}, identity_of()), StopRequested()])
def test_a_closed_execution_is_neither_started_nor_stopped(again: Event) -> None:
    driven = Driven(chain(S={"Type": "Succeed"}))
    before = list(driven.journal)
    assert driven.give(again) == []
    assert driven.journal == before


def test_an_execution_is_closed_once() -> None:
    driven = Driven(chain(T=task()))
    driven.give(StopRequested())
    for event in (None, StopRequested(), TaskReturned(3, 1)):
        assert driven.give(event) == []


# ---- pages -------------------------------------------------------------------------------------------------------


def test_a_full_page_is_carried_on_with_none() -> None:
    plan = plan_of(chain(A={"Type": "Pass"}, B={"Type": "Pass"}, C={"Type": "Pass"}))
    interpreter = Interpreter(Execution(plan))
    moment = Moment(START, random.Random(0), str)
    event: Event | None = StartRequested({}, identity_of())
    pages: list[int] = []
    while not pages or pages[-1]:
        entries, _ = interpreter.handle(event, moment, page=3)
        pages.append(len(entries))
        event = None
    assert pages == [3, 3, 2, 0]
    assert interpreter.execution.status == "SUCCEEDED"


def test_twenty_five_thousand_states_need_no_deep_stack() -> None:
    definition = chain(
        A={"Type": "Pass", "Next": "B"},
        B={"Type": "Choice", "Choices": [{"Variable": "$$.State.Name", "IsPresent": True, "Next": "A"}]},
    )
    driven = Interpreter(Execution(plan_of(definition)))
    entries, commands = driven.handle(StartRequested({}, identity_of()), Moment(START, random.Random(0), str))
    assert entries[-1].id == 25_000
    assert commands == [
        Close(
            "FAILED",
            None,
            "States.Runtime",
            "The execution reached the maximum number of history events (25000).",
        )
    ]


# ---- limits ------------------------------------------------------------------------------------------------------

BUSY = chain(P=parallel(*(chain(**{f"T{index}": task()}) for index in range(4))), Z={"Type": "Succeed"})


@pytest.mark.parametrize("most", range(2, 30))
def test_a_history_is_never_longer_than_its_limit(most: int) -> None:
    driven = Driven(BUSY, limits=Limits(history_events=most))
    while driven.status == "RUNNING":
        number = max(driven.execution.waits())
        driven.give(TaskReturned(number, 1) if number % 2 else TaskErred(number, "E"))
    assert len(driven.types) <= most
    assert driven.types[-1] == "ExecutionFailed"


def test_an_event_that_finds_the_history_full_ends_the_execution() -> None:
    driven = Driven(chain(T=task()), limits=Limits(history_events=5))
    assert len(driven.types) == 4
    driven.give(TaskReturned(driven.number(), 1))
    assert driven.types[-1] == "ExecutionFailed"
    assert driven.execution.error == "States.Runtime"

"""What each type of entry changes: the second half of `Execution.apply`, one small function per kind of entry.

Nothing here evaluates or decides: whatever an entry depends on stands in the entry or in the execution. A new type of
entry needs a row in CHANGES.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from treadle.language.plan import MapPlan, ParallelPlan, TaskPlan, WaitPlan
from treadle.machine.commands import RunTask, StartMapRun, StartTimer, Status
from treadle.machine.events import Identity
from treadle.machine.frame import (
    ABORT,
    ABORTING,
    CATCH,
    DONE,
    END,
    ENTER,
    EXIT,
    FAILED,
    HALTED,
    LAUNCH,
    RECOVER,
    RELAUNCH,
    RUN,
    SPAWN,
    START,
    SUCCEED,
    WAIT,
    Failure,
    Frame,
    child,
    map_item,
)
from treadle.machine.journal import ABORTED, ENTERED, EXITED, Entry

if TYPE_CHECKING:
    from treadle.machine.execution import Execution

ENDS: Final[dict[str, Status]] = {
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}
"""The status that an unhappy last entry leaves."""

_Change: TypeAlias = Callable[["Execution", Frame, Entry], None]


def _execution_started(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.status = "RUNNING"
    execution.identity = identity = msgspec.convert(entry.note["identity"], Identity)
    execution.started_at = entry.at
    execution.input = frame.value = entry.details["input"]
    execution.input_text = entry.note.get("text")
    frame.item = identity.item
    frame.previous = 0  # observed on AWS: the first state points at nothing
    execution.limit_time(entry.at)


def _execution_succeeded(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.output = entry.details["output"]
    frame.todo = DONE
    execution.end("SUCCEEDED")


def _execution_failed(execution: Execution, frame: Frame, entry: Entry) -> None:
    # The frame keeps its value: a redrive may have to enter the next state with it.
    execution.error, execution.cause = entry.details.get("error"), entry.details.get("cause")
    execution.end(ENDS[entry.type])


def _execution_redriven(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.status = "RUNNING"
    execution.error = execution.cause = None
    execution.redrives = entry.details["redriveCount"]
    execution.redriven_at = entry.at
    execution.limit_time(entry.at)
    for each in frame.below():
        each.previous = each.spawned_after = entry.id
        _resume(each)


def _resume(frame: Frame) -> None:
    """AWS 'Redrive': what has ended stays, what had been entered and not exited runs again."""
    state = frame.state
    frame.attempts = {}
    frame.failed = -1
    if state is None:
        frame.todo = ENTER if frame.next is not None else END
    elif state.type == "Fail":
        frame.todo, frame.next, frame.value, frame.state = ENTER, state.name, frame.input, None
    elif frame.run is not None:
        frame.todo = RELAUNCH
    elif len(frame.results) < len(frame.items) and not (isinstance(state, MapPlan) and state.distribution):
        frame.todo = _spawning(frame)
    else:
        frame.todo = RUN
        _clear(frame)


def _execution_forked(execution: Execution, frame: Frame, entry: Entry) -> None:
    if "input" in entry.note:
        frame.value = entry.note["input"]
    if "variables" in entry.note:
        frame.variables = {**frame.variables, **entry.note["variables"]}
    execution.limit_time(entry.at)  # a copy made much later must not be out of time at once


def _state_entered(execution: Execution, frame: Frame, entry: Entry) -> None:
    details = entry.details
    frame.state = frame.plan.states[details["name"]]
    frame.input = details["input"]
    frame.entered_after = entry.previous
    frame.entered_id = entry.id
    frame.entered_at = entry.at
    frame.todo = RUN


def _state_exited(execution: Execution, frame: Frame, entry: Entry) -> None:
    details = entry.details
    note = entry.note
    frame.next = following = note["next"] if note else frame.state.next  # pyright: ignore[reportOptionalMemberAccess]
    frame.value = details["output"]
    if "assignedVariables" in details:
        frame.variables = {**frame.variables, **details["assignedVariables"]}
    if frame.attempts:
        frame.attempts = {}
    if frame.items or frame.run is not None:
        _clear(frame)
    frame.state = None
    frame.todo = END if following is None else ENTER


def _clear(frame: Frame) -> None:
    """Forget what a Map or Parallel held."""
    frame.children, frame.results, frame.items, frame.keys = {}, {}, [], None
    frame.started, frame.failed = 0, -1
    frame.run = frame.taken = None


def _state_aborted(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.settle(frame)
    frame.todo = ABORTING


def _failed(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.settle(frame)
    frame.value = Failure.of(entry)
    frame.todo = ABORT if frame.children else RECOVER


# ---- Task ----


def _task_scheduled(execution: Execution, frame: Frame, entry: Entry) -> None:
    details, note = entry.details, entry.note
    assert isinstance(frame.state, TaskPlan)
    task = RunTask(
        wait=execution.seq,
        state=frame.state.name,
        resource=frame.state.resource.arn,
        arguments=details["parameters"] if "parameters" in details else details["input"],
        phase="scheduled",
        attempt=frame.retries,
        credentials=note.get("credentials"),
        token=note.get("token"),
        timeout=details.get("timeoutInSeconds"),
        heartbeat=details.get("heartbeatInSeconds", note.get("heartbeatInSeconds")),
    )
    if entry.type == "ActivityScheduled":
        execution.open(frame, task)
    else:
        frame.todo, frame.value = START, task


def _task_started(execution: Execution, frame: Frame, entry: Entry) -> None:
    wait = frame.value if frame.wait is None else frame.wait
    assert isinstance(wait, RunTask)
    # ASL 'TimeoutSeconds': the clock starts when the task starts.
    deadline = entry.at + wait.timeout if wait.timeout is not None else None
    execution.open(frame, msgspec.structs.replace(wait, phase="started", deadline=deadline))


def _task_submitted(execution: Execution, frame: Frame, entry: Entry) -> None:
    wait = frame.wait
    assert isinstance(wait, RunTask)
    execution.open(frame, msgspec.structs.replace(wait, phase="submitted", job=entry.details["output"]))


def _task_succeeded(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.settle(frame)
    frame.value = entry.details["output"]
    frame.todo = EXIT


# ---- timers ----


def _retry_scheduled(execution: Execution, frame: Frame, entry: Entry) -> None:
    retrier = entry.note["retrier"]
    frame.attempts = {**frame.attempts, retrier: frame.attempts.get(retrier, 0) + 1}
    _clear(frame)
    execution.open(frame, StartTimer(execution.seq, entry.note["at"]))


def _wait_scheduled(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.open(frame, StartTimer(execution.seq, entry.note["at"]))


def _timer_fired(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.settle(frame)
    if isinstance(frame.state, WaitPlan):
        frame.todo, frame.value = EXIT, frame.input
    else:
        frame.todo = RUN


# ---- Parallel and Map ----


def _spawning(frame: Frame) -> str:
    """Whether a Map can start an iteration or end, or must wait for one to end."""
    live = len(frame.children)
    if frame.started < len(frame.items):
        return SPAWN if not frame.concurrency or live < frame.concurrency else WAIT
    return WAIT if live else SPAWN


def _parallel_started(execution: Execution, frame: Frame, entry: Entry) -> None:
    assert isinstance(frame.state, ParallelPlan)
    _clear(frame)
    frame.items = [entry.note["input"]] * len(frame.state.branches)
    frame.started = len(frame.items)
    for index, argument in enumerate(frame.items):
        branch = child(frame, index)
        branch.value = argument
        branch.previous = entry.id
    frame.todo = WAIT


def _map_started(execution: Execution, frame: Frame, entry: Entry) -> None:
    assert isinstance(frame.state, MapPlan)
    note = entry.note
    _clear(frame)
    frame.items, frame.keys, frame.taken = note["items"], note.get("keys"), note["taken"]
    frame.concurrency = note["concurrency"]
    frame.spawned_after = entry.id
    frame.todo = SPAWN if frame.state.distribution is None else LAUNCH


def _iteration_started(execution: Execution, frame: Frame, entry: Entry) -> None:
    parent = _parent(frame)
    index = entry.frame[-1]
    frame.value = entry.note["input"]
    frame.item = map_item(parent, index)
    parent.started = index + 1
    parent.todo = _spawning(parent)


def _child_succeeded(execution: Execution, frame: Frame, entry: Entry) -> None:
    parent = _parent(frame)
    index = entry.frame[-1]
    parent.results[index] = entry.note["output"]
    del parent.children[index]
    frame.todo = DONE
    parent.previous = entry.id or entry.previous
    parent.spawned_after = entry.previous
    parent.todo = _spawning(parent)


def _child_failed(execution: Execution, frame: Frame, entry: Entry) -> None:
    parent = _parent(frame)
    frame.todo = FAILED
    parent.value = Failure.of(entry)
    parent.failed = entry.frame[-1]
    parent.previous = entry.previous
    parent.todo = ABORT


def _child_aborted(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.settle(frame)
    frame.todo = HALTED


def _parent(frame: Frame) -> Frame:
    assert frame.parent is not None
    return frame.parent


def _all_succeeded(execution: Execution, frame: Frame, entry: Entry) -> None:
    if frame.todo != SUCCEED:
        frame.value = [frame.results[index] for index in range(len(frame.items))]
    frame.todo = EXIT


def _state_failed(execution: Execution, frame: Frame, entry: Entry) -> None:
    frame.value = Failure.of(entry)
    frame.todo = CATCH


# ---- distributed Map ----


def _map_run_started(execution: Execution, frame: Frame, entry: Entry) -> None:
    assert frame.state is not None
    frame.run = StartMapRun(
        wait=execution.seq,
        state=frame.state.name,
        arn=entry.details["mapRunArn"],
        settings=entry.note["settings"],
        redrive=entry.details.get("redriveCount", 0),
    )
    execution.open(frame, frame.run)


def _map_run_failed(execution: Execution, frame: Frame, entry: Entry) -> None:
    _failed(execution, frame, entry)
    # AWS 'Redrive Map Runs': after these a redrive starts a new map run.
    if entry.details.get("error") in ("States.DataLimitExceeded", "States.Runtime"):
        frame.run = None


def _map_run_aborted(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.settle(frame)


def _map_run_succeeded(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.settle(frame)
    frame.run = None  # what succeeded is never redriven
    frame.value = entry.note["output"]
    frame.todo = SUCCEED


CHANGES: Final[dict[str, _Change]] = {
    "ExecutionStarted": _execution_started,
    "ExecutionSucceeded": _execution_succeeded,
    **dict.fromkeys(ENDS, _execution_failed),
    "ExecutionRedriven": _execution_redriven,
    "ExecutionForked": _execution_forked,
    **dict.fromkeys(ENTERED.values(), _state_entered),
    **dict.fromkeys(EXITED.values(), _state_exited),
    **dict.fromkeys(ABORTED.values(), _state_aborted),
    "EvaluationFailed": _failed,
    **dict.fromkeys(("TaskScheduled", "LambdaFunctionScheduled", "ActivityScheduled"), _task_scheduled),
    **dict.fromkeys(("TaskStarted", "LambdaFunctionStarted", "ActivityStarted"), _task_started),
    "TaskSubmitted": _task_submitted,
    **dict.fromkeys(("TaskSucceeded", "LambdaFunctionSucceeded", "ActivitySucceeded"), _task_succeeded),
    **dict.fromkeys(("TaskFailed", "TaskTimedOut", "TaskStartFailed", "TaskSubmitFailed"), _failed),
    **dict.fromkeys(("LambdaFunctionFailed", "LambdaFunctionTimedOut"), _failed),
    **dict.fromkeys(("LambdaFunctionScheduleFailed", "LambdaFunctionStartFailed"), _failed),
    **dict.fromkeys(("ActivityFailed", "ActivityTimedOut", "ActivityScheduleFailed"), _failed),
    "RetryScheduled": _retry_scheduled,
    "WaitScheduled": _wait_scheduled,
    "TimerFired": _timer_fired,
    "ParallelStateStarted": _parallel_started,
    "MapStateStarted": _map_started,
    "MapIterationStarted": _iteration_started,
    **dict.fromkeys(("MapIterationSucceeded", "BranchSucceeded"), _child_succeeded),
    **dict.fromkeys(("MapIterationFailed", "BranchFailed"), _child_failed),
    **dict.fromkeys(("MapIterationAborted", "BranchAborted"), _child_aborted),
    **dict.fromkeys(("ParallelStateSucceeded", "MapStateSucceeded"), _all_succeeded),
    **dict.fromkeys(("ParallelStateFailed", "MapStateFailed"), _state_failed),
    **dict.fromkeys(("MapRunStarted", "MapRunRedriven"), _map_run_started),
    "MapRunSucceeded": _map_run_succeeded,
    "MapRunFailed": _map_run_failed,
    "MapRunAborted": _map_run_aborted,
}

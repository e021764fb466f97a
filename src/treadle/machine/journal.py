"""The journal: what an execution did, one entry per step, and how AWS shows it.

An entry is written for everything that changes the state of an execution. Most entries are history events of AWS and
carry an id; the hidden ones (id 0) hold what AWS keeps to itself: a retry that waits, a branch that ended. `details` is
what AWS shows, `note` what only `Execution.apply` needs. `number` is the one place that knows AWS's numbering,
`history_event` the one place that knows AWS's shapes. Must never change an execution: that is execution.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from treadle.language.scope import Json

FramePath: TypeAlias = tuple[int, ...]
"""() is the execution itself, (1,) its second branch or iteration, (1, 4) the fifth of that one's."""


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step of an execution. `at` is seconds since the epoch."""

    type: str
    id: int
    previous: int
    frame: FramePath
    at: float
    details: dict[str, Json]
    note: dict[str, Json]


NOTHING: Final[dict[str, Json]] = {}
"""Shared by all entries that have no details or no note."""

STATE_TYPES: Final = ("Pass", "Task", "Wait", "Choice", "Parallel", "Map", "Succeed", "Fail")
ENTERED: Final = {state: f"{state}StateEntered" for state in STATE_TYPES}
EXITED: Final = {state: f"{state}StateExited" for state in STATE_TYPES if state != "Fail"}
ABORTED: Final = {state: f"{state}StateAborted" for state in ("Task", "Wait", "Parallel", "Map")}

HIDDEN: Final = frozenset(
    (
        "BranchSucceeded",
        "BranchFailed",
        "BranchAborted",
        "ExecutionForked",
        "RetryScheduled",
        "TimerFired",
        "WaitScheduled",
    )
)
"""Entries that AWS does not show."""


# ---- numbering ---------------------------------------------------------------------------------------------------


class Numbered(Protocol):
    """What numbering reads of a frame."""

    previous: int
    entered_after: int
    entered_id: int
    spawned_after: int
    parent: Any
    state: Any
    todo: str


def _nowhere(frame: Numbered) -> int:
    return 0


def _after_iteration(frame: Numbered) -> int:
    """Observed on AWS: an iteration starts after the last event inside the iteration that made room for it."""
    return frame.parent.spawned_after


def _with_the_entering(frame: Numbered) -> int:
    """Observed on AWS: EvaluationFailed points where its state's Entered points, in a Wait at the Entered itself."""
    return frame.entered_id if frame.state.type == "Wait" else frame.entered_after


def _with_the_failing(frame: Numbered) -> int:
    """Observed on AWS: what a failure aborts points at the failing event, as the failure of the whole state does."""
    around, spawning = frame.parent, frame.parent
    while around is not None and around.todo != "abort":
        # Without an entry that tells of it: ItemSelector failed for the next iteration.
        if around.todo == "spawn":
            spawning = around
        around = around.parent
    return (spawning if around is None else around).previous


IRREGULAR: Final[dict[str, Callable[[Numbered], int]]] = {
    "EvaluationFailed": _with_the_entering,
    "ExecutionStarted": _nowhere,
    # Observed on AWS: a stop points nowhere.
    "ExecutionAborted": _nowhere,
    "MapIterationStarted": _after_iteration,
    "MapIterationAborted": _with_the_failing,
    **dict.fromkeys(ABORTED.values(), _with_the_failing),
}
"""previousEventId where it is not simply the last event of the frame."""

KEEPS_PREVIOUS: Final = HIDDEN | {
    # Observed on AWS: what follows points past these, to the event before them.
    "ParallelStateSucceeded",
    "MapStateSucceeded",
    "MapIterationFailed",
    "MapIterationAborted",
    "TaskStateAborted",
    "WaitStateAborted",
    "ParallelStateAborted",
    "MapStateAborted",
}
"""Types that do not become the previous event of what follows in their frame."""


def number(type: str, frame: Numbered, last_id: int) -> tuple[int, int]:
    """The id and previousEventId of an entry of this type, written for this frame."""
    if type in HIDDEN:
        return 0, frame.previous
    irregular = IRREGULAR.get(type)
    return last_id + 1, frame.previous if irregular is None else irregular(frame)


# ---- AWS's view --------------------------------------------------------------------------------------------------

_INPUT: Final = {"input": "inputDetails"}
_OUTPUT: Final = {"output": "outputDetails"}
_TEXTS: Final = {**_INPUT, **_OUTPUT, "parameters": None}

DETAILS: Final[dict[str, str | None]] = {
    "ExecutionStarted": "executionStartedEventDetails",
    "ExecutionSucceeded": "executionSucceededEventDetails",
    "ExecutionFailed": "executionFailedEventDetails",
    "ExecutionAborted": "executionAbortedEventDetails",
    "ExecutionTimedOut": "executionTimedOutEventDetails",
    "ExecutionRedriven": "executionRedrivenEventDetails",
    **dict.fromkeys(ENTERED.values(), "stateEnteredEventDetails"),
    **dict.fromkeys(EXITED.values(), "stateExitedEventDetails"),
    **dict.fromkeys(ABORTED.values()),
    "LambdaFunctionScheduled": "lambdaFunctionScheduledEventDetails",
    "LambdaFunctionStarted": None,
    "LambdaFunctionSucceeded": "lambdaFunctionSucceededEventDetails",
    "LambdaFunctionFailed": "lambdaFunctionFailedEventDetails",
    "LambdaFunctionTimedOut": "lambdaFunctionTimedOutEventDetails",
    "LambdaFunctionScheduleFailed": "lambdaFunctionScheduleFailedEventDetails",
    "LambdaFunctionStartFailed": "lambdaFunctionStartFailedEventDetails",
    "ActivityScheduled": "activityScheduledEventDetails",
    "ActivityStarted": "activityStartedEventDetails",
    "ActivitySucceeded": "activitySucceededEventDetails",
    "ActivityFailed": "activityFailedEventDetails",
    "ActivityTimedOut": "activityTimedOutEventDetails",
    "ActivityScheduleFailed": "activityScheduleFailedEventDetails",
    "TaskScheduled": "taskScheduledEventDetails",
    "TaskStarted": "taskStartedEventDetails",
    "TaskSubmitted": "taskSubmittedEventDetails",
    "TaskSucceeded": "taskSucceededEventDetails",
    "TaskFailed": "taskFailedEventDetails",
    "TaskTimedOut": "taskTimedOutEventDetails",
    "TaskStartFailed": "taskStartFailedEventDetails",
    "TaskSubmitFailed": "taskSubmitFailedEventDetails",
    "ParallelStateStarted": None,
    "ParallelStateSucceeded": None,
    "ParallelStateFailed": None,
    "MapStateStarted": "mapStateStartedEventDetails",
    "MapStateSucceeded": None,
    "MapStateFailed": None,
    "MapIterationStarted": "mapIterationStartedEventDetails",
    "MapIterationSucceeded": "mapIterationSucceededEventDetails",
    "MapIterationFailed": "mapIterationFailedEventDetails",
    "MapIterationAborted": "mapIterationAbortedEventDetails",
    "MapRunStarted": "mapRunStartedEventDetails",
    "MapRunSucceeded": None,
    "MapRunFailed": "mapRunFailedEventDetails",
    "MapRunAborted": None,
    "MapRunRedriven": "mapRunRedrivenEventDetails",
    "EvaluationFailed": "evaluationFailedEventDetails",
}
"""The 62 history event types of AWS and the member that holds their details, None where there is none."""

_encode = msgspec.json.Encoder().encode


def json_text(value: Json) -> str:
    """A JSON value as AWS writes it into a history: compact, not escaped beyond need."""
    return _encode(value).decode()


def history_event(entry: Entry, include_data: bool = True) -> dict[str, Json]:
    """A visible entry in the shape of GetExecutionHistory. Without `include_data`, inputs and outputs are left out."""
    event: dict[str, Json] = {
        "timestamp": entry.at,
        "type": entry.type,
        "id": entry.id,
        "previousEventId": entry.previous,
    }
    member = DETAILS[entry.type]
    if member:
        event[member] = shown = dict(_shown(entry.details, include_data))
        if include_data and "text" in entry.note:
            shown["input"] = entry.note["text"]
    return event


def _shown(details: dict[str, Json], include_data: bool) -> Iterator[tuple[str, Json]]:
    for key, value in details.items():
        if key in _TEXTS:
            if include_data:
                yield key, json_text(value)
                if extra := _TEXTS[key]:
                    yield extra, {"truncated": False}
        elif key == "assignedVariables":
            if include_data:
                yield key, {name: json_text(assigned) for name, assigned in value.items()}
                yield "assignedVariablesDetails", {"truncated": False}
        elif value is not None:
            yield key, value


def history(journal: Iterable[Entry], include_data: bool = True) -> list[dict[str, Json]]:
    """The public history: the journal less its hidden entries and notes."""
    return [history_event(entry, include_data) for entry in journal if entry.id]

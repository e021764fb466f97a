"""Where one execution stands, and the only function that changes it.

Owns frames, open waits and the status. `Execution.apply` takes the entries of the journal one by one, live and in
recovery alike, and evaluates nothing: whatever an entry depends on stands in the entry. It must never decide what
comes next (interpreter.py does) and never read a clock.

A frame is one running scope. Its `todo` says what comes next in it; when the world must move first it is WAIT. A frame
that failed for good is not thrown away before its parent moves on, since a redrive goes on from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from treadle.language.plan import MapPlan, ParallelPlan, Plan, StatePlan, TaskPlan, WaitPlan
from treadle.language.scope import Json
from treadle.machine.commands import RunTask, StartMapRun, StartTimer, Status, Wait
from treadle.machine.events import Identity
from treadle.machine.journal import ABORTED, ENTERED, EXITED, KEEPS_PREVIOUS, Entry, FramePath

# ---- what comes next in a frame ----
ENTER: Final = "enter"  # enter the state `next` with `value`
RUN: Final = "run"  # do what the state is for
SPAWN: Final = "spawn"  # start the next iteration, or end the state when all have ended
LAUNCH: Final = "launch"  # start the map run
RELAUNCH: Final = "relaunch"  # redrive the map run
SUCCEED: Final = "succeed"  # say that a map run brought the result `value`
EXIT: Final = "exit"  # leave the state with the result `value`
RECOVER: Final = "recover"  # retry, or fail, after the failure `value`
CATCH: Final = "catch"  # catch, or fail the scope, after the failure `value`
ABORT: Final = "abort"  # abort what still runs inside, after one child failed
END: Final = "end"  # the scope is through; its output is `value`
WAIT: Final = "wait"  # the world must move first
FAILED: Final = "failed"  # failed for good; its siblings are being aborted
ABORTING: Final = "aborting"  # its state has been aborted, the scope not yet
HALTED: Final = "halted"  # aborted, kept for a redrive
DONE: Final = "done"  # ended and gone

ENDS: Final[dict[str, Status]] = {
    "ExecutionFailed": "FAILED",
    "ExecutionAborted": "ABORTED",
    "ExecutionTimedOut": "TIMED_OUT",
}
"""The status that an unhappy last entry leaves."""


class Failure(msgspec.Struct, frozen=True):
    """An error on its way through retriers and catchers.

    `also` is a second name that the error answers to. A `final` one can be neither retried nor caught, one that failed
    `here` not by this state. `task` tells that a Task was the cause.
    """

    error: str | None = None
    cause: str | None = None
    also: str | None = None
    final: bool = False
    here: bool = False
    task: bool = False

    def names(self) -> frozenset[str]:
        """The names that ErrorEquals may match."""
        return frozenset(name for name in (self.error, self.also) if name is not None)

    @staticmethod
    def of(entry: Entry) -> Failure:
        """The failure that an entry tells of."""
        told = {**entry.details, **entry.note}
        return Failure(**{field: told[field] for field in Failure.__struct_fields__ if field in told})


class Frame:
    """One running scope: the execution, a Parallel branch or a Map iteration."""

    __slots__ = (
        "attempts",
        "children",
        "concurrency",
        "entered_after",
        "entered_at",
        "entered_id",
        "failed",
        "input",
        "item",
        "items",
        "keys",
        "next",
        "parent",
        "path",
        "plan",
        "previous",
        "queued",
        "results",
        "run",
        "spawned_after",
        "started",
        "state",
        "taken",
        "todo",
        "value",
        "variables",
        "wait",
    )

    def __init__(self, plan: Plan, parent: Frame | None, path: FramePath, variables: dict[str, Json]) -> None:
        self.plan = plan
        self.parent = parent
        self.path = path
        self.variables = variables  # a view of what is visible: replaced, never changed in place
        self.todo = ENTER
        self.next: str | None = plan.start_at
        self.state: StatePlan | None = None
        self.value: Any = None  # what enters next, the result, or the Failure, as `todo` says
        self.input: Json = None  # the raw input of the state
        self.item: dict[str, Json] | None = None  # the `Map` part of the context object
        self.previous = 0  # the last history event of this scope
        self.entered_id = 0
        self.entered_after = 0
        self.entered_at = 0.0
        self.attempts: dict[int, int] = {}  # by retrier, for this visit of the state
        self.wait: Wait | None = None
        self.queued = False  # whether the interpreter has it in its heap
        # ---- Map and Parallel ----
        self.children: dict[int, Frame] = {}
        self.items: list[Json] = []
        self.keys: list[str] | None = None
        self.taken: Json = None  # what ItemSelector sees as `$`
        self.results: dict[int, Json] = {}
        self.started = 0
        self.concurrency = 0
        self.spawned_after = 0
        self.failed = -1  # the child whose failure ended the state
        self.run: StartMapRun | None = None  # the map run of a distributed Map

    def __lt__(self, other: Frame) -> bool:
        """Outer before inner, then by branch or iteration: the order in which ready frames are taken."""
        return self.path < other.path

    @property
    def retries(self) -> int:
        """How often the state has been retried in this visit."""
        return sum(self.attempts.values())

    def below(self) -> Iterator[Frame]:
        """This frame and all inside it."""
        todo = [self]
        while todo:
            frame = todo.pop()
            yield frame
            todo.extend(frame.children.values())


class Execution:
    """Where one execution stands. Plain data; only `apply` changes it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.root = Frame(plan, None, (), {})
        self.status: Status | None = None
        self.identity: Identity | None = None
        self.input: Json = None
        self.output: Json = None
        self.error: str | None = None
        self.cause: str | None = None
        self.started_at = 0.0
        self.redrives = 0
        self.redriven_at: float | None = None
        self.seq = 0  # entries applied so far; a wait is named by the entry that opened it
        self.known = 0  # waits up to here are known to the host
        self.events = 0  # the last history event id
        self.time_limit: StartTimer | None = None
        self.waiting: dict[int, Frame] = {}
        # What has changed since these were last taken; together they are the difference of open waits.
        self.opened: dict[int, Wait] = {}
        self.closed: list[int] = []

    def waits(self) -> dict[int, Wait]:
        """All open waits, by number."""
        waits: dict[int, Wait] = {seq: frame.wait for seq, frame in self.waiting.items() if frame.wait is not None}
        if self.time_limit is not None:
            waits[self.time_limit.wait] = self.time_limit
        return waits

    def frame(self, path: FramePath) -> Frame:
        """The frame at a path."""
        frame = self.root
        for index in path:
            frame = frame.children[index]
        return frame

    def apply(self, entry: Entry) -> Frame:
        """Take one entry of the journal; gives the frame it was about."""
        frame = self.root
        for index in entry.frame:
            frame = child(frame, index)
        self.change(frame, entry)
        return frame

    def change(self, frame: Frame, entry: Entry) -> None:
        """Apply an entry to its frame, where the caller has the frame at hand."""
        self.seq += 1
        if entry.id:
            self.events = entry.id
            if entry.type not in KEEPS_PREVIOUS:
                frame.previous = entry.id
        _CHANGES[entry.type](self, frame, entry)

    def take_difference(self) -> tuple[list[Wait], list[int]]:
        """The waits opened, and the numbers of those closed, since the last time."""
        opened, closed = list(self.opened.values()), self.closed
        self.opened, self.closed, self.known = {}, [], self.seq
        return opened, closed

    def open(self, frame: Frame, wait: Wait) -> None:
        """The frame waits for the world from now on."""
        frame.wait = wait
        frame.todo = WAIT
        self.waiting[wait.wait] = frame
        self.opened[wait.wait] = wait

    def settle(self, frame: Frame) -> None:
        """The frame waits no longer."""
        wait = frame.wait
        if wait is not None:
            frame.wait = None
            del self.waiting[wait.wait]
            self._forget(wait.wait)

    def end(self, status: Status) -> None:
        """The execution is over: nothing is waited for any more. Its frames stay, for a redrive."""
        self.status = status
        for frame in list(self.waiting.values()):
            self.settle(frame)
        if self.time_limit is not None:
            self._forget(self.time_limit.wait)
            self.time_limit = None

    def limit_time(self, since: float) -> None:
        """Start the clock of the machine's own TimeoutSeconds."""
        if self.plan.timeout is not None:
            self.time_limit = StartTimer(self.seq, since + self.plan.timeout)
            self.opened[self.seq] = self.time_limit

    def _forget(self, seq: int) -> None:
        self.opened.pop(seq, None)
        if seq <= self.known:
            self.closed.append(seq)


def child(parent: Frame, index: int) -> Frame:
    """The frame of a branch or iteration, a new one when it does not exist yet."""
    frame = parent.children.get(index)
    if frame is None:
        match parent.state:
            case MapPlan(processor=plan):
                pass
            case ParallelPlan(branches=branches):
                plan = branches[index]
            case other:
                raise AssertionError(f"{other} has nothing inside")
        frame = Frame(plan, parent, (*parent.path, index), parent.variables)
        frame.item = parent.item
        parent.children[index] = frame
    return frame


def recover(plan: Plan, journal: Iterable[Entry]) -> Execution:
    """The execution after these entries: all that crash recovery is. The host knows its open waits already."""
    execution = Execution(plan)
    apply = execution.apply
    for entry in journal:
        apply(entry)
    execution.take_difference()
    return execution


# ---- what each type of entry changes -----------------------------------------------------------------------------

_Change: TypeAlias = Callable[[Execution, Frame, Entry], None]


def _execution_started(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.status = "RUNNING"
    execution.identity = identity = msgspec.convert(entry.note["identity"], Identity)
    execution.started_at = entry.at
    execution.input = frame.value = entry.details["input"]
    frame.item = identity.item
    frame.previous = 0  # observed on AWS: the first state points at nothing
    execution.limit_time(entry.at)


def _execution_succeeded(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.output = entry.details["output"]
    frame.todo = DONE
    execution.end("SUCCEEDED")


def _execution_failed(execution: Execution, frame: Frame, entry: Entry) -> None:
    frame.value = failure = Failure.of(entry)
    execution.error, execution.cause = failure.error, failure.cause
    execution.end(ENDS[entry.type])


def _execution_redriven(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.status = "RUNNING"
    execution.error = execution.cause = None
    execution.redrives = entry.details["redriveCount"]
    execution.redriven_at = entry.at
    execution.limit_time(entry.at)
    for each in frame.below():
        each.previous = entry.id
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
    elif len(frame.results) < len(frame.items):
        frame.todo = _spawning(frame)
    else:
        frame.todo = RUN
        _clear(frame)


def _execution_forked(execution: Execution, frame: Frame, entry: Entry) -> None:
    if "input" in entry.note:
        frame.value = entry.note["input"]
    if "variables" in entry.note:
        frame.variables = {**frame.variables, **entry.note["variables"]}


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
    frame.todo = RECOVER


# ---- Task ----


def _task_scheduled(execution: Execution, frame: Frame, entry: Entry) -> None:
    details, note = entry.details, entry.note
    assert isinstance(frame.state, TaskPlan)
    execution.open(
        frame,
        RunTask(
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
        ),
    )


def _task_started(execution: Execution, frame: Frame, entry: Entry) -> None:
    wait = frame.wait
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


def map_item(parent: Frame, index: int) -> dict[str, Json]:
    """The `Map` part of the context object for an item. ASL 'Context Object'."""
    item: dict[str, Json] = {"Index": index, "Value": parent.items[index]}
    if parent.keys is not None:
        item["Key"] = parent.keys[index]
    return {"Item": item}


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
    if frame.run is None:
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


def _map_run_succeeded(execution: Execution, frame: Frame, entry: Entry) -> None:
    execution.settle(frame)
    frame.value = entry.note["output"]
    frame.todo = SUCCEED


_CHANGES: Final[dict[str, _Change]] = {
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
    **dict.fromkeys(("MapRunFailed", "MapRunAborted"), _failed),
}

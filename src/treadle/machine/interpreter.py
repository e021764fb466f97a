"""One event in; journal entries and commands out. Read this first.

    handle(event):  settle the wait that the event names -> step every frame that can move -> the difference of waits

Owns the order of things: which frame moves, one entry further at a time, until every frame waits for something
outside. What is done with a frame stands in steps.py and `states/`, retrying and catching in retry.py, what an entry
changes in changes.py. It must never change an execution but through `record`, never read a clock, never do anything:
`Moment` lends it the time and the randomness, commands say what is to be done.

Every decision is taken from the execution alone, so it does not matter whether an execution was carried in memory or
rebuilt from its journal, nor where the journal was cut.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from heapq import heappop, heappush

import msgspec

from treadle.errors import StatesError
from treadle.language.plan import TaskPlan
from treadle.language.scope import Json, Randomness, Scope
from treadle.machine.changes import ENDS
from treadle.machine.commands import Cancel, Close, Command, RunTask, StartMapRun, StartTimer
from treadle.machine.context import describe
from treadle.machine.events import (
    Event,
    ForkRequested,
    JobAccepted,
    MapRunClosed,
    RedriveRequested,
    StartRequested,
    StopRequested,
    TaskErred,
    TaskPickedUp,
    TaskReturned,
    TimerDue,
)
from treadle.machine.execution import Execution
from treadle.machine.frame import ENTER, Failure, Frame
from treadle.machine.journal import HIDDEN, IRREGULAR, NOTHING, Entry, FramePath, json_text, number
from treadle.machine.limits import Limits
from treadle.machine.retry import told
from treadle.machine.states import task
from treadle.machine.states.abort import abort
from treadle.machine.steps import STEPS


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What the host lends for one event: the time (seconds since the epoch), randomness, and task tokens by wait."""

    now: float
    random: Randomness
    token_for: Callable[[int], str]


class HistoryFull(Exception):
    """There is no room for another history event but the one that says so."""


class Interpreter:
    """Takes one execution forward. Holds nothing that the execution does not, but for a heap of ready frames."""

    def __init__(self, execution: Execution, limits: Limits | None = None) -> None:
        self.execution = execution
        self.limits = limits or Limits()
        self.journal: list[Entry] = []
        self.now = 0.0
        self.random: Randomness
        self.token_for: Callable[[int], str]
        self.sized: Json = None  # the last JSON value found to be within the limit
        # ExecutionFailed must still find room in a history that is full.
        self.last_event = (self.limits.history_events or sys.maxsize) - 1
        self.heap: list[tuple[FramePath, Frame]] = []  # ready frames, outer before inner, by branch or iteration
        self._queue_all()

    def handle(self, event: Event | None, moment: Moment, page: int = 1_000_000) -> tuple[list[Entry], list[Command]]:
        """Take one event as far as it goes, or until about `page` entries are written.

        None carries on after a full page. Gives the entries to be committed and the commands to be carried out after
        the commit. An event that nobody waits for gives nothing.
        """
        self.now, self.random, self.token_for = moment.now, moment.random, moment.token_for
        journal: list[Entry] = []
        self.journal = journal
        execution = self.execution
        heap = self.heap
        try:
            if event is not None:
                self._take(event)
            while heap and execution.status == "RUNNING" and len(journal) < page:
                frame = heap[0][1]
                step = STEPS.get(frame.todo)
                if step is None:
                    heappop(heap)
                    frame.queued = False
                    continue
                try:
                    step(self, frame)
                except StatesError as error:
                    self.evaluation_failed(frame, error)
        except HistoryFull:
            self.close("ExecutionFailed", Failure("States.Runtime", self.limits.history_text))
        return journal, self._commands()

    # ---- what the steps use ----

    def record(
        self, frame: Frame, type: str, details: dict[str, Json] = NOTHING, note: dict[str, Json] = NOTHING
    ) -> None:
        """Write one entry: the only way in which anything changes."""
        execution = self.execution
        if type in HIDDEN or type in IRREGULAR:
            id, previous = number(type, frame, execution.events)
        else:
            id, previous = execution.events + 1, frame.previous
        if id > self.last_event and type not in ENDS:
            raise HistoryFull
        entry = Entry(type, id, previous, frame.path, self.now, details, note)
        execution.change(frame, entry)
        self.journal.append(entry)

    def wake(self, frame: Frame) -> None:
        """The frame may be able to move."""
        if not frame.queued:
            frame.queued = True
            heappush(self.heap, (frame.path, frame))

    def scope(self, frame: Frame, root: Json, token: str | None = None, item: dict[str, Json] | None = None) -> Scope:
        """What a query of the frame's state sees, with `root` as JSONPath's `$`."""
        execution = self.execution
        scope = Scope(root, frame.variables, lambda: describe(execution, frame, token, item), self.now, self.random)
        scope.input = frame.input
        return scope

    def fits(self, value: Json) -> bool:
        """Whether a payload is within the size limit."""
        if value is self.sized or value is None or isinstance(value, int | float):
            return True
        if len(json_text(value).encode()) > self.limits.payload_bytes:
            return False
        self.sized = value
        return True

    # ---- events ----

    def _take(self, event: Event) -> None:
        execution = self.execution
        match event:
            case StartRequested():
                if execution.status is None:
                    self._start(event)
            case StopRequested(error, cause):
                if execution.status == "RUNNING":
                    self.close("ExecutionAborted", Failure(error, cause))
            case RedriveRequested():
                # AWS 'Redrive': the history must have room for ExecutionRedriven and one event more.
                if execution.status not in (None, "RUNNING", "SUCCEEDED") and execution.events < self.last_event:
                    self.record(execution.root, "ExecutionRedriven", {"redriveCount": execution.redrives + 1})
                    self._queue_all()
            case ForkRequested():
                self._fork(event)
            case _:
                self._settle(event)

    def _start(self, event: StartRequested) -> None:
        identity = event.identity
        details = {"input": event.input, "roleArn": identity.role_arn}
        if identity.alias_arn is not None:
            details["stateMachineAliasArn"] = identity.alias_arn
        if identity.version_arn is not None:
            details["stateMachineVersionArn"] = identity.version_arn
        note: dict[str, Json] = {"identity": msgspec.to_builtins(identity)}
        if event.text is not None and event.text != json_text(event.input):
            note["text"] = event.text
        root = self.execution.root
        self.record(root, "ExecutionStarted", details, note)
        self.wake(root)

    def _fork(self, event: ForkRequested) -> None:
        frame = self.execution.frame(event.frame)
        assert frame.todo == ENTER, "a fork starts where a state is about to be entered"
        note: dict[str, Json] = {}
        if event.input is not msgspec.UNSET:
            note["input"] = event.input
        if event.variables is not msgspec.UNSET:
            note["variables"] = event.variables
        self.record(frame, "ExecutionForked", NOTHING, note)
        # The copy owns none of the waits that the original had open: its host must take them on.
        execution = self.execution
        execution.opened, execution.closed, execution.known = execution.waits(), [], 0

    def _settle(self, event: TaskPickedUp | JobAccepted | TaskReturned | TaskErred | TimerDue | MapRunClosed) -> None:
        """Give a frame what it waits for; whatever does not fit an open wait is late or repeated, and passes by."""
        limit = self.execution.time_limit
        if limit is not None and event.wait == limit.wait:
            if not isinstance(event, TimerDue):
                return
            # Observed on AWS: an execution that exceeds its own TimeoutSeconds tells neither error nor cause.
            self.close("ExecutionTimedOut", Failure())
            return
        frame = self.execution.waiting.get(event.wait)
        if frame is None:
            return
        match frame.wait:
            case StartTimer():
                if isinstance(event, TimerDue):
                    self.record(frame, "TimerFired")
            case StartMapRun():
                if isinstance(event, MapRunClosed):
                    self._map_run_closed(frame, event)
            case RunTask(phase=phase):
                assert isinstance(frame.state, TaskPlan)
                self._task_event(frame, frame.state, phase, event)
            case None:
                raise AssertionError(f"frame {frame.path} is waiting for nothing")
        self.wake(frame)

    def _task_event(self, frame: Frame, state: TaskPlan, phase: str, event: Event) -> None:
        match event:
            case TaskPickedUp(_, worker):
                if phase == "scheduled":
                    self.record(frame, "ActivityStarted", {"workerName": worker} if worker else NOTHING)
            case JobAccepted(_, output):
                if phase == "started" and state.resource.pattern != "request-response":
                    self.record(frame, "TaskSubmitted", {**task.resource_details(state), "output": output})
            case TaskReturned(_, output) if phase != "scheduled":
                task.returned(self, frame, state, output)
            case TaskErred(_, error, cause, phase):
                task.erred(self, frame, state, Failure(error, cause), phase)
            case TimerDue(_, reason) if phase != "scheduled":
                task.timed_out(self, frame, state, reason == "heartbeat")
            case _:
                pass  # settles another kind of wait, or comes before a worker took the task

    def _map_run_closed(self, frame: Frame, event: MapRunClosed) -> None:
        if event.error is None:
            self.record(frame, "MapRunSucceeded", NOTHING, {"output": event.output})
        else:
            self.record(frame, "MapRunFailed", told(Failure(event.error, event.cause)))

    def evaluation_failed(self, frame: Frame, error: StatesError, here: bool = False) -> None:
        """A query, or a rule of the state, failed: say it in AWS's words and go on to Retry and Catch."""
        state = frame.state
        assert state is not None
        cause = error.cause
        if error.name != "States.DataLimitExceeded":
            # Observed on AWS: every failure of the data flow begins with these words.
            cause = (
                f"An error occurred while executing the state '{state.name}' "
                f"(entered at the event id #{frame.entered_id}). {cause}"
            )
        if error.name == "States.QueryEvaluationError":
            details: dict[str, Json] = {"error": error.name, "cause": cause, "state": state.name}
            if error.location is not None:
                details["location"] = error.location
            self.record(frame, "EvaluationFailed", details, {"here": True} if here else NOTHING)
            return
        # Observed on AWS: neither can be caught, not even by its own name.
        final = error.name in ("States.Runtime", "States.DataLimitExceeded")
        abort(self, frame, Failure(error.name, cause, final=final, here=here))

    def close(self, type: str, failure: Failure) -> None:
        """End the execution unhappily."""
        self.record(self.execution.root, type, told(failure))

    # ---- out ----

    def _commands(self) -> list[Command]:
        execution = self.execution
        opened, closed = execution.take_difference()
        commands: list[Command] = [*opened, *(Cancel(wait) for wait in closed)]
        status = execution.status
        if self.journal and status is not None and status != "RUNNING":
            commands.append(Close(status, execution.output, execution.error, execution.cause))
            self._unqueue()
        return commands

    def _queue_all(self) -> None:
        """Queue every frame that can move: once per recovery or redrive, never per event."""
        self._unqueue()
        if self.execution.status == "RUNNING":
            for frame in self.execution.root.below():
                if frame.todo in STEPS:
                    self.wake(frame)

    def _unqueue(self) -> None:
        for _, frame in self.heap:
            frame.queued = False
        self.heap.clear()

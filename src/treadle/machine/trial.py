"""One state tried by itself: what TestState does, driven by the same machine as an execution.

    trial = Trial(state, "JSONPath", input, moment, setting)
    while (wait := trial.waits_for()) is not None:
        trial.settle(an event for this wait)
    trial.verdict()

Owns how the one state is set up, what is told of it afterwards, and what stands in for the work inside a Map or
Parallel. It answers no task: whoever holds the trial does. Neighbours: probe.py notes the data flow, and whatever a
state does is in `states/`, retry.py and dataflow.py as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from treadle.errors import StatesError
from treadle.language.plan import (
    Dataflow,
    FailPlan,
    MapPlan,
    ParallelPlan,
    PassPlan,
    Plan,
    StatePlan,
    TaskPlan,
)
from treadle.language.resources import Resource
from treadle.language.scope import Json, Scope
from treadle.language.values import is_array, is_object
from treadle.machine.commands import RunTask, StartMapRun, StartTimer, Wait
from treadle.machine.events import (
    Event,
    Identity,
    MapRunClosed,
    StartRequested,
    TaskErred,
    TaskPickedUp,
    TaskReturned,
    TimerDue,
)
from treadle.machine.execution import Execution
from treadle.machine.frame import Failure, Frame, map_item
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.journal import NOTHING, Entry
from treadle.machine.limits import Limits
from treadle.machine.map_items import Backlog
from treadle.machine.probe import CATCH, NEXT, probed
from treadle.machine.retry import first_match

TrialStatus = Literal["SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR"]

_EXCEEDED: Final = "The specified tolerated failure threshold was exceeded"
_LAMBDA: Final = Resource("arn:aws:states:::lambda:invoke", "service", "lambda", "invoke")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a trial assumes of the execution around the state.

    `context` stands in for the whole context object, `item` for its `Map` part alone. `retries` is how often the
    retrier that will match has retried before. `shown_name` is State.Name: observed on AWS, never the state's own.
    """

    identity: Identity
    variables: dict[str, Json] = field(default_factory=dict[str, Json])
    context: Json = None
    item: Json = None
    retries: int = 0
    shown_name: str = "StateName"


@dataclass(frozen=True, slots=True)
class Mock:
    """What stands in for the work of a Task, Map or Parallel: a result, or else a failure.

    `by_task` tells that a Task inside the Map or Parallel is what fails.
    """

    result: Json = None
    failure: Failure | None = None
    by_task: bool = False


@dataclass(frozen=True, slots=True)
class MapSetting:
    """What a trial of a Map assumes. `data` is what its reader would find: items, or what ItemsPointer leads into."""

    data: tuple[Json] | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a trial. `next` is where the execution would go, `notes` the values along the data flow."""

    status: TrialStatus
    output: Json
    failure: Failure | None
    next: str | None
    notes: dict[str, Json]
    variables: dict[str, Json]


class Trial:
    """A state under trial."""

    def __init__(
        self,
        state: StatePlan,
        language: str,
        input: Json,
        moment: Moment,
        setting: Setting,
        mock: Mock | None = None,
        map_setting: MapSetting | None = None,
    ) -> None:
        self.state = state
        self.items = 0  # of a Map, as far as it has come to them
        self._language, self._moment, self._mock = language, moment, mock
        self._map = map_setting or MapSetting()
        self._noted: dict[str, Json] = {"input": input}
        if state.type == "Fail" and language == "JSONPath":
            self._noted["afterInputPath"] = input
        plan = probed(_mocked(state, mock), language, self._noted)
        self._bench = _Bench(Execution(plan), setting)
        self._journal: list[Entry] = []
        self._take(StartRequested(input, setting.identity), page=2)
        root = self._bench.execution.root
        root.variables, root.item = setting.variables, setting.item
        root.attempts = dict.fromkeys(range(len(state.retriers)), setting.retries) if setting.retries else {}
        self._take(None)

    def waits_for(self) -> RunTask | None:
        """The task that is to be answered; None when the state has come to an end."""
        while (wait := self._open()) is not None:
            match wait:
                case RunTask():
                    if self._mock is None:
                        return wait
                    self.settle(_played(wait, self._mock))
                case StartMapRun():
                    self.settle(self._map_run(wait))
                case StartTimer(wait=number):
                    # A Wait state has nothing to show in its time.
                    self.settle(TimerDue(number))
        return None

    def settle(self, event: Event) -> None:
        """Give the state what it waits for."""
        if isinstance(event, TaskReturned):
            self._noted["result"] = event.output
        self._take(event)

    def verdict(self) -> Verdict:
        """What came of it, once nothing is waited for."""
        execution = self._bench.execution
        failure = self._bench.failure
        exited = next((each for each in self._journal if not each.frame and each.type.endswith("StateExited")), None)
        if exited is None:
            if self._retrying():
                return self._told("RETRIABLE", None, failure, None)
            return self._told("FAILED", None, Failure(execution.error, execution.cause), None)
        after = exited.note.get("next") or self._bench.tried.next
        if after is not None and after.startswith(CATCH):
            index, _, name = after.removeprefix(CATCH).partition(":")
            assert failure is not None
            details: Any = self._noted.setdefault("errorDetails", {})
            details["catchIndex"] = int(index)
            return self._told("CAUGHT_ERROR", exited, failure, name)
        return self._told("SUCCEEDED", exited, None, after and after.removeprefix(NEXT))

    # ---- inside ----

    def _take(self, event: Event | None, page: int = 1_000_000) -> None:
        entries, _ = self._bench.handle(event, self._moment, page)
        self._journal += entries

    def _open(self) -> Wait | None:
        if self._retrying():
            return None
        return next(iter(self._bench.execution.waits().values()), None)

    def _retrying(self) -> bool:
        return self._journal[-1].type == "RetryScheduled"

    def _told(self, status: TrialStatus, exited: Entry | None, failure: Failure | None, next: str | None) -> Verdict:
        details: Any = self._noted.setdefault("errorDetails", {})
        if failure is not None and not failure.final:
            index = first_match(self.state.retriers, self.state, failure)
            if index is not None:
                details["retryIndex"] = index
                if status == "RETRIABLE":
                    done = self._bench.execution.root.attempts.get(index, 1) - 1
                    details["retryBackoffIntervalSeconds"] = round(self.state.retriers[index].delay(done))
        if isinstance(self.state, PassPlan) and self.state.result is not None:
            self._noted["result"] = self.state.result[0]
        variables = self._bench.execution.root.variables
        notes = {name: value for name, value in self._noted.items() if name != "errorDetails" or details}
        return Verdict(status, exited and exited.details["output"], failure, next, notes, variables)

    def _map_run(self, wait: StartMapRun) -> MapRunClosed:
        """The end of a Map's run, and what there is to tell of its items."""
        assert self._mock is not None, "a Map is tried with a mock alone"
        frame, state, noted = self._bench.execution.root, self.state, self._noted
        assert isinstance(state, MapPlan)
        settings = wait.settings
        if self._map.data is not None:
            try:
                frame.items, frame.keys = self._read(self._map.data[0], settings["reader"]["config"])
            except StatesError as error:
                return MapRunClosed(wait.wait, None, error.name, error.cause)
        elif self._language == "JSONPath" and state.items is not None:
            keys = frame.keys
            noted["afterItemsPath"] = frame.items if keys is None else dict(zip(keys, frame.items, strict=True))
        noted["maxConcurrency"] = settings["concurrency"]
        count, percentage = settings["toleratedCount"], settings["toleratedPercentage"]
        if count is not None:
            noted["toleratedFailureCount"] = count
        if percentage is not None:
            noted["toleratedFailurePercentage"] = float(percentage)
        try:
            items = self._selected(frame, state)
            self.items = len(items)
            if batcher := settings.get("batcher"):
                noted["afterItemBatcher"] = list(_batches(state, items, batcher, self._moment))
        except StatesError as error:
            return MapRunClosed(wait.wait, None, error.name, error.cause)
        if (failure := self._mock.failure) is not None:
            return MapRunClosed(wait.wait, None, failure.error, failure.cause)
        if _exceeded(self._map.failures, self.items, count, percentage):
            return MapRunClosed(wait.wait, None, "States.ExceedToleratedFailureThreshold", _EXCEEDED)
        return MapRunClosed(wait.wait, self._mock.result)

    def _read(self, data: Json, config: Json) -> tuple[list[Json], list[str] | None]:
        """The items in what a reader finds, and their keys where they are the members of an object."""
        pointer = config.get("ItemsPointer") if is_object(config) else None
        if pointer is not None:
            data = self._noted["afterItemsPointer"] = _pointed(data, pointer)
        if is_object(data):
            return list(data.values()), list(data)
        if not is_array(data):
            # Observed on AWS, of an ItemReader.
            raise StatesError("States.ItemReaderFailed", "Attempting to map over non-iterable node.")
        return data, None

    def _selected(self, frame: Frame, state: MapPlan) -> list[Json]:
        if state.selector is None:
            return frame.items
        selected: list[Json] = []
        for index in range(len(frame.items)):
            scope = self._bench.scope(frame, frame.taken, item=map_item(frame, index))
            selected.append(state.selector(scope))
        self._noted["afterItemSelector"] = selected
        return selected


class _Bench(Interpreter):
    """An interpreter that remembers how its state failed, and may be lent another context object."""

    def __init__(self, execution: Execution, setting: Setting) -> None:
        super().__init__(execution)
        self.failure: Failure | None = None
        self.tried = execution.plan.states[execution.plan.start_at]
        self._setting = setting

    def record(
        self, frame: Frame, type: str, details: dict[str, Json] = NOTHING, note: dict[str, Json] = NOTHING
    ) -> None:
        super().record(frame, type, details, note)
        value = self.execution.root.value
        if isinstance(value, Failure):
            self.failure = value

    def scope(self, frame: Frame, root: Json, token: str | None = None, item: dict[str, Json] | None = None) -> Scope:
        scope = super().scope(frame, root, token, item)
        mine = Scope(root, frame.variables, lambda: self._context(scope.context, item), self.now, self.random)
        mine.input = scope.input
        return mine

    def _context(self, own: dict[str, Json], item: dict[str, Json] | None) -> dict[str, Json]:
        setting = self._setting
        if setting.context is not None:
            return setting.context if item is None else {**setting.context, "Map": item}
        context = {**own, "Execution": {**own["Execution"], "RoleArn": setting.identity.role_arn or None}}
        if "State" in own:
            state = {**own["State"], "Name": setting.shown_name}
            if "RetryCount" in state:
                state["RetryCount"] = setting.retries
            context["State"] = state
        return context


# ---- mocks -------------------------------------------------------------------------------------------------------


def _mocked(state: StatePlan, mock: Mock | None) -> StatePlan:
    """The state with the work inside it replaced: each branch of a Parallel gives its part of the mock."""
    if mock is None or not isinstance(state, ParallelPlan):
        return state
    if mock.failure is not None:
        fails = _failing(mock.failure, mock.by_task)
        return replace(state, branches=(Plan(fails.name, {fails.name: fails}),))
    gives = (PassPlan(name="Mock", result=(each,), plain=False) for each in mock.result)
    return replace(state, branches=tuple(Plan(each.name, {each.name: each}) for each in gives))


def _failing(failure: Failure, by_task: bool) -> StatePlan:
    if by_task:
        return TaskPlan(name="Mock", resource=_LAMBDA)
    return FailPlan(name="Mock", error=_always(failure.error), cause=_always(failure.cause), flow=Dataflow())


def _always(value: Json) -> Callable[[Scope], Json] | None:
    return None if value is None else lambda scope: value


def _played(wait: RunTask, mock: Mock) -> Event:
    """The event with which a mock answers a task, whichever pattern it follows."""
    if wait.phase == "scheduled":
        return TaskPickedUp(wait.wait)
    if mock.failure is not None:
        return TaskErred(wait.wait, mock.failure.error, mock.failure.cause)
    return TaskReturned(wait.wait, mock.result)


def _exceeded(failures: int, items: int, count: int | None, percentage: float | None) -> bool:
    """Observed on AWS: a Map that tolerates nothing in so many words does not count its failures here."""
    if count is not None and failures > count:
        return True
    return percentage is not None and items > 0 and failures * 100 / items > percentage


def _batches(state: MapPlan, items: list[Json], batcher: Json, moment: Moment) -> Iterator[Json]:
    """The items, which are selected already, as the children of a batching Map would get them."""
    backlog = Backlog(replace(state, selector=None), Limits())
    backlog.add(items, "STATE_DATA", None, more=False)
    while (note := backlog.next({"batcher": batcher}, moment)) is not None:
        yield backlog.take(note)[0]


def _pointed(data: Json, pointer: str) -> Json:
    """What a JSON Pointer (RFC 6901) leads to."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if is_object(data) and name in data:
            data = data[name]
        elif is_array(data) and name.isdecimal() and int(name) < len(data):
            data = data[int(name)]
        else:
            raise StatesError("States.ItemReaderFailed", f"ItemsPointer '{pointer}' names nothing in the data.")
    return data

"""Runs a machine with data, and repairs the data until nothing is missing any more.

Owns what counts as a failure for want of data, and how often it is tried. A run is one of the testing world's, with a
short history, so that a loop ends soon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from treadle.language.lints.outline import State, outline
from treadle.language.plan import ChoicePlan, MapPlan, StatePlan, TaskPlan
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object
from treadle.machine.journal import Entry
from treadle.machine.limits import Limits
from treadle.scenarios.exploring.data import ABSENT, INPUT, Data, Source, resolve
from treadle.scenarios.exploring.reads import Keys, Read, reads_of
from treadle.scenarios.scenario import Machine
from treadle.testing.script import script_of
from treadle.testing.world import Run, World

EVENTS: Final = 1500
"""History events after which a run counts as endless."""
LIMITS: Final = Limits(history_events=EVENTS)

_REPAIRS: Final = 60
_TYPES: Final[tuple[Json, ...]] = ([{}], 1, "text", "2026-01-01T00:00:00Z", True, {}, "{}", ["text"], "[]")
WANT_OF_DATA: Final = frozenset(
    f"States.{name}"
    for name in (
        *("Runtime", "QueryEvaluationError", "ParameterPathFailure", "IntrinsicFailure", "NoChoiceMatched"),
        *("ResultPathMatchFailure", "ItemReaderFailed"),
    )
)
_PLACE: Final = re.compile(r"executing the state '(.*?)' \(entered at the event id #(\d+)\)", re.DOTALL)


@dataclass
class Tried:
    """A run and the data that made it."""

    data: Data
    world: World
    run: Run

    @cached_property
    def runs(self) -> list[Run]:
        """The run and the children of its distributed Maps."""
        return list(_family(self.run))

    @cached_property
    def edges(self) -> set[tuple[str, str]]:
        """The transitions that were taken."""
        found: set[tuple[str, str]] = set()
        for run in self.runs:
            last: dict[tuple[int, ...], str] = {}
            for entry in run.journal:
                if entry.type.endswith("StateEntered"):
                    name = entry.details["name"]
                    if entry.frame in last:
                        found.add((last[entry.frame], name))
                    last[entry.frame] = name
                elif entry.type in ("MapIterationStarted", "ParallelStateStarted", "MapStateStarted"):
                    last = {
                        path: each
                        for path, each in last.items()
                        if path[: len(entry.frame)] != entry.frame or path == ()
                    }
        return found

    @cached_property
    def entered(self) -> set[str]:
        """The states that were entered."""
        return {name for run in self.runs for name in run.path}

    @property
    def endless(self) -> bool:
        """Whether it was ended for the length of its history."""
        return any(run.cause == LIMITS.history_text for run in self.runs)

    @cached_property
    def wanting(self) -> tuple[Run, Entry, str] | None:
        """The run and the entering of the state that failed for want of data, and the cause."""
        for run in reversed(self.runs):
            for entry in run.journal:
                if entry.type == "EvaluationFailed" or (entry.type == "ExecutionFailed" and not self.endless):
                    error, cause = entry.details.get("error"), entry.details.get("cause") or ""
                    if isinstance(error, str) and error in WANT_OF_DATA and (at := _entering(run, cause)) is not None:
                        return run, at, cause
        return None


def _family(run: Run) -> Iterator[Run]:
    yield run
    for children in run.children.values():
        for child in children:
            yield from _family(child)


def _entering(run: Run, cause: str) -> Entry | None:
    entered = [entry for entry in run.journal if entry.type.endswith("StateEntered")]
    if match := _PLACE.search(cause):
        return next((each for each in entered if each.id == int(match[2])), None)
    return entered[-1] if entered else None


class Search:
    """Runs of one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.states: dict[str, State] = {each.name: each for each in outline(machine.root, machine.type).every_state()}
        self.plans: dict[str, StatePlan] = {each.name: each for each in machine.plan.every_state()}
        self.count = 0

    def first(self) -> Data:
        """The data to begin with: everything answers, with as little as can be."""
        data = Data()
        for plan in self.plans.values():
            if isinstance(plan, TaskPlan):
                data.answers[plan.name] = [{"return": _least(plan)}]
            elif isinstance(plan, MapPlan) and plan.distribution is not None:
                data.answers[f"{plan.name}.ItemReader"] = [{"return": [{}]}]
                data.answers[f"{plan.name}.ResultWriter"] = [{"return": {}}]
        return data

    def run(self, data: Data) -> Tried:
        """One run."""
        self.count += 1
        world = World(script_of(data.answers), limits=LIMITS)
        run = world.start(self.machine.plan, data.input)
        world.run()
        return Tried(data, world, run)

    def settle(self, data: Data) -> Tried:
        """Run, and repair what is missing, until nothing is or nothing helps."""
        tried = self.run(data)
        tested: dict[tuple[Source, Keys], int] = {}
        for _ in range(_REPAIRS):
            repaired = self._repaired(tried, tested)
            if repaired is None:
                break
            tried = self.run(repaired)
        return tried

    def _repaired(self, tried: Tried, tested: dict[tuple[Source, Keys], int]) -> Data | None:
        wanting = tried.wanting
        if wanting is None:
            return None
        run, at, cause = wanting
        state = self.states[at.details["name"]]
        data = tried.data.copy()
        found = [(read, *tried.data.locate(root, read.path)) for read, root in self.roots(tried, run, at)]
        changed = False
        for read, source, path in found:
            if resolve(data.get(source), path) is ABSENT:
                data.put(source, path, read.guess)
                changed = True
        if changed:
            return data
        return self._another_type(data, state, cause, found, tested)

    def _another_type(
        self,
        data: Data,
        state: State,
        cause: str,
        found: list[tuple[Read, Source, Keys]],
        tested: dict[tuple[Source, Keys], int],
    ) -> Data | None:
        if not found and state.type == "Map" and not isinstance(data.input, list):
            data.input = [{}]
            return data
        # The one that the cause names, else the last one: it was there when it failed.
        found.sort(key=lambda each: bool(each[2]) and str(each[2][-1]) in cause, reverse=True)
        for _, source, path in found:
            turn = tested.get((source, path), 0)
            if turn < len(_TYPES) and (path or source != INPUT or state.type == "Map"):
                tested[source, path] = turn + 1
                data.put(source, path, _TYPES[turn])
                return data
        return None

    def roots(self, tried: Tried, run: Run, at: Entry) -> list[tuple[Read, Json]]:
        """What a state reads, each with the document that it reads from, where that is known."""
        state = self.states[at.details["name"]]
        return [(read, root) for read in reads_of(state) if (root := self.root(tried, run, at, read)) is not ABSENT]

    def root(self, tried: Tried, run: Run, at: Entry, read: Read) -> Json:
        """The document that a read of an entered state starts from; ABSENT where that is not known."""
        match read.root:
            case "input":
                return at.details["input"]
            case "execution":
                return tried.data.input
            case "variable":
                return _variable(run, read.variable)
            case "result":
                return _result(run, at)
            case "item":
                return _item(self.states[at.details["name"]], at.details["input"])

    def visits(self, tried: Tried, name: str) -> tuple[Run, Entry] | None:
        """The first entering of a state."""
        for run in tried.runs:
            for entry in run.journal:
                if entry.type.endswith("StateEntered") and entry.details["name"] == name:
                    return run, entry
        return None

    def choices(self, tried: Tried) -> list[str]:
        """The Choices that were entered, those entered most often first."""
        path = [name for run in tried.runs for name in run.path if isinstance(self.plans[name], ChoicePlan)]
        return sorted(dict.fromkeys(path), key=path.count, reverse=True)


def _least(plan: TaskPlan) -> Json:
    resource = plan.resource
    if resource.service == "lambda" and resource.kind == "service" and resource.pattern == "request-response":
        return {"Payload": {}, "StatusCode": 200}
    if resource.name == "startExecution.sync:2":
        return {"Output": {}, "Status": "SUCCEEDED"}
    return {}


def _variable(run: Run, name: str) -> Json:
    for entry in reversed(run.journal):
        assigned = entry.details.get("assignedVariables")
        if assigned and name in assigned:
            return assigned[name]
    return ABSENT


def _result(run: Run, at: Entry) -> Json:
    after = [entry for entry in run.journal if entry.id > at.id and entry.frame == at.frame]
    for entry in after:
        if entry.type.endswith("StateEntered"):
            break
        if entry.type in ("TaskSucceeded", "LambdaFunctionSucceeded", "ActivitySucceeded"):
            return entry.details["output"]
    return ABSENT


def _item(state: State, input: Json) -> Json:
    path = state.fields.get("ItemsPath", "$")
    reads = reads_of(state) if "Items" in state.fields or "ItemsPath" in state.fields else []
    keys = next((each.path for each in reads if each.root == "input" and is_array(each.guess)), ())
    items = resolve(input, keys) if path != "$" or keys else input
    if is_array(items) and items and (is_object(items[0]) or is_array(items[0])):
        return items[0]
    return ABSENT

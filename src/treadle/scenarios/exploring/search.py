"""Runs a machine with data, and repairs the data until nothing is missing any more.

Owns what counts as a failure for want of data, and how often it is tried. A run is one of the testing world's, with a
short history, so that a loop ends soon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice, product
from typing import Final

from treadle.language.lints.outline import State, outline
from treadle.language.plan import ChoicePlan, MapPlan, StatePlan, TaskPlan
from treadle.language.scope import Json
from treadle.language.values import is_array
from treadle.machine.limits import Limits
from treadle.scenarios.exploring.choices import ways
from treadle.scenarios.exploring.data import ABSENT, Data, resolve
from treadle.scenarios.exploring.failing import ON_PURPOSE
from treadle.scenarios.exploring.origins import Origins, Place, Visit
from treadle.scenarios.exploring.reads import Read, reads_of
from treadle.scenarios.scenario import Machine
from treadle.testing.script import script_of
from treadle.testing.world import Run, World, identity_of

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
_PAIRS: Final = 6
"""How many pairs of places are tried together with other types."""
_WAYS: Final = 120
"""How many combinations of values are tried for one Choice."""
_PLACE: Final = re.compile(r"executing the state '(.*?)' \(entered at the event id #(\d+)\)", re.DOTALL)


@dataclass
class Tried:
    """A run and the data that made it."""

    data: Data
    world: World
    run: Run
    states: Mapping[str, State]

    @cached_property
    def runs(self) -> list[Run]:
        """The run and the children of its distributed Maps."""
        return list(_family(self.run))

    @cached_property
    def origins(self) -> Origins:
        """Its visits, and where their values came from."""
        return Origins(self.states, self.runs)

    @cached_property
    def edges(self) -> set[tuple[str, str]]:
        """The transitions that were taken."""
        return {(each.before.name, each.name) for each in self.origins.visits if each.before is not None}

    @cached_property
    def entered(self) -> set[str]:
        """The states that were entered."""
        return {name for run in self.runs for name in run.path}

    @property
    def endless(self) -> bool:
        """Whether it was ended for the length of its history."""
        return any(run.cause == LIMITS.history_text for run in self.runs)

    @cached_property
    def wanting(self) -> tuple[Visit, str] | None:
        """The visit that failed for want of data, and the cause."""
        for run in reversed(self.runs):
            for entry in run.journal:
                if entry.type == "EvaluationFailed" or (entry.type == "ExecutionFailed" and not self.endless):
                    error, cause = entry.details.get("error"), entry.details.get("cause") or ""
                    wants = isinstance(error, str) and error in WANT_OF_DATA and not cause.endswith(ON_PURPOSE)
                    if wants and (visit := self._visit(run, cause)):
                        return visit, cause
        return None

    def _visit(self, run: Run, cause: str) -> Visit | None:
        own = [each for each in self.origins.visits if each.run is run]
        if match := _PLACE.search(cause):
            return next((each for each in own if each.entry.id == int(match[2])), None)
        return own[-1] if own else None


def _family(run: Run) -> Iterator[Run]:
    yield run
    for children in run.children.values():
        for child in children:
            yield from _family(child)


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
        run = world.start(self.machine.plan, data.input, identity_of(type=self.machine.type))
        world.run()
        return Tried(data, world, run, self.states)

    def settle(self, data: Data) -> Tried:
        """Run, and repair what is missing, until nothing is or nothing helps."""
        tried = self.run(data)
        for _ in range(_REPAIRS):
            if tried.wanting is None or (repaired := self._repaired(tried, *tried.wanting)) is None:
                break
            tried = repaired
        return tried

    def _repaired(self, tried: Tried, visit: Visit, cause: str) -> Tried | None:
        """A run that comes further than the visit that failed, or fails there for want of something else."""
        data = tried.data.copy()
        found = [(read, self._places(tried, visit, read)) for read in reads_of(self.states[visit.name])]
        missing = False
        for read, places in found:
            if places and all(resolve(data.get(source), path) is ABSENT for source, path in places):
                data.put(*places[0], read.guess)
                missing = True
        if missing:
            return self.run(data)
        if self.states[visit.name].type == "Choice":
            others = self.told_otherwise(tried, visit, once=False)
        else:
            others = self._retyped(tried, [each for _, places in found for each in places], cause)
        for other in others:
            again = self.run(other)
            if visit.name in again.entered and (again.wanting is None or again.wanting[0].name != visit.name):
                return again
        return None

    def _retyped(self, tried: Tried, places: list[Place], cause: str) -> Iterator[Data]:
        """Data in which what was read has another type: one at a time, those that the cause names first, then two."""
        places = sorted(dict.fromkeys(places), key=lambda each: not each[1] or str(each[1][-1]) not in cause)
        for source, path in places:
            for value in _TYPES:
                data = tried.data.copy()
                data.put(source, path, value)
                yield data
        for one, other in islice(combinations(places, 2), _PAIRS):
            for value, another in product(_TYPES, _TYPES):
                data = tried.data.copy()
                data.put(*one, value)
                data.put(*other, another)
                yield data

    def _places(self, tried: Tried, visit: Visit, read: Read) -> list[Place]:
        """Where in the data a value that a visit reads comes from."""
        places = tried.origins.of(visit, read.root, read.path, read.variable)
        return [each for each in places if tried.data.has(each[0])]

    def told_otherwise(self, tried: Tried, visit: Visit, once: bool) -> Iterator[Data]:
        """Data in which what a Choice reads has other values: one at a time first, then several."""
        told: list[tuple[Place, list[Json]]] = []
        for read, values in ways(self.states[visit.name]).values():
            told += [(place, values) for place in self._places(tried, visit, read)]
        for (source, path), values in told:
            for value in values:
                data = tried.data.copy()
                data.put(source, path, value, once)
                yield data
                if is_array(tried.data.get(source)) and path and isinstance(path[0], str):
                    # A path into an object finds nothing in a list.
                    data = tried.data.copy()
                    data.put(source, (), {}, once)
                    data.put(source, path, value)
                    yield data
        if len(told) > 1:
            for chosen in islice(product(*(values for _, values in told)), _WAYS):
                data = tried.data.copy()
                for ((source, path), _), value in zip(told, chosen, strict=True):
                    data.put(source, path, value)
                yield data

    def visit(self, tried: Tried, name: str) -> Visit | None:
        """The first visit of a state."""
        return next((each for each in tried.origins.visits if each.name == name), None)

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

"""Explores a machine: its branches, each Task failing, and what ends badly. Gives scenarios for all of it.

Owns what is tried and in which order: the way through, then each way of each Choice that was met, then one failure of
each Task that was called. What a scenario expects is what its run did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Final

from treadle.language.plan import ChoicePlan, Plan, StatePlan, TaskPlan
from treadle.language.scope import Json
from treadle.scenarios.exploring.choices import ways
from treadle.scenarios.exploring.data import Data, Source
from treadle.scenarios.exploring.reads import Keys
from treadle.scenarios.exploring.search import LIMITS, Search, Tried
from treadle.scenarios.scenario import Expectation, Machine, Scenario
from treadle.testing.script import NO_ANSWER

_WAYS: Final = 40
"""How many combinations of values are tried for one Choice."""
_UNEXPECTED: Final = "Unexpected"
"""An error that no definition knows by name."""
_NOT_TO_BE_RAISED: Final = ("States.ALL", "States.Runtime", "States.DataLimitExceeded")
Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Explored:
    """One run that was found: a name for what happens in it, its data, and how it went."""

    name: str
    data: Data
    tried: Tried

    def scenario(self, machine: Machine) -> Scenario:
        """The run as a scenario that expects what it did."""
        run = self.tried.run
        answers = {name: each for name, each in self.data.answers.items() if self._asked(name)}
        expect = Expectation(status=run.status, error=run.error, path=tuple(run.path))
        return Scenario(self.name, machine, self.data.input, answers, expect)

    def _asked(self, name: str) -> bool:
        return name.partition(".Item")[0].partition(".Result")[0] in self.tried.entered


@dataclass
class Exploration:
    """What was found. `branches` are all transitions of the definition, `reached` those that a run took."""

    machine: Machine
    explored: list[Explored] = field(default_factory=list[Explored])
    findings: list[str] = field(default_factory=list[str])
    branches: set[Edge] = field(default_factory=set[Edge])
    reached: set[Edge] = field(default_factory=set[Edge])
    states: set[str] = field(default_factory=set[str])
    runs: int = 0

    @property
    def scenarios(self) -> list[Scenario]:
        """A scenario for each run that came to an end by itself."""
        return [each.scenario(self.machine) for each in self.explored if not each.tried.endless]


def explore(machine: Machine) -> Exploration:
    """Explore a machine."""
    explorer = _Explorer(machine)
    explorer.walk()
    return explorer.exploration


class _Explorer:
    def __init__(self, machine: Machine) -> None:
        self.search = Search(machine)
        self.exploration = Exploration(machine, branches=set(_edges(machine.plan)))
        self.around = dict(_around(machine.plan, ()))
        self.looked_at: set[str] = set()

    def walk(self) -> None:
        self.keep("the way through", self.way_through())
        for explored in self.exploration.explored:  # grows meanwhile
            self.other_ways(explored)
        met = list(self.exploration.explored)
        for name, plan in self.search.plans.items():
            if isinstance(plan, TaskPlan):
                base = next((each for each in met if any(call.state == name for call in each.tried.world.calls)), None)
                if base is not None:
                    self.failures(plan, base)
        for explored in self.exploration.explored[len(met) :]:
            self.other_ways(explored)
        self.conclude()

    def keep(self, name: str, tried: Tried) -> None:
        """Remember a run, under a name of its own."""
        exploration = self.exploration
        taken = {each.name for each in exploration.explored}
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name} ({number})", number + 1
        exploration.explored.append(Explored(unique, tried.data, tried))
        exploration.reached |= tried.edges & exploration.branches
        exploration.states |= tried.entered

    # ---- ways ----

    def way_through(self) -> Tried:
        """A run that ends, if one is found: a loop is left by another way of one of its Choices."""
        tried = self.search.settle(self.search.first())
        if not _loops(tried):
            return tried
        for name in self.search.choices(tried):
            for data in self.told_otherwise(tried, name, once=False):
                other = self.search.settle(data)
                if not _loops(other):
                    return other
        return tried

    def other_ways(self, explored: Explored) -> None:
        """The ways that the Choices of a run did not go, with data that leads there."""
        for name in self.search.choices(explored.tried):
            plan = self.search.plans[name]
            wanted = set(_edges_of(plan)) - self.exploration.reached
            if not wanted or name in self.looked_at:
                continue
            self.looked_at.add(name)
            for data in self.told_otherwise(explored.tried, name, once=True):
                tried = self.search.run(data)
                for edge in sorted(tried.edges & wanted - self.exploration.reached):
                    settled = self.search.settle(data)
                    if settled.endless:
                        settled = self.left_again(settled, name, edge) or settled
                    self.keep(f"{edge[0]} goes to {edge[1]}", settled if edge in settled.edges else tried)
                if not wanted - self.exploration.reached:
                    break

    def left_again(self, tried: Tried, name: str, edge: Edge) -> Tried | None:
        """The same way, from which a later turn leaves the loop."""
        for data in self.told_otherwise(tried, name, once=False):
            other = self.search.settle(data)
            if edge in other.edges and not other.endless:
                return other
        return None

    def told_otherwise(self, tried: Tried, name: str, once: bool) -> Iterator[Data]:
        """Data in which what a Choice reads has other values: one at a time first, then several."""
        visit = self.search.visits(tried, name)
        if visit is None:
            return
        places: list[tuple[Source, Keys, list[Json]]] = []
        for read, values in ways(self.search.states[name]).values():
            root = self.search.root(tried, *visit, read)
            places.append((*tried.data.locate(root, read.path), values))
        for source, path, values in places:
            for value in values:
                data = tried.data.copy()
                data.put(source, path, value, once)
                yield data
        if len(places) > 1:
            for chosen in islice(product(*(values for _, _, values in places)), _WAYS):
                data = tried.data.copy()
                for (source, path, _), value in zip(places, chosen, strict=True):
                    data.put(source, path, value, once=False)
                yield data

    # ---- failures ----

    def failures(self, plan: TaskPlan, base: Explored) -> None:
        """Each error that the Task, or what is around it, knows of, and one that nobody does: once, and always."""
        uncaught: list[str] = []
        handlers = (plan, *self.around[plan.name])
        for error in _errors(handlers):
            cause = f"{plan.name} was made to fail"
            failing: dict[str, Json] = {"error": error, "cause": cause}
            data = base.data.copy()
            data.answers[plan.name] = [failing, *data.answers[plan.name]]
            once = self.search.settle(data)
            self.keep(f"{plan.name} fails with {error}", once)
            last = once
            if any(each.retriers for each in handlers):
                data = base.data.copy()
                data.answers[plan.name] = [failing]
                last = self.search.settle(data)
                self.keep(f"{plan.name} always fails with {error}", last)
            if last.run.error == error and last.run.status == "FAILED":
                uncaught.append(error)
            elif last.run.status == "SUCCEEDED" and not _told(last, plan.name, error, cause):
                self.exploration.findings.append(
                    f"'{plan.name}' fails with {error}: it is caught and forgotten, and the execution succeeds without "
                    "a trace of it. Keep the error (ResultPath, Output, Assign), or tell somebody."
                )
        if uncaught:
            self.exploration.findings.append(
                f"'{plan.name}' fails with {', '.join(uncaught)}: nothing catches it, and the execution fails. "
                "Add a Catch, or accept it."
            )

    # ---- conclusions ----

    def conclude(self) -> None:
        exploration = self.exploration
        wanting: set[str] = set()
        exploration.runs = self.search.count
        for explored in exploration.explored:
            run = explored.tried.run
            if explored.tried.endless:
                often = max(set(run.path), key=run.path.count) if run.path else "?"
                exploration.findings.append(
                    f"{explored.name}: no end within {LIMITS.history_events} events; '{often}' is entered "
                    f"{run.path.count(often)} times. Bound the loop."
                )
            elif explored.tried.wanting is not None:
                _, at, cause = explored.tried.wanting
                if at.details["name"] in wanting:
                    continue
                wanting.add(at.details["name"])
                exploration.findings.append(
                    f"{explored.name}: '{at.details['name']}' fails for want of data that was not found: {cause[:300]}"
                )
        for name in sorted(set(self.search.plans) - exploration.states):
            exploration.findings.append(f"'{name}' was not reached.")
        for one, other in sorted(exploration.branches - exploration.reached):
            if one in exploration.states:
                exploration.findings.append(f"'{one}' was not seen to go to '{other}'.")


def _loops(tried: Tried) -> bool:
    """Whether it went round until somebody ended it."""
    return tried.endless or tried.run.status == "TIMED_OUT"


def _edges(plan: Plan) -> Iterator[Edge]:
    for state in plan.every_state():
        yield from _edges_of(state)


def _edges_of(state: StatePlan) -> Iterator[Edge]:
    targets = [state.next, *(each.next for each in state.catchers)]
    if isinstance(state, ChoicePlan):
        targets += [rule.next for rule in state.rules]
    for target in targets:
        if target is not None:
            yield state.name, target


def _around(plan: Plan, outer: tuple[StatePlan, ...]) -> Iterator[tuple[str, tuple[StatePlan, ...]]]:
    for state in plan.states.values():
        yield state.name, outer
        for scope in state.scopes:
            yield from _around(scope, (state, *outer))


def _errors(handlers: tuple[StatePlan, ...]) -> list[str]:
    named = [
        error for state in handlers for rule in (*state.retriers, *state.catchers) for error in sorted(rule.errors)
    ]
    return [*(each for each in dict.fromkeys(named) if each not in (*_NOT_TO_BE_RAISED, NO_ANSWER)), _UNEXPECTED]


def _told(tried: Tried, state: str, error: str, cause: str) -> bool:
    """Whether anybody outside could know of the failure: the output, or a later call."""
    shown = [tried.run.output, *(call.arguments for call in tried.world.calls if call.state != state)]
    text = json.dumps(shown, ensure_ascii=False, default=str)
    return error in text or cause in text

"""Explores a machine: its branches, each Task failing, and what ends badly. Gives scenarios for all of it.

Owns what is tried and in which order: the way through, then each way of each Choice that was met, then one failure of
each Task that was called and, where two are allowed, of each that is called only after a failure. What a scenario
expects is what its run did; what is told of it stands in findings.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from treadle.language.plan import ChoicePlan, Plan, StatePlan
from treadle.scenarios.exploring.data import Data, state_of
from treadle.scenarios.exploring.failing import failures_of
from treadle.scenarios.exploring.findings import (
    Edge,
    Finding,
    Unreached,
    endless,
    forgotten,
    not_entered,
    told_of,
    uncaught,
    unreached,
    wanting,
)
from treadle.scenarios.exploring.search import Search, Tried
from treadle.scenarios.scenario import Expectation, Machine, Scenario

_BASES: Final = 3
"""From how many runs another way of one Choice is looked for."""


@dataclass(frozen=True, slots=True)
class Explored:
    """One run that was found: a name for what happens in it, its data, how it went, and how much fails in it."""

    name: str
    data: Data
    tried: Tried
    failures: int

    def scenario(self, machine: Machine) -> Scenario:
        """The run as a scenario that expects what it did."""
        run = self.tried.run
        answers = {key: each for key, each in self.data.answers.items() if state_of(key) in self.tried.entered}
        expect = Expectation(status=run.status, error=run.error, path=tuple(run.path))
        return Scenario(self.name, machine, self.data.input, answers, expect)


@dataclass
class Exploration:
    """What was found. `branches` are all transitions of the definition, `reached` those that a run took."""

    machine: Machine
    explored: list[Explored] = field(default_factory=list[Explored])
    findings: list[Finding] = field(default_factory=list[Finding])
    branches: set[Edge] = field(default_factory=set[Edge])
    reached: set[Edge] = field(default_factory=set[Edge])
    unreached: list[Unreached] = field(default_factory=list[Unreached])
    states: set[str] = field(default_factory=set[str])
    runs: int = 0

    @property
    def scenarios(self) -> list[Scenario]:
        """A scenario for each run that came to an end by itself."""
        return [each.scenario(self.machine) for each in self.explored if not each.tried.endless]


def explore(machine: Machine, failures: int = 1) -> Exploration:
    """Explore a machine with so many failures in one run, 0 to 2."""
    explorer = _Explorer(machine, failures)
    explorer.walk()
    return explorer.exploration


class _Explorer:
    def __init__(self, machine: Machine, failures: int) -> None:
        self.search = Search(machine)
        self.failures = failures
        self.exploration = Exploration(machine, branches=set(_edges(machine.plan)))
        self.around = dict(_around(machine.plan, ()))
        self.looked_at: Counter[str] = Counter()
        self.failed: set[str] = set()

    def walk(self) -> None:
        self.keep("the way through", self.way_through(), 0)
        self.other_ways_from(0)
        for count in range(self.failures):
            first = len(self.exploration.explored)
            for name, plan in self.search.plans.items():
                base = next((each for each in self.exploration.explored if self._may_fail(each, name, count)), None)
                if base is not None and name not in self.failed:
                    self.fail(plan, base)
            self.other_ways_from(first)
        self.conclude()

    def _may_fail(self, explored: Explored, name: str, failures: int) -> bool:
        return explored.failures == failures and name in explored.tried.entered

    def keep(self, name: str, tried: Tried, failures: int) -> None:
        """Remember a run, under a name of its own."""
        exploration = self.exploration
        taken = {each.name for each in exploration.explored}
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name} ({number})", number + 1
        exploration.explored.append(Explored(unique, tried.data, tried, failures))
        exploration.reached |= tried.edges & exploration.branches
        exploration.states |= tried.entered

    # ---- ways ----

    def way_through(self) -> Tried:
        """A run that ends, if one is found: a loop is left by another way of one of its Choices."""
        tried = self.search.settle(self.search.first())
        seen: set[Edge] = set()
        while _loops(tried):
            seen |= tried.edges
            further = self.further(tried, seen)
            if further is None:
                break
            tried = further
        return tried

    def further(self, tried: Tried, seen: set[Edge]) -> Tried | None:
        """A run that ends, or at least takes a transition that was not seen, by another way of a Choice."""
        for name in self.search.choices(tried):
            for data in self.told_otherwise(tried, name, once=False):
                other = self.search.settle(data)
                if not _loops(other) or other.edges - seen:
                    return other
        return None

    def other_ways_from(self, first: int) -> None:
        """The ways that the Choices of these runs, and of those found meanwhile, did not go."""
        at = first
        while at < len(self.exploration.explored):
            self.other_ways(self.exploration.explored[at])
            at += 1

    def other_ways(self, explored: Explored) -> None:
        """The ways that the Choices of a run did not go, with data that leads there."""
        for name in self.search.choices(explored.tried):
            plan = self.search.plans[name]
            wanted = set(_edges_of(plan)) - self.exploration.reached
            if not wanted or self.looked_at[name] == _BASES:
                continue
            self.looked_at[name] += 1
            for data in self.told_otherwise(explored.tried, name, once=True):
                tried = self.search.run(data)
                for edge in sorted(tried.edges & wanted - self.exploration.reached):
                    settled = self.search.settle(data)
                    if settled.endless:
                        settled = self.left_again(settled, name, edge) or settled
                    way = settled if edge in settled.edges else tried
                    self.keep(f"{edge[0]} goes to {edge[1]}", way, explored.failures)
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
        visit = self.search.visit(tried, name)
        return iter(()) if visit is None else self.search.told_otherwise(tried, visit, once)

    # ---- failures ----

    def fail(self, plan: StatePlan, base: Explored) -> None:
        """Each failure of the work of a state: once, and always where something is tried again."""
        handlers = (plan, *self.around[plan.name])
        lost: list[str] = []
        silent: list[str] = []
        for failing in failures_of(self.search.states[plan.name], plan, handlers[1:]):
            self.failed.add(plan.name)
            data = base.data.copy()
            data.answers[failing.key] = [failing.answer, *data.answers[failing.key]]
            last = self.search.settle(data)
            self.keep(f"{failing.key} fails with {failing.error}", last, base.failures + 1)
            if any(each.retriers for each in handlers):
                data = base.data.copy()
                data.answers[failing.key] = [failing.answer]
                last = self.search.settle(data)
                self.keep(f"{failing.key} always fails with {failing.error}", last, base.failures + 1)
            if last.run.error == failing.error and last.run.status == "FAILED":
                lost.append(failing.error)
            elif last.run.status == "SUCCEEDED" and not told_of(last, failing):
                silent.append(failing.error)
        if lost:
            self.exploration.findings.append(uncaught(plan.name, lost))
        if silent:
            self.exploration.findings.append(forgotten(plan.name, silent))

    # ---- conclusions ----

    def conclude(self) -> None:
        exploration = self.exploration
        exploration.runs = self.search.count
        explored = exploration.explored
        exploration.findings += endless([(each.name, each.tried) for each in explored if each.tried.endless])
        found = [finding for each in explored if (finding := wanting(each.name, each.tried)) is not None]
        exploration.findings += {each.state: each for each in reversed(found)}.values()
        calm = {state for each in explored if not each.failures for state in each.tried.entered}
        missing = exploration.branches - exploration.reached
        states = self.search.states
        exploration.unreached = list(unreached(states, missing, calm, exploration.states, self.failures))
        exploration.findings += [each.finding for each in exploration.unreached if each.source in exploration.states]
        exploration.findings += not_entered(states, exploration.states, exploration.unreached)


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

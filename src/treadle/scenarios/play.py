"""Plays a scenario and judges it: the real machine in a make-believe world.

Owns what counts as a difference from what was expected. The world is `treadle.testing`'s.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from treadle.language.plan import TaskPlan
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object, same
from treadle.machine.limits import Limits
from treadle.scenarios.scenario import Expectation, Machine, Scenario
from treadle.testing.script import Answer, names_of, script_of
from treadle.testing.world import Run, World, identity_of

_SHOWN: Final = 400


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as expected. `state` is the place in the run's path where a path goes another way."""

    what: str
    expected: str
    actual: str
    state: int | None = None

    def __str__(self) -> str:
        """The difference in one line."""
        return f"{self.what}: expected {self.expected}, got {self.actual}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a scenario."""

    scenario: Scenario
    run: Run
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


def play(
    scenario: Scenario, limits: Limits | None = None, tasks: Mapping[str, Answer] = MappingProxyType({})
) -> Outcome:
    """Run a scenario to its end, or until nothing more can happen, and compare.

    `tasks` answers beside what the scenario has, with anything that `treadle.testing.World` takes.
    """
    answers = {**script_of(scenario.answers), **tasks}
    world = World(answers, seed=scenario.seed, limits=limits)
    run = world.start(scenario.machine.plan, scenario.input, identity_of(type=scenario.machine.type))
    world.run()
    return Outcome(scenario, run, tuple(_differences(scenario, world, run)))


def _differences(scenario: Scenario, world: World, run: Run) -> Iterator[Difference]:
    for state in dict.fromkeys(world.unanswered):
        yield Difference(f"answers of '{state}'", "one for every call", "a call without: write it under 'answers'")
    yield from judge(scenario.expect, run, calls_by_name(scenario.machine, world))


def calls_by_name(machine: Machine, world: World) -> Counter[str]:
    """How often each task was called, under each of its names."""
    counts: Counter[str] = Counter()
    for call in world.calls:
        plan = machine.plan.state(call.state)
        assert isinstance(plan, TaskPlan), "only a Task calls"
        counts.update(names_of(plan.name, plan.resource))
    return counts


def judge(expect: Expectation, run: Run, calls: Mapping[str, int]) -> Iterator[Difference]:
    """Everything in which a run differs from what was expected of it."""
    yield from _path(expect, run.path)
    if expect.status is not None and run.status != expect.status:
        told = ": ".join(each for each in (run.error, run.cause) if each)
        yield Difference("status", expect.status, f"{run.status} ({_short(told)})" if told else str(run.status))
    if expect.status is None and run.status == "RUNNING":
        yield Difference("status", "an end", "RUNNING: it waits for what never comes")
    for what, wanted, got in (("error", expect.error, run.error), ("cause", expect.cause, run.cause)):
        if wanted is not None and wanted != got:
            yield Difference(what, _text(wanted), _text(got))
    if expect.cause_contains is not None and expect.cause_contains not in (run.cause or ""):
        yield Difference("cause", f"a text with {_text(expect.cause_contains)}", _text(run.cause))
    # What a failed execution has no output for is told by its status.
    if run.status == "SUCCEEDED":
        if expect.output is not None:
            yield from unlike(expect.output[0], run.output, "output", exact=True)
        if expect.output_contains is not None:
            yield from unlike(expect.output_contains[0], run.output, "output", exact=False)
    elif expect.output or expect.output_contains:
        yield Difference("output", "one", f"none: the execution is {run.status}")
    if expect.seconds is not None and not expect.seconds[0] <= round(run.seconds, 6) <= expect.seconds[1]:
        yield Difference("seconds", _span(expect.seconds), f"{run.seconds:g}")
    for name, wanted in expect.calls.items():
        if calls.get(name, 0) != wanted:
            yield Difference(f"calls of '{name}'", str(wanted), str(calls.get(name, 0)))


def _path(expect: Expectation, path: list[str]) -> Iterator[Difference]:
    if expect.path is not None:
        wanted = list(expect.path)
        if wanted != path:
            at = next((i for i, pair in enumerate(zip(wanted, path, strict=False)) if pair[0] != pair[1]), None)
            at = min(len(wanted), len(path)) if at is None else at
            what = f"state {at + 1} of the path"
            yield Difference(what, _at(wanted, at), _at(path, at), at)
    if expect.path_contains is not None:
        at = 0
        for name in expect.path_contains:
            if name not in path[at:]:
                after = f" after state {at}" if at else ""
                yield Difference("path", f"'{name}'{after}", " -> ".join(path) or "no state", at)
                return
            at = path.index(name, at) + 1


def _at(path: list[str], index: int) -> str:
    return f"'{path[index]}'" if index < len(path) else "the end"


def unlike(expected: Json, actual: Json, what: str, exact: bool) -> Iterator[Difference]:
    """Where two values differ. Unless `exact`, objects may have more members than expected."""
    if is_object(expected) and is_object(actual):
        for name, value in expected.items():
            if name in actual:
                yield from unlike(value, actual[name], f"{what}.{name}", exact)
            else:
                yield Difference(f"{what}.{name}", _text(value), "nothing")
        if exact:
            for name in actual.keys() - expected.keys():
                yield Difference(f"{what}.{name}", "nothing", _text(actual[name]))
    elif is_array(expected) and is_array(actual) and len(expected) == len(actual):
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            yield from unlike(one, other, f"{what}[{index}]", exact)
    elif not same(expected, actual):
        yield Difference(what, _text(expected), _text(actual))


def _span(seconds: tuple[float, float]) -> str:
    least, most = seconds
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def _text(value: Json) -> str:
    return _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

"""One state made ready to be tried by itself: its plan with what each step of the data flow gives noted down.

Owns which values are shown of which type of state. It never changes what a state does; where a transition leads is
renamed, so that the state comes to an end there and the trial can tell which rule or catcher led out. Neighbour:
trial.py, which runs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from treadle.language.plan import (
    ChoicePlan,
    Dataflow,
    Distribution,
    Expr,
    MapPlan,
    Plan,
    Rule,
    StatePlan,
    SucceedPlan,
)
from treadle.language.scope import Json, Scope

NEXT: Final = "next:"
"""Begins the name of a state that a transition leads to."""

CATCH: Final = "catch:"
"""Begins the name of a state that a catcher leads to; its index and a colon follow."""

# AWS 'TestState', inspectionData, and observed on AWS: which values each type of state shows.
_JSONPATH: Final = {
    "Pass": ("afterInputPath", "afterParameters", "afterResultSelector", "afterResultPath"),
    "Task": ("afterInputPath", "afterParameters", "afterResultSelector", "afterResultPath"),
    "Parallel": ("afterResultSelector", "afterResultPath"),
    "Map": ("afterInputPath", "afterResultSelector", "afterResultPath"),
    "Wait": ("afterInputPath",),
    "Choice": ("afterInputPath",),
    "Succeed": ("afterInputPath",),
    "Fail": ("afterInputPath",),
}
_JSONATA: Final = {"Task": ("afterArguments",), "Parallel": ("afterArguments",)}


def probed(state: StatePlan, language: str, notes: dict[str, Json]) -> Plan:
    """A plan with this state alone, which writes what its data flow gives into `notes`."""
    shown = (_JSONPATH if language == "JSONPath" else _JSONATA).get(state.type, ())
    tried = _led_out(replace(state, flow=_noting(state.flow, shown, notes), plain=False))
    if isinstance(tried, MapPlan) and tried.distribution is None:
        # An inline Map becomes one run too: its iterations are not tried, only what stands around them.
        tried = replace(tried, distribution=Distribution("EXPRESS", "trial"))
    ends = (SucceedPlan(name=name) for name in _targets(tried))
    return Plan(tried.name, {tried.name: tried, **{end.name: end for end in ends}})


def _noting(flow: Dataflow, shown: Iterable[str], notes: dict[str, Json]) -> Dataflow:
    def noting(name: str, expr: Expr | None) -> Expr:
        def evaluate(scope: Scope) -> Json:
            notes[name] = scope.root if expr is None else expr(scope)
            return notes[name]

        return evaluate

    def placing(raw: Json, result: Json) -> Json:
        notes["afterResultPath"] = result if flow.place is None else flow.place(raw, result)
        return notes["afterResultPath"]

    slots: dict[str, Any] = {}
    for name in shown:
        match name:
            case "afterInputPath":
                slots["take"] = noting(name, flow.take)
            case "afterParameters" | "afterArguments":
                slots["arguments"] = noting(name, flow.arguments)
            case "afterResultSelector":
                slots["keep"] = noting(name, flow.keep)
            case _:
                slots["place"] = placing
    return replace(flow, **slots)


def _led_out(state: StatePlan) -> StatePlan:
    """The state with every transition renamed."""
    catchers = tuple(
        replace(catcher, next=f"{CATCH}{index}:{catcher.next}") for index, catcher in enumerate(state.catchers)
    )
    led = replace(state, next=None if state.next is None else NEXT + state.next, catchers=catchers)
    if isinstance(led, ChoicePlan):
        led = replace(led, rules=tuple(_rule(rule) for rule in led.rules))
    return led


def _rule(rule: Rule) -> Rule:
    return replace(rule, next=NEXT + rule.next)


def _targets(state: StatePlan) -> set[str]:
    targets = {catcher.next for catcher in state.catchers}
    if state.next is not None:
        targets.add(state.next)
    if isinstance(state, ChoicePlan):
        targets |= {rule.next for rule in state.rules}
    return targets

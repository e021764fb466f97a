"""The graph of a definition: states as nodes, what may follow as edges, scopes within states as graphs of their own.

Owns which edges there are and what stands on them. Every graph has a start, and an end where one of its states ends
it; a Fail leads nowhere. Knows nothing of how it is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal, TypeAlias

from treadle.language.lints.outline import Fields, Scope, State, outline
from treadle.language.resources import parse_resource
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object

Kind: TypeAlias = Literal["next", "choice", "default", "catch"]


@dataclass(frozen=True, slots=True)
class Node:
    """A state, or the start or end of its graph (type `Start` or `End`). `detail` says what a Task calls."""

    id: str
    name: str
    type: str
    detail: str = ""
    inner: tuple[Graph, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """What may follow what. `label` is a choice's condition or the errors that are caught."""

    source: str
    target: str
    kind: Kind = "next"
    label: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """One scope: the machine, a branch or a processor."""

    id: str
    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = field(default=())


def graph_of(root: Fields) -> Graph:
    """The graph of a definition as it was parsed. Edges to states that do not exist are left out."""
    return _Builder().graph(outline(root, "STANDARD"), "")


class _Builder:
    def __init__(self) -> None:
        self._numbers = count(1)

    def graph(self, scope: Scope, title: str) -> Graph:
        ids = {name: f"n{next(self._numbers)}" for name in scope.states}
        number = next(self._numbers)
        start, end = f"start{number}", f"end{number}"
        nodes = [Node(start, "Start", "Start")]
        nodes += [self._node(state, ids[name]) for name, state in scope.states.items()]
        edges = [
            Edge(ids[name], ids[edge.target] if edge.target else end, edge.kind, edge.label)
            for name, state in scope.states.items()
            for edge in _edges(state)
            if not edge.target or edge.target in ids
        ]
        first = scope.fields.get("StartAt")
        if isinstance(first, str) and first in ids:
            edges.insert(0, Edge(start, ids[first]))
        if any(edge.target == end for edge in edges):
            nodes.append(Node(end, "End", "End"))
        return Graph(f"g{number}", title, tuple(nodes), tuple(edges))

    def _node(self, state: State, id: str) -> Node:
        several = state.type == "Parallel" and len(state.scopes) > 1
        inner = [self.graph(scope, f"branch {index}" if several else "") for index, scope in enumerate(state.scopes)]
        return Node(id, state.name, state.type or "?", _detail(state), tuple(inner))


def _detail(state: State) -> str:
    if state.is_distributed_map:
        return "distributed"
    written = state.fields.get("Resource")
    resource = parse_resource(written) if isinstance(written, str) else None
    if resource is None:
        return ""
    if resource.kind in ("lambda", "activity"):
        return f"{resource.kind} {resource.action}"
    return f"{resource.resource_type}:{resource.name}"


def _edges(state: State) -> Iterator[Edge]:
    """What may follow a state; without a target where its graph ends."""
    fields = state.fields
    following = fields.get("Next")
    if isinstance(following, str):
        yield Edge("", following)
    elif fields.get("End") is True or state.type == "Succeed":
        yield Edge("", "")
    for _, rule in state.blocks("Choices"):
        if isinstance(rule.get("Next"), str):
            yield Edge("", rule["Next"], "choice", condition_text(rule))
    if isinstance(fields.get("Default"), str):
        yield Edge("", fields["Default"], "default", "otherwise")
    for _, catcher in state.blocks("Catch"):
        if isinstance(catcher.get("Next"), str):
            errors: Json = catcher.get("ErrorEquals")
            yield Edge("", catcher["Next"], "catch", ", ".join(map(str, errors)) if is_array(errors) else "")


# ---- conditions --------------------------------------------------------------------------------------------------

_SIGNS: Final = {
    "LessThanEquals": "<=",
    "GreaterThanEquals": ">=",
    "LessThan": "<",
    "GreaterThan": ">",
    "Equals": "==",
}
_NOT_A_TEST: Final = ("Variable", "Next", "Comment", "Assign", "Output")


def condition_text(rule: Mapping[str, Json]) -> str:
    """A choice rule as people write it: `$.total > 100 and not ($.paid is present)`."""
    condition = rule.get("Condition")
    if isinstance(condition, str):
        return condition.strip().removeprefix("{%").removesuffix("%}").strip()
    for word in ("And", "Or"):
        parts = rule.get(word)
        if is_array(parts):
            return f" {word.lower()} ".join(_operand(each) for each in parts if is_object(each))
    inner = rule.get("Not")
    if is_object(inner):
        return f"not ({condition_text(inner)})"
    for name, value in rule.items():
        if name not in _NOT_A_TEST:
            return f"{rule.get('Variable', '')} {_test(name, value)}"
    return ""


def _operand(rule: Mapping[str, Json]) -> str:
    text = condition_text(rule)
    return f"({text})" if "And" in rule or "Or" in rule else text


def _test(name: str, value: Json) -> str:
    if name.startswith("Is"):
        word = name.removeprefix("Is").lower()
        return f"is {word}" if value is True else f"is not {word}"
    if name == "StringMatches":
        return f"matches {json.dumps(value, ensure_ascii=False)}"
    path = name.endswith("Path")
    sign = next((sign for end, sign in _SIGNS.items() if name.removesuffix("Path").endswith(end)), name)
    return f"{sign} {value if path else json.dumps(value, ensure_ascii=False)}"

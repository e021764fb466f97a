"""Inputs and answers that are being looked for, and where a value in a run came from.

Values go through a run by reference, so the object that a state sees is the object in the input or in an answer; an
object that ResultPath copied is known by what it still shares. Owns changing them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Final

from treadle.language.scope import Json
from treadle.language.values import is_array, is_object
from treadle.scenarios.exploring.reads import Keys

ABSENT: Final[Any] = object()
"""In the place of a value: it shall not be there."""

INPUT: Final = ("", 0)
"""The source of what came with the start; any other is a state and the number of its answer."""

Source = tuple[str, int]


@dataclass
class Data:
    """An input and, by task, answers in turn (the last one for all further calls), in the format of scenarios."""

    input: Json = field(default_factory=dict[str, Json])
    answers: dict[str, list[dict[str, Json]]] = field(default_factory=dict[str, list[dict[str, Json]]])

    def copy(self) -> Data:
        """The same values as objects of their own."""
        return copy.deepcopy(self)

    def get(self, source: Source) -> Json:
        """The value of a source."""
        return self.input if source == INPUT else self.answers[source[0]][source[1]].get("return")

    def put(self, source: Source, path: Keys, value: Json, once: bool = False) -> None:
        """Change the value of a source. `once`: calls after this one are answered as before."""
        if source == INPUT:
            self.input = _put(self.input, path, value)
            return
        answers, turn = self.answers[source[0]], source[1]
        before = copy.deepcopy(answers[turn])
        answers[turn] = {**answers[turn], "return": _put(answers[turn].get("return"), path, value)}
        if once and turn == len(answers) - 1:
            answers.append(before)

    def sources(self) -> list[Source]:
        """Everything that a value may come from."""
        given = [(state, turn) for state, turns in self.answers.items() for turn in range(len(turns))]
        return [INPUT, *(each for each in given if "return" in self.answers[each[0]][each[1]])]

    def locate(self, root: Json, path: Keys) -> tuple[Source, Keys]:
        """Where the value at a path of a document comes from, or would have to."""
        known: dict[int, tuple[Source, Keys]] = {}
        for source in self.sources():
            _index(self.get(source), source, (), known)
        found: tuple[Source, Keys] | None = None
        node, at = root, 0
        while True:
            if id(node) in known and (is_object(node) or is_array(node)):
                source, start = known[id(node)]
                found = source, start + path[at:]
            elif found is None and is_object(node) and (akin := self._akin(node, known)):
                found = akin[0], akin[1] + path[at:]
            if at == len(path):
                break
            inner = step(node, path[at])
            if inner is ABSENT:
                break
            node, at = inner, at + 1
        return found or (INPUT, path)

    def _akin(self, node: dict[str, Json], known: dict[int, tuple[Source, Keys]]) -> tuple[Source, Keys] | None:
        """The object that this one was copied from: the one that shares most members with it."""
        best: tuple[int, Source] | None = None
        for source in self.sources():
            value = self.get(source)
            if is_object(value):
                shared = sum(node.get(name, ABSENT) is each for name, each in value.items())
                if shared and (best is None or shared > best[0]):
                    best = shared, source
        return None if best is None else (best[1], ())


def step(node: Json, key: str | int) -> Json:
    """One step of a path; a name goes into the first element of a list, as JSONata goes into all."""
    if is_array(node) and isinstance(key, str):
        node = node[0] if node else None
    if is_object(node) and isinstance(key, str):
        return node.get(key, ABSENT)
    if is_array(node) and isinstance(key, int):
        return node[key] if key < len(node) else ABSENT
    return ABSENT


def resolve(node: Json, path: Keys) -> Json:
    """The value at a path, or ABSENT."""
    for key in path:
        node = step(node, key)
        if node is ABSENT:
            return ABSENT
    return node


def _index(value: Json, source: Source, path: Keys, known: dict[int, tuple[Source, Keys]]) -> None:
    if is_object(value):
        known.setdefault(id(value), (source, path))
        for name, each in value.items():
            _index(each, source, (*path, name), known)
    elif is_array(value):
        known.setdefault(id(value), (source, path))
        for index, each in enumerate(value):
            _index(each, source, (*path, index), known)


def _put(node: Json, path: Keys, value: Json) -> Json:
    if not path:
        return copy.deepcopy(value) if value is not ABSENT else {}
    key, rest = path[0], path[1:]
    if isinstance(key, int):
        items = list(node) if is_array(node) else []
        items += [{} for _ in range(key + 1 - len(items))]
        items[key] = _put(items[key], rest, value)
        return items
    if is_array(node) and node:
        return [_put(node[0], path, value), *node[1:]]
    members = dict(node) if is_object(node) else {}
    if value is ABSENT and not rest:
        members.pop(key, None)
    else:
        members[key] = _put(members.get(key), rest, value)
    return members

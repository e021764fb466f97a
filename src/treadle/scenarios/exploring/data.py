"""Inputs and answers that are being looked for.

Owns reading and changing them at a path, also inside a text that holds JSON. Neighbour: origins.py, which knows at
which path a value that a state sees comes from.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any, Final

from treadle.language.scope import Json
from treadle.language.values import is_array, is_object
from treadle.scenarios.exploring.reads import AS_JSON, Keys

ABSENT: Final[Any] = object()
"""In the place of a value: it shall not be there."""

INPUT: Final = ("", 0)
"""The source of what came with the start; any other is a state and the number of its answer."""

Source = tuple[str, int]


def state_of(key: str) -> str:
    """The state for which an answer stands: its own, or that of its reader or writer."""
    return key.removesuffix(".ItemReader").removesuffix(".ResultWriter")


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
        if source == INPUT:
            return self.input
        answers, turn = self._turn(source)
        return answers[turn].get("return")

    def has(self, source: Source) -> bool:
        """Whether the source gives a value: a call that is made to fail gives none."""
        if source == INPUT:
            return True
        answers, turn = self._turn(source)
        return "return" in answers[turn]

    def _turn(self, source: Source) -> tuple[list[dict[str, Json]], int]:
        """The answers of a state, and which of them answers a call: the last one all further calls."""
        answers = self.answers[source[0]]
        return answers, min(source[1], len(answers) - 1)

    def put(self, source: Source, path: Keys, value: Json, once: bool = False) -> None:
        """Change the value of a source. `once`: calls after this one are answered as before."""
        if source == INPUT:
            self.input = _put(self.input, path, value)
            return
        answers, turn = self._turn(source)
        before = copy.deepcopy(answers[turn])
        answers[turn] = {**answers[turn], "return": _put(answers[turn].get("return"), path, value)}
        if once and turn == len(answers) - 1:
            answers.append(before)


def step(node: Json, key: str | int) -> Json:
    """One step of a path; a name goes into the first element of a list, as JSONata goes into all."""
    if key == AS_JSON:
        return _document(node)
    if is_array(node) and isinstance(key, str):
        node = node[0] if node else None
    if is_object(node) and isinstance(key, str):
        return node.get(key, ABSENT)
    if is_array(node) and isinstance(key, int):
        return node[key] if key < len(node) else ABSENT
    return ABSENT


def _document(text: Json) -> Json:
    try:
        return json.loads(text) if isinstance(text, str) else ABSENT
    except ValueError:
        return ABSENT


def resolve(node: Json, path: Keys) -> Json:
    """The value at a path, or ABSENT."""
    for key in path:
        node = step(node, key)
        if node is ABSENT:
            return ABSENT
    return node


def _put(node: Json, path: Keys, value: Json) -> Json:
    if not path:
        return copy.deepcopy(value) if value is not ABSENT else {}
    key, rest = path[0], path[1:]
    if key == AS_JSON:
        inside = _document(node)
        return json.dumps(_put({} if inside is ABSENT else inside, rest, value), ensure_ascii=False)
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

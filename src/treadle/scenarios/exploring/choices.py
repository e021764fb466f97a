"""What a Choice could be told so that it goes another way: by read, the values that its conditions speak of.

Owns the values; whether they lead anywhere is for a run to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from treadle.language.lints.outline import State
from treadle.language.scope import Json
from treadle.language.values import is_number, is_object
from treadle.scenarios.exploring.data import ABSENT
from treadle.scenarios.exploring.reads import Keys, Read, Root, reads_in

_EARLY, _LATE = "1970-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
_OF_TYPE: Final[dict[str, tuple[Json, Json]]] = {
    "IsPresent": ({}, ABSENT),
    "IsNull": (None, "text"),
    "IsNumeric": (1, "text"),
    "IsString": ("text", 1),
    "IsBoolean": (True, "text"),
    "IsTimestamp": (_EARLY, "text"),
}
_LITERAL: Final = re.compile(r"'([^']*)'|\"([^\"]*)\"|(-?\d+(?:\.\d+)?)|\b(true|false|null)\b")
_WORDS: Final[dict[str, Json]] = {"true": True, "false": False, "null": None}
_MOST: Final = 14
_AMOUNTS: Final[tuple[Json, ...]] = (0, 2, 1_000_000, [], [{}, {}, {}])
"""For what is compared with another value: numbers, and lists that are counted."""

Place = tuple[Root, str, Keys]


def ways(state: State) -> dict[Place, tuple[Read, list[Json]]]:
    """By what the conditions of a Choice read: values that may make them true or false."""
    found: dict[Place, tuple[Read, list[Json]]] = {}
    for _, rule in state.blocks("Choices"):
        for read, values in _of_rule(state, rule):
            _, known = found.setdefault((read.root, read.variable, read.path), (read, []))
            known += [each for each in values if not any(_same(each, other) for other in known)]
            del known[_MOST:]
    return found


def _same(one: Json, other: Json) -> bool:
    return type(one) is type(other) and one == other


def _of_rule(state: State, rule: dict[str, Json]) -> Iterator[tuple[Read, list[Json]]]:
    condition = rule.get("Condition")
    if isinstance(condition, str):
        values = [_literal(match) for match in _LITERAL.finditer(condition)]
        around = [other for each in values for other in _around(each)]
        for read in reads_in(state, condition):
            yield read, [*around, *(() if values else _AMOUNTS), True, False, ABSENT, [{}], []]
    for name in ("And", "Or"):
        for inner in rule.get(name, []):
            yield from _of_rule(state, inner)
    if is_object(rule.get("Not")):
        yield from _of_rule(state, rule["Not"])
    if isinstance(rule.get("Variable"), str):
        values = list(_of_comparison(rule))
        for text in (rule["Variable"], *(each for name, each in rule.items() if name.endswith("Path"))):
            for read in reads_in(state, text):
                yield read, values


def _literal(match: re.Match[str]) -> Json:
    if match[3] is not None:
        return float(match[3]) if "." in match[3] else int(match[3])
    return _WORDS[match[4]] if match[4] is not None else match[1] if match[1] is not None else match[2]


def _of_comparison(rule: dict[str, Json]) -> Iterator[Json]:
    for name, value in rule.items():
        if name in _OF_TYPE:
            yield from _OF_TYPE[name]
        elif name == "StringMatches":
            yield value.replace("*", "x")
            yield "~"
        elif name.startswith("Timestamp"):
            yield from (_EARLY, value if isinstance(value, str) and not name.endswith("Path") else _EARLY, _LATE)
        elif name.endswith("Path"):
            yield from (*_AMOUNTS, "text", "other", True, False)
        elif name.startswith(("String", "Numeric", "Boolean")):
            yield from _around(value)


def _around(value: Json) -> list[Json]:
    """A value and those beside it."""
    if isinstance(value, bool):
        return [value, not value]
    if is_number(value):
        return [value, value + 1, value - 1]
    return [value, f"{value}x"] if isinstance(value, str) else [value, "text"]

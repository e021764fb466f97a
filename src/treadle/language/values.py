"""JSON values as text and their equality, for values nested to any depth.

Owns what kind a value is and the three ways it becomes text: JSON itself, Java's `toString`, and a canonical form that
decides equality. Must never recurse: a value may be nested deeper than Python's stack. Neighbours: intrinsics.py and
queries/jsonpath.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeGuard

from treadle.language.scope import Json


def is_object(value: Json) -> TypeGuard[dict[str, Json]]:
    """Whether the value is a JSON object."""
    return isinstance(value, dict)


def is_array(value: Json) -> TypeGuard[list[Json]]:
    """Whether the value is a JSON array."""
    return isinstance(value, list)


def is_number(value: Json) -> TypeGuard[int | float]:
    """Whether the value is a JSON number; `true` and `false` are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def json_text(value: Json) -> str:
    """The value as JSON without any blanks; characters beyond ASCII stand for themselves."""
    try:
        return _encode(value)
    except RecursionError:
        return _written(value, _JSON)


def java_text(value: Json) -> str:
    """The value as Java's `toString` prints it (`{a=1, b=[x, null]}`); a string is printed as it is."""
    return _written(value, _JAVA)


def same(one: Json, other: Json) -> bool:
    """Whether two JSON values are equal: numbers by value (1 is 1.0, but not true), objects in any order."""
    if (is_object(one) and is_object(other)) or (is_array(one) and is_array(other)):
        return canonical(one) == canonical(other)
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def canonical(value: Json) -> str:
    """A text that two values share exactly when they are the `same`."""
    return _written(value, _CANONICAL)


@dataclass(frozen=True, slots=True)
class _Style:
    text: Callable[[str], str]
    number: Callable[[int | float], str]
    colon: str
    comma: str
    ordered: bool = False


def _written(value: Json, style: _Style) -> str:
    out: list[str] = []
    open_containers: list[tuple[Iterator[tuple[str, Json]], str]] = []
    items: Iterator[tuple[str, Json]] = iter([("", value)])
    close = ""
    while True:
        for prefix, item in items:
            out.append(prefix)
            if is_object(item) or is_array(item):
                open_containers.append((items, close))
                opening, close = "{}" if is_object(item) else "[]"
                out.append(opening)
                items = _items(item, style)
                break
            out.append(_scalar(item, style))
        else:
            out.append(close)
            if not open_containers:
                return "".join(out)
            items, close = open_containers.pop()


def _items(container: Json, style: _Style) -> Iterator[tuple[str, Json]]:
    """What is inside a container, each item with the text that goes before it."""
    comma = ""
    if is_array(container):
        for item in container:
            yield comma, item
            comma = style.comma
        return
    members: Iterable[tuple[str, Json]] = sorted(container.items(), key=_name) if style.ordered else container.items()
    for key, item in members:
        yield f"{comma}{style.text(key)}{style.colon}", item
        comma = style.comma


def _name(member: tuple[str, Json]) -> str:
    return member[0]


def _scalar(value: bool | int | float | str | None, style: _Style) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return style.text(value)
        case _:
            return style.number(value)


_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def _java_number(number: int | float) -> str:
    if isinstance(number, int) or not number or not math.isfinite(number) or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    # Java's Double.toString: scientific notation outside [0.001, 10,000,000), always with a fraction.
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    first, *rest = map(str, digits)
    return f"{'-' if sign else ''}{first}.{''.join(rest) or '0'}E{len(rest) + int(exponent)}"


def _canonical_number(number: int | float) -> str:
    return str(int(number)) if number == number // 1 else repr(number)


_JSON = _Style(_encode, repr, ":", ",")
_JAVA = _Style(str, _java_number, "=", ", ")
_CANONICAL = _Style(_encode, _canonical_number, ":", ",", ordered=True)

"""Event patterns: whether an event is one that a rule waits for.

Owns the matching and what a valid pattern is. Pure. Source: EventBridge 'Creating event patterns' and 'Comparison
operators'.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from treadle.language.scope import Json
from treadle.local.shapes import fields, items

_ABSENT: Final = object()


class InvalidPattern(ValueError):
    """A pattern that says nothing. The message names the field."""


def check_pattern(pattern: Json) -> None:
    """Raises InvalidPattern when a pattern is none."""
    if not isinstance(pattern, dict) or not pattern:
        raise InvalidPattern("an event pattern is an object with at least one field")
    _check(fields(pattern), "")


def matches(pattern: Mapping[str, Json], event: Json) -> bool:
    """Whether an event meets every field of a pattern. The pattern is a valid one."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(fields(each), event) for each in items(wanted)):
                return False
        elif not _field(wanted, _values(event, name)):
            return False
    return True


def _values(event: Json, name: str) -> list[Json]:
    """The values of a field, in whatever object of a list they stand; `_ABSENT` where there is none."""
    if isinstance(event, list):
        found = [value for each in items(event) for value in _values(each, name) if value is not _ABSENT]
        return found or [_ABSENT]
    return [fields(event).get(name, _ABSENT)]


def _field(wanted: Json, values: list[Json]) -> bool:
    if isinstance(wanted, dict):
        inner = fields(wanted)
        return any(matches(inner, None if value is _ABSENT else value) for value in values)
    # A list in the event matches when one of its items does.
    leaves = [leaf for value in values for leaf in (items(value) or [_ABSENT] if isinstance(value, list) else [value])]
    return any(_leaf(each, leaves) for each in items(wanted))


def _leaf(wanted: Json, values: list[Json]) -> bool:
    if not isinstance(wanted, dict):
        return any(_equal(wanted, value) for value in values)
    ((operator, argument),) = fields(wanted).items()
    if operator == "exists":
        # 'exists' looks at leaves: an object in this place is none.
        return any(value is not _ABSENT and not isinstance(value, dict) for value in values) is bool(argument)
    test = _OPERATORS[operator](argument)
    return any(value is not _ABSENT and test(value) for value in values)


def _equal(wanted: Json, value: Json) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool) or wanted is None:
        return wanted is value
    return type(value) is not dict and value is not _ABSENT and wanted == value


def _text(test: Callable[[str], bool]) -> Callable[[Json], bool]:
    return lambda value: isinstance(value, str) and test(value)


def _folded(argument: Json, test: Callable[[str, str], bool]) -> Callable[[Json], bool]:
    """`{"prefix": "a"}` and `{"prefix": {"equals-ignore-case": "a"}}`."""
    if isinstance(argument, dict):
        wanted = str(fields(argument)["equals-ignore-case"]).casefold()
        return _text(lambda value: test(value.casefold(), wanted))
    return _text(lambda value: test(value, str(argument)))


def _wildcard(argument: Json) -> Callable[[Json], bool]:
    parts = re.split(r"(\\.|\*)", str(argument))
    expression = "".join(".*" if part == "*" else re.escape(part[1:] if part[:1] == "\\" else part) for part in parts)
    compiled = re.compile(expression, re.DOTALL)
    return _text(lambda value: compiled.fullmatch(value) is not None)


def _numeric(argument: Json) -> Callable[[Json], bool]:
    terms = items(argument)
    tests = [(_COMPARISONS[str(sign)], float(bound)) for sign, bound in zip(terms[::2], terms[1::2], strict=True)]

    def test(value: Json) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return all(compare(value, bound) for compare, bound in tests)

    return test


def _anything_but(argument: Json) -> Callable[[Json], bool]:
    if isinstance(argument, dict):
        ((operator, inner),) = fields(argument).items()
        tests = [_OPERATORS[operator](each) for each in (items(inner) if isinstance(inner, list) else [inner])]
        return lambda value: not any(test(value) for test in tests)
    unwanted = items(argument) if isinstance(argument, list) else [argument]
    return lambda value: not any(_equal(each, value) for each in unwanted)


def _within(argument: Json) -> Callable[[Json], bool]:
    network = ipaddress.ip_network(str(argument), strict=False)

    def test(value: Json) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": lambda value, bound: math.isclose(value, bound, rel_tol=0, abs_tol=1e-6),
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}

_OPERATORS: Final[dict[str, Callable[[Json], Callable[[Json], bool]]]] = {
    "prefix": lambda argument: _folded(argument, str.startswith),
    "suffix": lambda argument: _folded(argument, str.endswith),
    "equals-ignore-case": lambda argument: _text(lambda value: value.casefold() == str(argument).casefold()),
    "wildcard": _wildcard,
    "numeric": _numeric,
    "anything-but": _anything_but,
    "cidr": _within,
}


def _check(pattern: Mapping[str, Json], place: str) -> None:
    for name, wanted in pattern.items():
        here = f"{place}.{name}" if place else name
        if name == "$or" and isinstance(wanted, list):
            for each in items(wanted):
                _check(fields(each), here)
        elif isinstance(wanted, dict):
            if not wanted:
                raise InvalidPattern(f"{here}: an empty object matches nothing: leave the field out")
            _check(fields(wanted), here)
        elif not isinstance(wanted, list) or not wanted:
            raise InvalidPattern(f'{here}: what a field may be stands in a list, as in ["value"]')
        else:
            for each in items(wanted):
                if isinstance(each, dict):
                    _check_operator(fields(each), here)
                elif isinstance(each, list):
                    raise InvalidPattern(f"{here}: a list within the list matches nothing")


def _check_operator(wanted: Mapping[str, Json], here: str) -> None:
    if len(wanted) != 1:
        raise InvalidPattern(f"{here}: one operator, not {', '.join(wanted) or 'none'}")
    ((operator, argument),) = wanted.items()
    if operator == "exists":
        if not isinstance(argument, bool):
            raise InvalidPattern(f"{here}: 'exists' is true or false")
        return
    if operator not in _OPERATORS:
        raise InvalidPattern(f"{here}: there is no operator '{operator}': there are exists, {', '.join(_OPERATORS)}")
    try:
        _OPERATORS[operator](argument)
    except (ValueError, KeyError, TypeError):
        raise InvalidPattern(f"{here}: '{operator}' cannot take {argument!r}") from None

"""The comparison rules of a Choice state in JSONPath: 39 operators, And, Or and Not, compiled to conditions.

Owns what the operators mean. ASL 'Choice State', AWS 'Data-test operators'.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from treadle.errors import StatesError
from treadle.language.queries.jsonpath import PathError, Query, compile_query
from treadle.language.scope import Expr, Json, Scope
from treadle.language.timestamps import parse_timestamp

Condition: TypeAlias = Callable[[Scope], bool]
Test: TypeAlias = Callable[[Json], bool]

_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}


def _string(value: Json) -> Any:
    """Java compares strings by UTF-16 units, which differs from Python's order only beyond the BMP."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-16-be", "surrogatepass")


def _number(value: Json) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Json) -> Any:
    return value if isinstance(value, bool) else None


KINDS: Final[Mapping[str, Callable[[Json], Any]]] = {
    "String": _string,
    "Numeric": _number,
    "Timestamp": parse_timestamp,
    "Boolean": _boolean,
}
"""By kind, the value as it is compared; None when it is of another type."""

COMPARISONS: Final[Mapping[str, tuple[str, str]]] = {
    kind + order: (kind, order) for kind in KINDS for order in _ORDERS if kind != "Boolean" or order == "Equals"
}
"""The sixteen comparisons, each of which has a twin with the suffix Path."""

TESTS: Final[Mapping[str, Test]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": lambda value: _number(value) is not None,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: parse_timestamp(value) is not None,
}
"""The tests of a type; IsPresent is a test of the path itself."""


def condition(rule: Mapping[str, Json]) -> Condition:
    """The condition of a rule, or of a rule nested in And, Or or Not. The rule has passed lint."""
    if "And" in rule:
        parts = tuple(condition(each) for each in rule["And"])
        return lambda scope: all(part(scope) for part in parts)
    if "Or" in rule:
        parts = tuple(condition(each) for each in rule["Or"])
        return lambda scope: any(part(scope) for part in parts)
    if "Not" in rule:
        inner = condition(rule["Not"])
        return lambda scope: not inner(scope)
    variable = compile_query(rule["Variable"])
    name = next(key for key in rule if key in COMPARISONS or key.removesuffix("Path") in COMPARISONS or key in _TESTING)
    if name in _TESTING:
        return _TESTING[name](variable, rule[name])
    kind, order = COMPARISONS[name.removesuffix("Path")]
    if name in COMPARISONS:
        return _with_value(variable, KINDS[kind], _ORDERS[order], rule[name])
    return _with_path(variable, KINDS[kind], _ORDERS[order], compile_query(rule[name]))


def _with_value(
    variable: Query, kind: Callable[[Json], Any], holds: Callable[[Any, Any], bool], value: Json
) -> Condition:
    read, right = _reader(variable), kind(value)

    def compare(scope: Scope) -> bool:
        left = kind(read(scope))
        # A value of another type compares as false; nothing is converted.
        return left is not None and right is not None and holds(left, right)

    return compare


def _with_path(
    variable: Query, kind: Callable[[Json], Any], holds: Callable[[Any, Any], bool], path: Query
) -> Condition:
    read, read_right = _reader(variable), _reader(path)

    def compare(scope: Scope) -> bool:
        left, right = kind(read(scope)), kind(read_right(scope))
        return left is not None and right is not None and holds(left, right)

    return compare


def _reader(query: Query) -> Expr:
    def read(scope: Scope) -> Json:
        try:
            return query.read(scope)
        except PathError:
            raise StatesError(
                "States.Runtime",
                f"Invalid path '{query.text}': The choice state's condition path references an invalid value.",
            ) from None

    return read


def _test(test: Test) -> Callable[[Query, Json], Condition]:
    def compiled(variable: Query, expected: Json) -> Condition:
        read = _reader(variable)
        return lambda scope: test(read(scope)) is expected

    return compiled


def _present(variable: Query, expected: Json) -> Condition:
    def present(scope: Scope) -> bool:
        try:
            variable.read(scope)
        except PathError:
            return expected is False
        return expected is True

    return present


def _matches(variable: Query, pattern: Json) -> Condition:
    read, pieces = _reader(variable), _pieces(pattern)

    def matches(scope: Scope) -> bool:
        value = read(scope)
        return isinstance(value, str) and _matches_pieces(value, pieces)

    return matches


def _pieces(pattern: str) -> tuple[str, ...]:
    r"""The text between the stars. ASL 'StringMatches': `*` stands for any characters, `\*` for a star itself."""
    pieces = [""]
    for token in re.findall(r"\\[*\\]|.", pattern, re.DOTALL):
        if token == "*":
            pieces.append("")
        else:
            pieces[-1] += token[-1]
    return tuple(pieces)


def _matches_pieces(value: str, pieces: tuple[str, ...]) -> bool:
    """Whether the pieces occur in this order, the first at the start and the last at the end: no backtracking."""
    first, *rest = pieces
    if not rest:
        return value == first
    *middle, last = rest
    if not value.startswith(first) or len(value) < len(first) + len(last) or not value.endswith(last):
        return False
    position, end = len(first), len(value) - len(last)
    for piece in middle:
        found = value.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True


_TESTING: Final[Mapping[str, Callable[[Query, Json], Condition]]] = {
    **{name: _test(test) for name, test in TESTS.items()},
    "IsPresent": _present,
    "StringMatches": _matches,
}

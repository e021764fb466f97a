"""What filters and functions of JSONPath compute: Jayway's operators and functions, each a row of a table.

Owns the meaning of every operator and function; must never parse or walk a path itself: paths inside filters come to it
compiled. Neighbours: jsonpath_syntax.py defines the conditions, jsonpath.py calls `predicate` and `call`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias, assert_never

from treadle.language.queries.jsonpath_syntax import (
    AllOf,
    AnyOf,
    Call,
    Comparison,
    Condition,
    Every,
    Exists,
    Literal,
    Not,
    Operand,
    Regex,
    Subpath,
    is_definite,
)
from treadle.language.scope import Json
from treadle.language.values import is_array, is_number, is_object, java_text, same


class PathError(Exception):
    """A path that cannot be read or written in this document; the text is Jayway's own.

    `path` is the query as written (`$$.Execution.Foo`), where one was being read.
    """

    path: str = ""


Read: TypeAlias = Callable[[Json, Json], Json]
"""A compiled path: (node, document) -> value. Raises PathError."""

CompileSubpath: TypeAlias = Callable[[Subpath], Read]

Value: TypeAlias = Any
"""A JSON value, a compiled regular expression, or MISSING."""

MISSING: Final = object()
"""What a path within a filter gives where it finds nothing."""


def predicate(condition: Condition, compile_subpath: CompileSubpath) -> Callable[[Json, Json], bool]:
    """The condition as a function of the node at hand (`@`) and the document (`$`)."""
    match condition:
        case Exists(path):
            read = compile_subpath(path)
            if is_definite(path.steps):
                return lambda node, document: _read_or_missing(read, node, document) is not MISSING
            return lambda node, document: _read_or_missing(read, node, document) not in (MISSING, [])
        case Comparison(left, operator, right):
            compare = _OPERATORS[operator]
            one, other = _operand(left, compile_subpath), _operand(right, compile_subpath)
            return lambda node, document: compare(one(node, document), other(node, document))
        case Not(negated):
            holds = predicate(negated, compile_subpath)
            return lambda node, document: not holds(node, document)
        case AllOf(conditions):
            every = [predicate(each, compile_subpath) for each in conditions]
            return lambda node, document: all(holds(node, document) for holds in every)
        case AnyOf(conditions):
            some = [predicate(each, compile_subpath) for each in conditions]
            return lambda node, document: any(holds(node, document) for holds in some)
        case _:
            assert_never(condition)


def call(step: Call, compile_subpath: CompileSubpath) -> Read:
    """A function call as a function of the node it is applied to. Raises PathError."""
    apply = _FUNCTIONS[step.function]
    given = step.arguments
    if step.function == "length":
        given = tuple(map(_elements_of, given))
    arguments = [_operand(argument, compile_subpath) for argument in given]
    return lambda node, document: apply(node, [argument(node, document) for argument in arguments])


def _elements_of(argument: Operand) -> Operand:
    """Jayway: `length($.a)` counts what is in `a`, and so `$..book.length()` the books in the lists found."""
    if isinstance(argument, Subpath) and not any(isinstance(step, Call) for step in argument.steps):
        return Subpath(argument.absolute, (*argument.steps, Every()))
    return argument


def _operand(operand: Operand, compile_subpath: CompileSubpath) -> Callable[[Json, Json], Value]:
    match operand:
        case Literal(value):
            return lambda _node, _document: value
        case Regex(pattern):
            return lambda _node, _document: pattern
        case Subpath():
            read = compile_subpath(operand)
            return lambda node, document: _read_or_missing(read, node, document)
        case _:
            assert_never(operand)


def _read_or_missing(read: Read, node: Json, document: Json) -> Value:
    try:
        return read(node, document)
    except PathError:
        return MISSING


def _as_list(value: Value) -> list[Json]:
    return value if is_array(value) else []


_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _equal(left: Value, right: Value) -> bool:
    # Jayway compares a number with a text: as texts where the text is on the left, else as numbers.
    if isinstance(left, str) and is_number(right):
        return left == java_text(right)
    if is_number(left) and isinstance(right, str):
        return bool(_DECIMAL.fullmatch(right)) and left == float(right)
    return _strictly_equal(left, right)


def _strictly_equal(left: Value, right: Value) -> bool:
    return left is not MISSING and right is not MISSING and same(left, right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    def holds(left: Value, right: Value) -> bool:
        if is_number(left) and is_number(right):
            return compare(left, right)
        if isinstance(left, str) and isinstance(right, str):
            # Java orders texts by UTF-16 units.
            return compare(left.encode("utf-16-be", "surrogatepass"), right.encode("utf-16-be", "surrogatepass"))
        return False

    return holds


def _matches(left: Value, right: Value) -> bool:
    if _is_pattern(left) == _is_pattern(right):
        return False
    pattern, subject = (left, right) if _is_pattern(left) else (right, left)
    subjects: list[Json] = subject if is_array(subject) else [subject]
    return any(pattern.fullmatch(java_text(each)) for each in subjects if isinstance(each, str | bool | int | float))


def _is_pattern(value: Value) -> bool:
    return isinstance(value, re.Pattern)


def _is_in(left: Value, right: Value) -> bool:
    return any(_equal(left, each) for each in _as_list(right))


def _contains(left: Value, right: Value) -> bool:
    if isinstance(left, str):
        return isinstance(right, str) and right in left
    return _is_in(right, left)


def _of_two_lists(holds: Callable[[list[Json], list[Json]], bool]) -> Callable[[Value, Value], bool]:
    def compare(left: Value, right: Value) -> bool:
        return is_array(left) and is_array(right) and holds(left, right)

    return compare


def _subset_of(left: list[Json], right: list[Json]) -> bool:
    return all(_is_in(each, right) for each in left)


def _any_of(left: list[Json], right: list[Json]) -> bool:
    return any(_is_in(each, right) for each in left)


def _has_size(left: Value, right: Value) -> bool:
    return (is_array(left) or isinstance(left, str)) and is_number(right) and len(left) == right


def _is_empty(left: Value, right: Value) -> bool:
    return (is_array(left) or is_object(left) or isinstance(left, str)) and (not left) is right


_OPERATORS: dict[str, Callable[[Value, Value], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "===": _strictly_equal,
    "!==": lambda left, right: not _strictly_equal(left, right),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "=~": _matches,
    "in": _is_in,
    "nin": lambda left, right: not _is_in(left, right),
    "subsetof": _of_two_lists(_subset_of),
    "anyof": _of_two_lists(_any_of),
    "noneof": _of_two_lists(lambda left, right: not _any_of(left, right)),
    "all": _of_two_lists(lambda left, right: _subset_of(right, left)),
    "contains": _contains,
    "size": _has_size,
    "empty": _is_empty,
}


_Function: TypeAlias = Callable[[Json, list[Value]], Json]


def _gathered(node: Json, arguments: Sequence[Value]) -> Iterable[Value]:
    """What an aggregation sees: the elements of the node and the arguments, a list among them as its elements."""
    yield from _as_list(node)
    for argument in arguments:
        yield from argument if is_array(argument) else [argument]


def _aggregation(fold: Callable[[list[float]], float]) -> _Function:
    def apply(node: Json, arguments: list[Value]) -> Json:
        # Jayway computes in doubles: a sum of integers is no integer.
        numbers = [each for each in _gathered(node, arguments) if is_number(each)]
        if not numbers:
            raise PathError("Aggregation function attempted to calculate value using empty array")
        try:
            result = fold([float(number) for number in numbers])
        except OverflowError:
            result = math.inf
        if not math.isfinite(result):
            raise PathError("Aggregation function gives a number beyond the range of a double")
        return result

    return apply


def _average(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def _deviation(numbers: list[float]) -> float:
    mean = _average(numbers)
    return math.sqrt(sum((number - mean) ** 2 for number in numbers) / len(numbers))


def _length(node: Json, arguments: list[Value]) -> Json:
    subject: Value = arguments[0] if arguments else node
    return len(subject) if is_array(subject) or is_object(subject) else None


def _keys(node: Json, _arguments: list[Value]) -> Json:
    return list(node) if is_object(node) else None


def _concatenated(node: Json, arguments: list[Value]) -> Json:
    return "".join(each for each in _gathered(node, arguments) if isinstance(each, str))


def _appended(node: Json, arguments: list[Value]) -> Json:
    return [*node, *(each for each in arguments if each is not MISSING)] if is_array(node) else node


def _element(node: Json, position: Value) -> Json:
    elements = _as_list(node)
    if not elements:
        raise PathError("Aggregation function attempted to calculate value using empty array")
    if not isinstance(position, int) or not -len(elements) <= position < len(elements):
        raise PathError(f"Target index:{java_text(position)} larger than object count:{len(elements)}")
    return elements[position]


def _indexed(node: Json, arguments: list[Value]) -> Json:
    if not arguments or not is_number(arguments[0]):
        raise PathError("The function index() needs a number")
    return _element(node, arguments[0])


_FUNCTIONS: dict[str, _Function] = {
    "length": _length,
    "min": _aggregation(min),
    "max": _aggregation(max),
    "sum": _aggregation(sum),
    "avg": _aggregation(_average),
    "stddev": _aggregation(_deviation),
    "keys": _keys,
    "concat": _concatenated,
    "append": _appended,
    "first": lambda node, _arguments: _element(node, 0),
    "last": lambda node, _arguments: _element(node, -1),
    "index": _indexed,
}

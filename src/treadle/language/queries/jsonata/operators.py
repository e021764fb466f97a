"""The operators of JSONata on values: arithmetic, comparison, membership, concatenation, ranges.

It owns what an operator does and which error it raises for operands of the wrong type. It never evaluates an operand.
Neighbour: `jsonata/evaluate.py` calls it with both operands evaluated.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.values import (
    ARRAYS,
    UNDEFINED,
    Run,
    Sequence,
    equal,
    is_number,
    number,
    symbol,
    to_text,
)
from treadle.language.scope import Json

# Integers are exact up to here; a larger result is the double that JSONata computes.
_EXACT = 2**53
_LONGEST_RANGE = 10_000_000


def _operands(sign: str, left: Json, right: Json) -> bool:
    """Whether both operands are there; raises when one is no number."""
    if left is not UNDEFINED and not is_number(left):
        raise Fault("T2001", token=sign)
    if right is not UNDEFINED and not is_number(right):
        raise Fault("T2002", token=sign)
    return left is not UNDEFINED and right is not UNDEFINED


def _arithmetic(sign: str, compute: Callable[[float, float], float]) -> Callable[[Json, Json, Run], Json]:
    def evaluate(left: Json, right: Json, run: Run) -> Json:
        if type(left) is int and type(right) is int:
            exact = compute(left, right)
            if -_EXACT <= exact <= _EXACT:
                return exact
        elif not _operands(sign, left, right):
            return UNDEFINED
        try:
            return number(compute(float(left), float(right)))
        except OverflowError:
            raise Fault("D1001", value=None) from None

    return evaluate


def _divide(left: Json, right: Json, run: Run) -> Json:
    if not _operands("/", left, right):
        return UNDEFINED
    if right == 0:
        raise Fault("D1001", value=None)
    return number(float(left / right))


def _remainder(left: Json, right: Json, run: Run) -> Json:
    if not _operands("%", left, right):
        return UNDEFINED
    if right == 0:
        raise Fault("D1001", value=None)
    return number(math.fmod(left, right))


def _equals(left: Json, right: Json, run: Run) -> Json:
    return left is not UNDEFINED and right is not UNDEFINED and equal(left, right, run)


def _differs(left: Json, right: Json, run: Run) -> Json:
    return left is not UNDEFINED and right is not UNDEFINED and not equal(left, right, run)


def _comparison(sign: str, compare: Callable[[Json, Json], bool]) -> Callable[[Json, Json, Run], Json]:
    def evaluate(left: Json, right: Json, run: Run) -> Json:
        kinds = symbol(left) + symbol(right)
        if kinds in ("nn", "ss"):
            return compare(left, right)
        if kinds[0] not in "nsm" or kinds[1] not in "nsm":
            raise Fault("T2010", token=sign)
        if "m" in kinds:
            return UNDEFINED
        raise Fault("T2009", token=sign, value=left, value2=right)

    return evaluate


def _member(left: Json, right: Json, run: Run) -> Json:
    if left is UNDEFINED or right is UNDEFINED:
        return False
    items: list[Json] = right if type(right) in ARRAYS else [right]
    run.spend(len(items) >> 2)
    if symbol(left) in "snbl":
        # A number is a member in either of its renderings, true is no member of [1].
        return any(item == left and symbol(item) == symbol(left) for item in items)
    return any(item is left for item in items)


def concatenate(left: Json, right: Json, run: Run) -> Json:
    """The `&` operator: both sides as text."""
    first, second = to_text(left, run), to_text(right, run)
    run.text(len(first) + len(second))
    return first + second


def _whole(value: Json) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer())


def _range(left: Json, right: Json, run: Run) -> Json:
    if left is not UNDEFINED and not _whole(left):
        raise Fault("T2003")
    if right is not UNDEFINED and not _whole(right):
        raise Fault("T2004")
    if left is UNDEFINED or right is UNDEFINED or left > right:
        return UNDEFINED
    first, last = int(left), int(right)
    size = last - first + 1
    if size > _LONGEST_RANGE:
        raise Fault("D2014", value=size)
    run.hold(5 * size)
    run.spend(size >> 3)
    return Sequence(range(first, last + 1))


OPERATORS: dict[str, Callable[[Json, Json, Run], Json]] = {
    "+": _arithmetic("+", operator.add),
    "-": _arithmetic("-", operator.sub),
    "*": _arithmetic("*", operator.mul),
    "/": _divide,
    "%": _remainder,
    "=": _equals,
    "!=": _differs,
    "<": _comparison("<", operator.lt),
    "<=": _comparison("<=", operator.le),
    ">": _comparison(">", operator.gt),
    ">=": _comparison(">=", operator.ge),
    "in": _member,
    "&": concatenate,
    "..": _range,
}

"""The values of JSONata while an expression runs: what undefined, a sequence and a function are, and what they cost.

It owns the value model and its type rules (truth, equality, text), and `Run`, the allowance of one evaluation.
It never walks an expression. Neighbours: `jsonata/evaluate.py` computes with these values, the function modules too.

A JSON value is itself: None, bool, int, float, str, list, dict. Undefined is `UNDEFINED`. A result sequence is a
`Sequence`: a list that collapses to its only item, or to undefined when empty, once its expression is done.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from treadle.language.queries.jsonata.errors import MEMORY, TIMEOUT, Fault, LimitExceeded
from treadle.language.scope import Json, Scope

# JSONata is evaluated for at most one second (ASL 'JSONata quotas'). The core has no clock, so time is counted in
# evaluated nodes: STEPS of them take about a second on one present-day core. UNITS count eight bytes each.
STEPS = 3_000_000
UNITS = 16_000_000
LONGEST_STRING = 8_000_000
# Shorter strings and arrays are counted only where they are kept; ASL allows no payload beyond 256 KiB.
LONG_STRING = 300_000
LONG_ARRAY = 20_000


class Nothing(Enum):
    """The two outcomes of an expression that are no JSON value."""

    UNDEFINED = "undefined"
    UNSUPPORTED = "unsupported"


UNDEFINED: Final = Nothing.UNDEFINED
UNSUPPORTED: Final = Nothing.UNSUPPORTED


class Sequence(list[Json]):
    """A result sequence; `keep` holds it together when it has a single item, `tuples` marks items as bindings."""

    __slots__ = ("keep", "tuples")

    def __init__(self, items: Any = ()) -> None:
        super().__init__(items)
        self.keep = False
        self.tuples = False


class Constructed(list[Json]):
    """An array built by the first or last step of a path: a later step does not flatten it."""

    __slots__ = ()


# For comparison with type(value): to the type checker the value stays the JSON value it was.
OBJECT: type[Any] = dict
ARRAYS: frozenset[object] = frozenset([list, Sequence, Constructed])


class Run:
    """The allowance and the surroundings of one evaluation."""

    __slots__ = ("mixed", "names", "scope", "steps", "units")

    def __init__(self, scope: Scope, names: dict[str, Json]) -> None:
        self.scope = scope
        self.names = names
        self.steps = STEPS
        self.units = UNITS
        self.mixed = False
        """Whether a container may hold something that is no JSON value, so that the result has to be searched."""

    def spend(self, steps: int) -> None:
        """Count work, in evaluated nodes; raises LimitExceeded when the time is up."""
        self.steps -= steps
        if self.steps < 0:
            raise LimitExceeded(TIMEOUT)

    def hold(self, units: int) -> None:
        """Count memory that outlives its expression; raises LimitExceeded when there is no more."""
        self.units -= units
        if self.units < 0:
            raise LimitExceeded(MEMORY)

    def text(self, length: int) -> None:
        """Allow a string of this many characters before it is made."""
        if length > LONG_STRING:
            if length > LONGEST_STRING:
                raise LimitExceeded(MEMORY)
            self.hold(length >> 3)
        self.steps -= length >> 10

    def array(self, length: int) -> None:
        """Allow an array of this many items, made from items that are there already."""
        if length > LONG_ARRAY:
            self.hold(length)
        self.steps -= length >> 9

    def keep(self, value: Json) -> None:
        """Count a value that is kept in a variable or a result while others are made."""
        self.hold(1 + (len(value) >> 3) if value.__class__ is str else 1)
        if isinstance(value, Function):
            self.mixed = True

    def store(self, value: Json) -> Json:
        """A value on its way into a container: a sequence becomes the array it stands for."""
        kind = value.__class__
        if kind not in ARRAYS:
            self.keep(value)
            return value
        self.hold(4 + len(value))
        if kind is Sequence and len(value) > 1 and not value.keep:
            return list(value)
        self.mixed = self.mixed or kind is not list
        return value


class Frame:
    """The variables of one block, function call or tuple of bindings."""

    __slots__ = ("names", "parent", "run")

    def __init__(self, run: Run, parent: Frame | None, names: dict[str, Json]) -> None:
        self.run = run
        self.parent = parent
        self.names = names

    def child(self, names: dict[str, Json]) -> Frame:
        """A frame inside this one."""
        return Frame(self.run, self, names)


Evaluate = Callable[[Json, Frame], Json]
"""A compiled expression: from the context item and the frame to a value."""


class Function:
    """Anything that can be called; `arity` is how many arguments a higher-order function hands to it."""

    __slots__ = ("arity", "name")

    def __init__(self, name: str | None, arity: int) -> None:
        self.name = name
        self.arity = arity

    def call(self, run: Run, args: list[Json], context: Json) -> Json:
        """The result for these arguments, or an Entry or TailCall for `apply` to go on with."""
        raise NotImplementedError


class Entry:
    """The body of a function of the expression, ready to be evaluated by whoever called it."""

    __slots__ = ("body", "context", "frame")

    def __init__(self, body: Evaluate, context: Json, frame: Frame) -> None:
        self.body = body
        self.context = context
        self.frame = frame


class TailCall:
    """A call in tail position: made by the caller's loop, so that a tail recursion needs no stack."""

    __slots__ = ("args", "function", "name")

    def __init__(self, function: Json, args: list[Json], name: str | None) -> None:
        self.function = function
        self.args = args
        self.name = name


def apply(run: Run, function: Json, args: list[Json], context: Json, name: str | None = None) -> Json:
    """Call a value; raises T1006 when it is no function. `name` is what the calling expression calls it.

    Bodies are entered from here, not from the functions, to spare the Python stack, which bounds recursion.
    """
    while True:
        if not isinstance(function, Function):
            raise Fault("T1006")
        try:
            result = function.call(run, args, context)
            if type(result) is Entry:
                result = result.body(result.context, result.frame)
        except Fault as fault:
            token = name or function.name
            if token:
                fault.inserts.setdefault("token", token)
            raise
        if type(result) is not TailCall:
            return result
        function, args, name = result.function, result.args, result.name


def settle(value: Json) -> Json:
    """The value of a finished expression: an empty sequence is undefined, a sequence of one is its item."""
    if type(value) is Sequence and not value.tuples:
        if not value:
            return UNDEFINED
        if len(value) == 1 and not value.keep:
            return value[0]
    return value


_SYMBOLS: dict[type, str] = {
    str: "s",
    int: "n",
    float: "n",
    bool: "b",
    type(None): "l",
    list: "a",
    Sequence: "a",
    Constructed: "a",
    dict: "o",
    Nothing: "m",
}


def symbol(value: Json) -> str:
    """The letter of a value's type in a function signature; `m` for undefined."""
    return _SYMBOLS.get(value.__class__, "f")


def symbols(values: list[Json]) -> set[str]:
    """The letters of all types among the items."""
    kinds: set[type[Any]] = set(map(type, values))
    return {_SYMBOLS.get(kind, "f") for kind in kinds}


def is_number(value: Json) -> bool:
    """Whether a value is a number; true and false are none."""
    kind = value.__class__
    return kind is int or kind is float


def numbers_only(values: list[Json]) -> bool:
    """Whether every item is a number."""
    return set(map(type, values)) <= {int, float}


def strings_only(values: list[Json]) -> bool:
    """Whether every item is a string."""
    return set(map(type, values)) <= {str}


def number(value: float) -> Json:
    """A computed number as JSON writes it: whole ones are integers. Raises D1001 when it is not finite."""
    if not math.isfinite(value):
        raise Fault("D1001", value=None)
    if value.is_integer() and -1e21 < value < 1e21:
        # Beyond 2**53 a double prints its shortest digits and zeros, not its exact value (ECMA-262 Number::toString).
        return int(value) if -9007199254740992.0 <= value <= 9007199254740992.0 else int(Decimal(repr(value)))
    return value


def truth(value: Json) -> bool:
    """The boolean a value is cast to; undefined counts as false."""
    kind = value.__class__
    if kind is bool:
        return value
    if kind is list or kind is Sequence or kind is Constructed:
        return truth(value[0]) if len(value) == 1 else any(truth(item) for item in value)
    if kind is str or kind is int or kind is float or kind is dict:
        return bool(value)
    return False


def equal(left: Json, right: Json, run: Run) -> bool:
    """Deep equality; a number never equals a boolean, 1 equals 1.0."""
    if left is right:
        return True
    kind = left.__class__
    if kind is dict:
        run.spend(len(left))
        if type(right) is not OBJECT or left.keys() != right.keys():
            return False
        return all(equal(left[key], right[key], run) for key in left)
    if type(left) in ARRAYS:
        if type(right) not in ARRAYS or len(left) != len(right):
            return False
        run.spend(len(left))
        return all(equal(item, right[index], run) for index, item in enumerate(left))
    if kind is bool or type(right) is bool:
        return False
    return left == right and symbol(left) == symbol(right)


def precise(value: float, digits: int) -> str:
    """A number as ECMAScript writes it after rounding to this many significant digits."""
    return number_text(float(f"{value:.{digits}g}"))


def number_text(value: float) -> str:
    """A number as ECMAScript's Number::toString writes it."""
    if value == 0:
        return "0"
    sign, digit_tuple, exponent = Decimal(repr(value)).as_tuple()
    digits = "".join(map(str, digit_tuple)).rstrip("0")
    point = len(digit_tuple) + int(exponent)
    if 0 < point <= 21:
        text = digits.ljust(point, "0")[:point] + ("." + digits[point:] if len(digits) > point else "")
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        shift = f"{point - 1:+d}"
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + "e" + shift
    return "-" + text if sign else text


_quote = json.JSONEncoder(ensure_ascii=False).encode


def to_json(value: Json, run: Run, pretty: bool = False) -> str:
    """JSON text as $string writes it: numbers to 15 significant digits, functions as empty strings."""
    return _to_json(value, run, "\n" if pretty else "")


def _to_json(value: Json, run: Run, line: str) -> str:
    kind = value.__class__
    if kind is str:
        run.text(len(value))
        return _quote(value)
    if value is None or kind is bool:
        return "null" if value is None else "true" if value else "false"
    if kind is int or kind is float:
        # Few numbers have more than 15 significant digits; the others are written without the detour of rounding.
        return str(value) if kind is int and -(10**15) < value < 10**15 else precise(value, 15)
    if kind is dict or type(value) in ARRAYS:
        run.spend(2 * len(value) + 1)
        inner = line + "  " if line else ""
        colon = ": " if line else ":"
        parts: list[str] = []
        if kind is dict:
            for key, item in value.items():
                parts.append(_quote(key) + colon + _to_json(item, run, inner))
            opening, closing = "{", "}"
        else:
            for item in value:
                parts.append(_to_json(item, run, inner))
            opening, closing = "[", "]"
        if not parts:
            return opening + closing
        run.text(sum(map(len, parts)))
        return opening + inner + ("," + inner).join(parts) + line + closing
    return "null" if value is UNDEFINED else '""'


def to_text(value: Json, run: Run) -> str:
    """The string a value is cast to by `&` and $string; undefined is empty here."""
    kind = value.__class__
    if kind is str:
        return value
    if value is UNDEFINED or isinstance(value, Function):
        return ""
    return to_json(value, run)


def weigh(value: Json, seen: dict[int, int]) -> int:
    """The units a value takes when it is written out: what is shared inside it counts each time."""
    total = 2
    for item in value.values() if value.__class__ is OBJECT else value:
        kind = item.__class__
        if kind is str:
            total += 1 + (len(item) >> 3)
        elif kind is OBJECT or kind in ARRAYS:
            total += seen[id(item)] if id(item) in seen else weigh(item, seen)
        else:
            total += 1
    seen[id(value)] = total
    return total


def plain(value: Json) -> Json:
    """A result without the classes of this module; UNSUPPORTED when a function is left in it."""
    if isinstance(value, Function):
        return UNSUPPORTED
    if type(value) in ARRAYS:
        items = [None if item is UNDEFINED else plain(item) for item in value]
        return UNSUPPORTED if UNSUPPORTED in items else items
    if type(value) is OBJECT:
        members = {key: plain(item) for key, item in value.items()}
        return UNSUPPORTED if UNSUPPORTED in members.values() else members
    return value

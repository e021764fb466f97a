"""The intrinsic functions of ASL (`States.Format('{}', $.a)`): their grammar and the 18 functions, one table.

Owns what an intrinsic may look like and what it computes; must never draw randomness of its own (the scope lends it)
nor name the field it stands in. Neighbours: queries/jsonpath.py compiles the paths among the arguments, values.py
writes values as text, prng.py repeats the seeded random numbers of Java.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from treadle.language.prng import JavaRandom
from treadle.language.queries.jsonpath import PathSyntaxError, Query, compile_query
from treadle.language.scope import Expr, Json, Randomness, Scope
from treadle.language.values import canonical, is_array, is_number, is_object, java_text, json_text

NESTING_LIMIT = 10
"""How deep functions may be nested in one field."""

TEXT_LIMIT = 10_000
"""Characters that Base64Encode, Base64Decode and Hash take."""

RANGE_LIMIT = 1_000
"""Elements that ArrayRange gives at most."""


class IntrinsicSyntaxError(Exception):
    """A text that is no intrinsic function. `position` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} at position {position}")
        self.message = message
        self.position = position


class IntrinsicError(Exception):
    """An intrinsic function that fails at run time; the text says why."""


@dataclass(frozen=True, slots=True)
class Intrinsic:
    """A compiled intrinsic.

    `functions` are the names of all functions in it, `queries` the paths, in the order written. `read` raises
    IntrinsicError, or PathError where one of the queries finds nothing.
    """

    text: str
    functions: frozenset[str]
    queries: tuple[Query, ...]
    read: Expr


def is_intrinsic(text: str) -> bool:
    """Whether the text is meant as an intrinsic function rather than as a path."""
    return text.startswith("States.")


@lru_cache(4096)
def compile_intrinsic(text: str) -> Intrinsic:
    """Compile an intrinsic function with everything nested in it. Raises IntrinsicSyntaxError."""
    parser = _Parser(text)
    read = parser.call()
    parser.end()
    return Intrinsic(text, frozenset(parser.functions), tuple(parser.queries), read)


class _Refused(Exception):
    """Why a function cannot work with its arguments; becomes an IntrinsicError that names the function."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an argument must be, and how it is made ready for the implementation."""

    noun: str
    fits: Callable[[Json], bool]
    convert: Callable[[Json], Json] = lambda value: value

    def take(self, value: Json, position: int) -> Json:
        if not self.fits(value):
            raise _Refused(f"argument {position} must be {self.noun}, but is {_shortened(json_text(value))}")
        return self.convert(value)


@dataclass(frozen=True, slots=True)
class _Function:
    """A row of the table.

    `optional` counts the last `kinds` that may be left out, `rest` is the kind of any further arguments, `draws` says
    that the implementation takes the source of randomness first.
    """

    apply: Callable[..., Json]
    kinds: tuple[_Kind, ...] = ()
    optional: int = 0
    rest: _Kind | None = None
    draws: bool = False

    def takes(self, count: int) -> bool:
        return len(self.kinds) - self.optional <= count and (self.rest is not None or count <= len(self.kinds))

    def kinds_of(self, count: int) -> tuple[_Kind, ...]:
        further = (self.rest,) * (count - len(self.kinds)) if self.rest else ()
        return self.kinds[:count] + further


def _invocation(name: str, function: _Function, arguments: tuple[Expr, ...]) -> Expr:
    takers = [
        (kind.take, argument) for kind, argument in zip(function.kinds_of(len(arguments)), arguments, strict=True)
    ]

    def read(scope: Scope) -> Json:
        values = [(take, argument(scope)) for take, argument in takers]
        try:
            taken = [take(value, position) for position, (take, value) in enumerate(values, start=1)]
            return function.apply(scope.random, *taken) if function.draws else function.apply(*taken)
        except _Refused as refused:
            raise IntrinsicError(f"{name}: {refused}") from None

    return read


def _shortened(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}..."


_BLANKS = re.compile(r"\s*")
_CALL = re.compile(r"(States\.\w+)\s*\(")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?(?![\w.])")
_WORD = re.compile(r"(?:true|false|null)(?!\w)")
_LITERAL = re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPABLE = "'{}\\"
_PATH_TOKEN = re.compile(
    r"""'(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" | =~\s*/(?:\\.|[^/\\])*/ | \\. | .""", re.DOTALL | re.VERBOSE
)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.functions: list[str] = []
        self.queries: list[Query] = []

    def fail(self, message: str) -> NoReturn:
        raise IntrinsicSyntaxError(message, self.position)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if found := pattern.match(self.text, self.position):
            self.position = found.end()
        return found

    def peek(self) -> str:
        self.match(_BLANKS)
        return self.text[self.position : self.position + 1]

    def take(self, token: str) -> bool:
        found = self.peek() == token
        self.position += found
        return found

    def end(self) -> None:
        if self.peek():
            self.fail("Nothing may follow the closing parenthesis")

    def call(self) -> Expr:
        start = self.position
        found = self.match(_CALL)
        if not found:
            self.fail("Expected an intrinsic function")
        name = found.group(1)
        function = FUNCTIONS.get(name)
        if function is None:
            raise IntrinsicSyntaxError(f"There is no intrinsic function '{name}'", start)
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            self.fail(f"Intrinsic functions may be nested {NESTING_LIMIT} deep")
        arguments = self.arguments(function)
        self.depth -= 1
        if not function.takes(len(arguments)):
            raise IntrinsicSyntaxError(f"{name} does not take {len(arguments)} arguments", start)
        self.functions.append(name)
        return _invocation(name, function, arguments)

    def arguments(self, function: _Function) -> tuple[Expr, ...]:
        if self.take(")"):
            return ()
        arguments = [self.argument(is_template=function.kinds[:1] == (_TEMPLATE,))]
        while self.take(","):
            arguments.append(self.argument())
        if not self.take(")"):
            self.fail("Expected ',' or ')'")
        return tuple(arguments)

    def argument(self, is_template: bool = False) -> Expr:
        match self.peek():
            case "'":
                return _constant(self.literal(is_template))
            case "$":
                return self.path()
            case "S":
                return self.call()
            case _:
                return _constant(self.number_or_word())

    def literal(self, is_template: bool) -> str:
        start = self.position
        found = self.match(_LITERAL)
        if not found:
            self.fail("The text does not end: expected a closing quote")
        raw = found.group(1)
        for escape in _ESCAPE.finditer(raw):
            # Observed on AWS: scenarios/illegal_escapes.
            if escape.group(1) not in _ESCAPABLE:
                raise IntrinsicSyntaxError(f"'{escape.group()}' is no escape sequence", start + 1 + escape.start())
        # A template keeps its escapes: they tell braces that are text from placeholders.
        return raw if is_template else _ESCAPE.sub(r"\1", raw)

    def path(self) -> Expr:
        start, self.position = self.position, self.path_end()
        try:
            query = compile_query(self.text[start : self.position])
        except PathSyntaxError as error:
            raise IntrinsicSyntaxError(error.message, start + error.position) from error
        self.queries.append(query)
        return query.read

    def path_end(self) -> int:
        depth = 0
        for token in _PATH_TOKEN.finditer(self.text, self.position):
            piece = token.group()
            if depth == 0 and (piece in ",)" or piece.isspace()):
                return token.start()
            depth += (piece in "([{") - (piece in ")]}")
        return len(self.text)

    def number_or_word(self) -> Json:
        found = self.match(_NUMBER) or self.match(_WORD)
        if not found:
            self.fail("Expected a text in single quotes, a number, true, false, null, a path or an intrinsic function")
        return json.loads(found.group())


def _constant(value: Json) -> Expr:
    return lambda _scope: value


def _round(number: float) -> int:
    """Java's `Math.round`: halves go up, towards positive infinity."""
    floor = math.floor(number)
    return floor + (number - floor >= 0.5)


def _is_integer(value: Json) -> bool:
    return is_number(value) and math.isfinite(value)


def _is_int32(value: Json) -> bool:
    return _is_integer(value) and -(2**31) <= _round(value) < 2**31


def _is_short(value: Json) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_LIMIT


_ANY = _Kind("any value", lambda _value: True)
_TEXT = _Kind("a string", lambda value: isinstance(value, str))
_TEMPLATE = _Kind("a template string", _TEXT.fits)
_SHORT_TEXT = _Kind(f"a string of at most {TEXT_LIMIT} characters", _is_short)
_ARRAY = _Kind("an array", is_array)
_OBJECT = _Kind("an object", is_object)
_FALSE = _Kind("false: only shallow merging is supported", lambda value: value is False)
_INTEGER = _Kind("a number", _is_integer, _round)
_INT32 = _Kind("a number from -2147483648 to 2147483647", _is_int32, _round)

_TEMPLATE_TOKEN = re.compile(r"\\([\\'{}])|(\{\})|[\\{}]")


@lru_cache(1024)
def _pieces(template: str) -> tuple[str, ...]:
    """The text of a template around its placeholders."""
    pieces: list[str] = []
    piece: list[str] = []
    done = 0
    for token in _TEMPLATE_TOKEN.finditer(template):
        piece.append(template[done : token.start()])
        done = token.end()
        escaped, placeholder = token.groups()
        if placeholder:
            pieces.append("".join(piece))
            piece = []
        elif escaped:
            piece.append(escaped)
        else:
            raise _Refused(f"the template has a '{token.group()}' at position {token.start()} that is not escaped")
    return (*pieces, "".join([*piece, template[done:]]))


def _format(template: str, *values: Json) -> str:
    first, *others = _pieces(template)
    if len(others) != len(values):
        raise _Refused(f"the template has {len(others)} placeholders for {len(values)} values")
    return first + "".join(java_text(value) + text for value, text in zip(values, others, strict=True))


def _string_to_json(text: str) -> Json:
    # Observed on AWS: a blank text gives null.
    if not text.strip():
        return None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"argument 1 is not valid JSON: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise _Refused(f"argument 1 is not valid JSON: {name} is no JSON value")


def _array_partition(array: list[Json], size: int) -> list[Json]:
    if size < 1:
        raise _Refused(f"argument 2 must be a positive number, but is {size}")
    return [array[start : start + size] for start in range(0, len(array), size)]


def _array_contains(array: list[Json], value: Json) -> bool:
    wanted = canonical(value)
    return any(canonical(item) == wanted for item in array)


def _array_range(start: int, end: int, step: int) -> list[int]:
    if step == 0:
        raise _Refused("argument 3 must not be 0")
    items = range(start, end + (1 if step > 0 else -1), step)
    # len() of a range fails beyond sys.maxsize; its slice does not.
    if len(items[: RANGE_LIMIT + 1]) > RANGE_LIMIT:
        raise _Refused(f"the array would have more than {RANGE_LIMIT} items")
    return list(items)


def _array_get_item(array: list[Json], index: int) -> Json:
    if not 0 <= index < len(array):
        raise _Refused(f"there is no item {index} in an array of {len(array)} items")
    return array[index]


def _array_unique(array: list[Json]) -> list[Json]:
    seen: dict[str, Json] = {}
    for item in array:
        seen.setdefault(canonical(item), item)
    return list(seen.values())


def _base64_encode(text: str) -> str:
    return base64.b64encode(text.encode(errors="replace")).decode()


def _base64_decode(text: str) -> str:
    # Java's decoder takes a text without its padding too, and its strings replace what is no UTF-8.
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode(errors="replace")
    except ValueError as error:
        raise _Refused(f"argument 1 is not Base64: {error}") from error


_ALGORITHMS = {
    "MD5": hashlib.md5,
    "SHA-1": hashlib.sha1,
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}


def _hash(data: Json, algorithm: str) -> str:
    text = data if isinstance(data, str) else json_text(data)
    if len(text) > TEXT_LIMIT:
        raise _Refused(f"argument 1 must have at most {TEXT_LIMIT} characters")
    if algorithm not in _ALGORITHMS:
        raise _Refused(f"argument 2 must be one of {', '.join(_ALGORITHMS)}, but is '{algorithm}'")
    return _ALGORITHMS[algorithm](text.encode(errors="replace")).hexdigest()


def _json_merge(one: dict[str, Json], other: dict[str, Json], _deep: bool) -> dict[str, Json]:
    return {**one, **other}


def _math_random(random: Randomness, start: int, end: int, seed: int | None = None) -> int:
    if start >= end:
        raise _Refused(f"argument 2 must be greater than argument 1, but {end} is not greater than {start}")
    return start + JavaRandom(random.getrandbits(48) if seed is None else seed).below(end - start)


def _math_add(one: int, other: int) -> int:
    total = one + other
    if not _is_int32(total):
        raise _Refused(f"the sum {total} is beyond the range of a 32-bit integer")
    return total


def _string_split(text: str, delimiters: str) -> list[str]:
    # Observed on AWS: each character of the second argument delimits, and empty pieces are dropped.
    pieces = re.split(f"[{re.escape(delimiters)}]", text) if delimiters else [text]
    return [piece for piece in pieces if piece]


def _uuid(random: Randomness) -> str:
    """A version 4 UUID of RFC 9562."""
    bits = random.getrandbits(128) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62
    digits = f"{bits:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


FUNCTIONS: dict[str, _Function] = {
    "States.Format": _Function(_format, (_TEMPLATE,), rest=_ANY),
    "States.StringToJson": _Function(_string_to_json, (_TEXT,)),
    "States.JsonToString": _Function(json_text, (_ANY,)),
    "States.Array": _Function(lambda *items: list(items), rest=_ANY),
    "States.ArrayPartition": _Function(_array_partition, (_ARRAY, _INTEGER)),
    "States.ArrayContains": _Function(_array_contains, (_ARRAY, _ANY)),
    "States.ArrayRange": _Function(_array_range, (_INTEGER, _INTEGER, _INTEGER)),
    "States.ArrayGetItem": _Function(_array_get_item, (_ARRAY, _INTEGER)),
    "States.ArrayLength": _Function(len, (_ARRAY,)),
    "States.ArrayUnique": _Function(_array_unique, (_ARRAY,)),
    "States.Base64Encode": _Function(_base64_encode, (_SHORT_TEXT,)),
    "States.Base64Decode": _Function(_base64_decode, (_SHORT_TEXT,)),
    "States.Hash": _Function(_hash, (_ANY, _TEXT)),
    "States.JsonMerge": _Function(_json_merge, (_OBJECT, _OBJECT, _FALSE)),
    "States.MathRandom": _Function(_math_random, (_INT32, _INT32, _INTEGER), optional=1, draws=True),
    "States.MathAdd": _Function(_math_add, (_INT32, _INT32)),
    "States.StringSplit": _Function(_string_split, (_TEXT, _TEXT)),
    "States.UUID": _Function(_uuid, draws=True),
}
"""The intrinsic functions of ASL."""

"""The grammar of JSONPath: the text of a path becomes steps and filter conditions, plain data.

Owns what may be written and how Jayway prints it; must never evaluate anything. Neighbours: jsonpath.py turns the steps
into closures, jsonpath_filters.py the conditions and functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeAlias, TypeVar

from treadle.language.scope import Json

NESTING_LIMIT = 32
"""How deep filters, parentheses and literals may be nested in one path, so that parsing never exhausts the stack."""


class PathSyntaxError(Exception):
    """A text that is no path. `position` counts characters from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} at position {position}")
        self.message = message
        self.position = position


@dataclass(frozen=True, slots=True)
class Children:
    """`.name`, `['name']`, `['one','two']`."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "[" + ",".join(f"'{name}'" for name in self.names) + "]"


@dataclass(frozen=True, slots=True)
class Elements:
    """`[0]`, `[-1]`, `[0,2]`."""

    indices: tuple[int, ...]

    def __str__(self) -> str:
        return "[" + ",".join(map(str, self.indices)) + "]"


@dataclass(frozen=True, slots=True)
class Span:
    """`[start:stop:step]`, as Python slices."""

    start: int | None
    stop: int | None
    step: int | None

    def __str__(self) -> str:
        bounds = [self.start, self.stop] if self.step is None else [self.start, self.stop, self.step]
        return "[" + ":".join("" if bound is None else str(bound) for bound in bounds) + "]"


@dataclass(frozen=True, slots=True)
class Every:
    """`.*`, `[*]`."""

    def __str__(self) -> str:
        return "[*]"


@dataclass(frozen=True, slots=True)
class Descend:
    """`..`: the node and everything below it."""

    def __str__(self) -> str:
        return ".."


@dataclass(frozen=True, slots=True)
class Where:
    """`[?(condition)]`."""

    condition: Condition

    def __str__(self) -> str:
        return "[?]"


@dataclass(frozen=True, slots=True)
class Call:
    """`.function(arguments)`."""

    function: str
    arguments: tuple[Operand, ...]

    def __str__(self) -> str:
        return f".{self.function}()"


Step: TypeAlias = Children | Elements | Span | Every | Descend | Where | Call


@dataclass(frozen=True, slots=True)
class Literal:
    """A JSON value written in a filter or as an argument."""

    value: Json


@dataclass(frozen=True, slots=True)
class Regex:
    """`/pattern/flags`, the pattern in Python's syntax."""

    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Subpath:
    """`@...` (from the node at hand) or `$...` (from the document) within a filter or as an argument."""

    absolute: bool
    steps: tuple[Step, ...]


Operand: TypeAlias = Literal | Regex | Subpath


@dataclass(frozen=True, slots=True)
class Exists:
    """`@.a` alone."""

    path: Subpath


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`."""

    left: Operand
    operator: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """`!condition`."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    """Conditions joined by `&&`."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Conditions joined by `||`."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Exists | Comparison | Not | AllOf | AnyOf


def is_definite(steps: tuple[Step, ...]) -> bool:
    """Whether a path leads to exactly one node in whatever document."""
    last = len(steps) - 1
    return all(_gives_one(step, is_last=position == last) for position, step in enumerate(steps))


def _gives_one(step: Step, is_last: bool) -> bool:
    match step:
        case Children(names):
            # Jayway: at the end of a path `['a','b']` gives one object with the members named.
            return len(names) == 1 or is_last
        case Elements(indices):
            return len(indices) == 1
        case Call():
            return True
        case _:
            return False


OPERATORS = (
    *("===", "!==", "==", "!=", "<=", ">=", "=~", "<", ">"),
    *("in", "nin", "subsetof", "anyof", "noneof", "all", "contains", "size", "empty"),
)
"""Jayway's relational operators; the ones made of letters in any case."""

FUNCTIONS = ("length", "min", "max", "avg", "sum", "stddev", "keys", "concat", "append", "first", "last", "index")
"""Jayway's path functions."""

_BLANKS = re.compile(r"[ \t\r\n]*")
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_NUMBER = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?")
_WORD = re.compile(r"true|false|null")
_WORDS: dict[str, Json] = {"true": True, "false": False, "null": None}
_OPERATOR = re.compile("|".join(op + (r"\b" if op.isalpha() else "") for op in OPERATORS), re.IGNORECASE)
_REGEX = re.compile(r"/((?:\\.|[^/\\])*)/([a-zA-Z]*)", re.DOTALL)
_QUOTED = {
    "'": re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL),
    '"': re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL),
}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}

# ASL 'Paths': in a dotted name a backslash makes the next character an ordinary one.
_NAME = re.compile(r"(?:\\.|[^\s.\[(\\])+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NAME_IN_FILTER = re.compile(r"(?:\\.|[^\s.\[()<>=~!&|,\\\]}])+", re.DOTALL)
# ASL 'Reference Paths' may not contain these, unless quoted or escaped.
_NOT_IN_REFERENCES = re.compile(r"(?<!\\)(?:\\\\)*[@,:?*]")

_Item = TypeVar("_Item")


def parse(text: str) -> tuple[tuple[Step, ...], bool]:
    """The steps of a path that begins with `$`, and whether its names are those of a Reference Path."""
    parser = _Parser(text.rstrip())
    if not parser.take("$"):
        parser.fail("A path must begin with '$'")
    steps = parser.steps(_NAME)
    if parser.position < len(parser.text):
        parser.fail("Expected '.' or '['")
    return steps, parser.plain


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.plain = True

    def fail(self, message: str) -> NoReturn:
        raise PathSyntaxError(message, self.position)

    def take(self, token: str) -> bool:
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def expect(self, token: str) -> None:
        self.blanks()
        if not self.take(token):
            self.fail(f"Expected '{token}'")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if found := pattern.match(self.text, self.position):
            self.position = found.end()
        return found

    def blanks(self) -> None:
        self.match(_BLANKS)

    def peek(self) -> str:
        self.blanks()
        return self.text[self.position : self.position + 1]

    def nested(self, read: Callable[[], _Item]) -> _Item:
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            self.fail(f"More than {NESTING_LIMIT} levels of nesting")
        item = read()
        self.depth -= 1
        return item

    def separated(self, read: Callable[[], _Item]) -> tuple[_Item, ...]:
        items = [read()]
        while self.peek() == ",":
            self.position += 1
            items.append(read())
        return tuple(items)

    def steps(self, name: re.Pattern[str]) -> tuple[Step, ...]:
        steps: list[Step] = []
        while self.position < len(self.text):
            if self.take("["):
                steps.append(self.bracket())
            elif self.take(".."):
                steps += [Descend(), self.bracket() if self.take("[") else self.dotted(name)]
            elif self.take("."):
                # Jayway also accepts `$.['name']`.
                steps.append(self.bracket() if self.take("[") else self.dotted(name))
            else:
                break
        return _functions_first(tuple(steps))

    def dotted(self, pattern: re.Pattern[str]) -> Step:
        if self.take("*"):
            return Every()
        found = self.match(pattern)
        if not found:
            self.fail("Expected a name")
        name = found.group()
        if self.take("("):
            return self.nested(lambda: self.call(name))
        if _NOT_IN_REFERENCES.search(name):
            self.plain = False
        return Children((_ESCAPED.sub(r"\1", name),))

    def call(self, function: str) -> Step:
        if function not in FUNCTIONS:
            self.fail(f"There is no function '{function}'")
        arguments = () if self.peek() == ")" else self.separated(self.operand)
        self.expect(")")
        return Call(function, arguments)

    def bracket(self) -> Step:
        step = self.selector(self.peek())
        self.expect("]")
        return step

    def selector(self, first: str) -> Step:
        if first in _QUOTED:
            return Children(self.separated(self.quoted))
        if self.take("*"):
            return Every()
        if self.take("?"):
            self.expect("(")
            condition = self.nested(self.any_of)
            self.expect(")")
            return Where(condition)
        return self.subscript()

    def subscript(self) -> Step:
        start = self.bound()
        if self.peek() != ":":
            if start is None:
                self.fail("Expected a name in quotes, an index, a slice, '*' or '?('")
            others = self.separated(self.index) if self.take(",") else ()
            return Elements((start, *others))
        self.expect(":")
        stop = self.bound()
        step = self.bound() if self.peek() == ":" and self.take(":") else None
        if step == 0:
            self.fail("The step of a slice must not be 0")
        return Span(start, stop, step)

    def bound(self) -> int | None:
        self.blanks()
        found = self.match(_INTEGER)
        return int(found.group()) if found else None

    def index(self) -> int:
        index = self.bound()
        if index is None:
            self.fail("Expected an index")
        return index

    def quoted(self) -> str:
        pattern = _QUOTED.get(self.peek())
        found = self.match(pattern) if pattern else None
        if not found:
            self.fail("Expected a quoted text")
        text = _ESCAPE.sub(_unescaped, found.group(1))
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.fail("Half of a surrogate pair is no character")

    def any_of(self) -> Condition:
        conditions = self.joined("||", self.all_of)
        return conditions[0] if len(conditions) == 1 else AnyOf(conditions)

    def all_of(self) -> Condition:
        conditions = self.joined("&&", self.condition)
        return conditions[0] if len(conditions) == 1 else AllOf(conditions)

    def joined(self, operator: str, read: Callable[[], Condition]) -> tuple[Condition, ...]:
        conditions = [read()]
        while self.peek() == operator[0] and self.take(operator):
            conditions.append(read())
        return tuple(conditions)

    def condition(self) -> Condition:
        first = self.peek()
        if first == "!":
            self.position += 1
            return Not(self.nested(self.condition))
        if first == "(":
            self.position += 1
            inner = self.nested(self.any_of)
            self.expect(")")
            return inner
        return self.comparison()

    def comparison(self) -> Condition:
        left = self.operand()
        self.blanks()
        if operator := self.match(_OPERATOR):
            return Comparison(left, operator.group().lower(), self.operand())
        if not isinstance(left, Subpath):
            self.fail("Expected an operator")
        return Exists(left)

    def operand(self) -> Operand:
        match self.peek():
            case "@" | "$" as root:
                self.position += 1
                return Subpath(root == "$", self.nested(lambda: self.steps(_NAME_IN_FILTER)))
            case "/":
                return self.regex()
            case _:
                return Literal(self.nested(self.literal))

    def regex(self) -> Operand:
        start = self.position
        found = self.match(_REGEX)
        if not found:
            self.fail("The regular expression does not end")
        try:
            return Regex(_java_pattern(*found.groups()))
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            raise PathSyntaxError(f"Invalid regular expression: {error}", start) from error

    def literal(self) -> Json:
        first = self.peek()
        if first in _QUOTED:
            return self.quoted()
        if self.take("["):
            return self.array()
        if self.take("{"):
            return self.object()
        if word := self.match(_WORD):
            return _WORDS[word.group()]
        number = self.match(_NUMBER)
        if not number:
            self.fail("Expected a value")
        text = number.group()
        return int(text) if text.lstrip("-").isdecimal() else float(text)

    def array(self) -> list[Json]:
        items: tuple[Json, ...] = () if self.peek() == "]" else self.separated(lambda: self.nested(self.literal))
        self.expect("]")
        return list(items)

    def object(self) -> dict[str, Json]:
        members: tuple[tuple[str, Json], ...] = () if self.peek() == "}" else self.separated(self.member)
        self.expect("}")
        return dict(members)

    def member(self) -> tuple[str, Json]:
        key = self.quoted()
        self.expect(":")
        return key, self.nested(self.literal)


def _functions_first(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Jayway: `$..a.f()` means `f` of the whole list that `$..a` finds."""
    if not steps or not isinstance(steps[0], Descend):
        return steps
    for position, step in enumerate(steps):
        if isinstance(step, Call):
            return (Call(step.function, (Subpath(False, steps[:position]), *step.arguments)), *steps[position + 1 :])
    return steps


def _unescaped(escape: re.Match[str]) -> str:
    code, character = escape.groups()
    return chr(int(code, 16)) if code else _CONTROL.get(character, character)


# Java's flags; without U its classes are those of ASCII, and d (Unix lines) is how Python always reads lines.
_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "u": 0, "U": 0, "d": 0}
_REGEX_TOKEN = re.compile(r"\\.|\[\^?+\]?+(?:\\.|[^\]\\])*\]|\(\?<(?=[a-zA-Z])|.", re.DOTALL)
_CLASS_ALGEBRA = re.compile(r"\[|&&|\|\||--|~~")


def _java_pattern(pattern: str, letters: str) -> re.Pattern[str]:
    """A regular expression of Java in Python's syntax; ValueError where the two mean different things."""
    flags = 0 if {"u", "U"} & set(letters) else int(re.ASCII)
    for letter in letters:
        if letter not in _FLAGS:
            raise ValueError(f"there is no flag '{letter}'")
        flags |= _FLAGS[letter]
    return re.compile("".join(map(_java_token, _REGEX_TOKEN.findall(pattern))), flags)


def _java_token(token: str) -> str:
    if token == "(?<":
        return "(?P<"
    if token in (r"\z", r"\Z"):
        return r"\Z" if token == r"\z" else r"(?=\n?\Z)"
    if token == "[":
        raise ValueError("a character class does not end")
    if token[0] == "[" and _CLASS_ALGEBRA.search(re.sub(r"\\.", "", token[1:-1], flags=re.DOTALL)):
        raise ValueError("unions and intersections of character classes are not supported")
    return token

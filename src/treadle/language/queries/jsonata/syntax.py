"""The text of a JSONata expression: tokens, and the operator-precedence parser that makes a tree of them.

It owns the grammar and every syntax error that can be seen while reading from left to right. The tree it returns is
raw: paths are still nested binary nodes. It evaluates nothing. Neighbours: `jsonata/resolve.py` flattens the paths,
`jsonata/regex.py` reads regexes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from treadle.language.queries.jsonata.errors import JsonataSyntaxError, describe
from treadle.language.queries.jsonata.pattern import RegexError
from treadle.language.queries.jsonata.regex import parse_regex
from treadle.language.queries.jsonata.signature import Signature, SignatureError, parse_signature
from treadle.language.queries.jsonata.values import number

# Binding powers of jsonata.js 2.0.6; the signs without one only end a name.
POWERS = {
    ".": 75, "[": 80, "]": 0, "{": 70, "}": 0, "(": 80, ")": 0, ",": 0, "@": 80, "#": 80, ";": 80, ":": 80, "?": 20,
    "+": 50, "-": 50, "*": 60, "/": 60, "%": 60, "|": 20, "=": 40, "<": 40, ">": 40, "^": 40, "**": 60, "..": 20,
    ":=": 10, "!=": 40, "<=": 40, ">=": 40, "~>": 40, "and": 30, "or": 25, "in": 40, "&": 50, "!": 0, "~": 0,
}  # fmt: skip
_INFIX = frozenset(POWERS) - frozenset(["]", "}", ")", ",", ";", ":", "|", "**", "..", "!", "~"])
_UNKNOWN = frozenset("!~")
_DOUBLE = frozenset(["..", ":=", "!=", ">=", "<=", "**", "~>"])
_BLANK = " \t\n\r\v"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([Ee][-+]?[0-9]+)?")
_VALUES: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_END = "(end)"


@dataclass(slots=True)
class Slot:
    """One use of the parent operator `%`: the label its value is bound to, and how many steps up it still looks."""

    label: str
    level: int = 1


@dataclass(slots=True, eq=False)
class Node:
    """One node of the tree; `kind` says which of the fields mean something."""

    kind: str
    value: Any = None
    position: int = 0
    left: Node | None = None
    right: Node | None = None
    other: Node | None = None
    items: list[Node] = field(default_factory=list["Node"])
    pairs: list[tuple[Node, Node]] = field(default_factory=list[tuple["Node", "Node"]])
    descending: list[bool] = field(default_factory=list[bool])
    signature: Signature | None = None
    group: Node | None = None
    predicates: list[Node] = field(default_factory=list["Node"])
    stages: list[Node] = field(default_factory=list["Node"])
    keep_array: bool = False
    constructor: bool = False
    tail: bool = False
    tuples: bool = False
    focus: str | None = None
    index: str | None = None
    ancestors: list[Slot] = field(default_factory=list[Slot])
    slot: Slot | None = None
    seeking: list[Slot] = field(default_factory=list[Slot])


def syntax_error(code: str, position: int, **inserts: Any) -> JsonataSyntaxError:
    """The exception for a syntax error of the message table."""
    return JsonataSyntaxError(code, describe(code, inserts, _insert), position)


def _insert(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


class _Tokens:
    """The tokens of a text, one at a time. A token's position is the offset of its end, as in jsonata.js."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self, code: str, position: int | None = None, **inserts: Any) -> JsonataSyntaxError:
        return syntax_error(code, self.at if position is None else position, **inserts)

    def token(self, kind: str, value: Any) -> Node:
        return Node(kind, value, self.at)

    def next(self, after_operand: bool) -> Node | None:
        """The next token, None at the end; a slash after an operand divides, elsewhere it opens a regex."""
        self._skip()
        text, at = self.text, self.at
        if at >= len(text):
            return None
        sign = text[at]
        if sign == "/" and not after_operand:
            self.at += 1
            return self._regex()
        for operator in (text[at : at + 2], sign):
            if operator in _DOUBLE or (len(operator) == 1 and operator in POWERS):
                self.at += len(operator)
                return self.token("operator", operator)
        if sign in "\"'":
            return self._string(sign)
        if match := _NUMBER.match(text, at):
            return self._number(match)
        if sign == "`":
            return self._quoted_name()
        return self._name()

    def _skip(self) -> None:
        text = self.text
        while self.at < len(text):
            if text[self.at] in _BLANK:
                self.at += 1
            elif text.startswith("/*", self.at):
                end = text.find("*/", self.at + 2)
                if end < 0:
                    raise self.error("S0106")
                self.at = end + 2
            else:
                return

    def _regex(self) -> Node:
        text, start, depth = self.text, self.at, 0
        for at in range(start, len(text)):
            sign = text[at]
            if sign == "/" and depth == 0 and (at - len(text[:at].rstrip("\\"))) % 2 == 0:
                return self._regex_with_flags(text[start:at], at)
            if text[at - 1] != "\\":
                depth += (sign in "([{") - (sign in ")]}")
        raise self.error("S0302", len(text))

    def _regex_with_flags(self, source: str, at: int) -> Node:
        if not source:
            raise self.error("S0301", at)
        end = at + 1
        while self.text[end : end + 1] in ("i", "m"):
            end += 1
        self.at = end
        flags = self.text[at + 1 : end]
        try:
            return self.token("regex", parse_regex(source, flags))
        except RegexError as error:
            reason = f"Invalid regular expression: /{source}/{flags}g: {error}"
            raise JsonataSyntaxError("S0500", reason, end) from None

    def _string(self, quote: str) -> Node:
        text, parts = self.text, list[str]()
        self.at += 1
        while self.at < len(text):
            sign = text[self.at]
            if sign == quote:
                self.at += 1
                # Surrogate pairs may be written as two escapes (json.org).
                value = "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                return self.token("string", value)
            if sign != "\\":
                parts.append(sign)
            else:
                self.at += 1
                parts.append(self._escape())
            self.at += 1
        raise self.error("S0101")

    def _escape(self) -> str:
        sign = self.text[self.at : self.at + 1]
        if sign in _ESCAPES:
            return _ESCAPES[sign]
        if sign != "u":
            raise self.error("S0103", token=sign)
        digits = self.text[self.at + 1 : self.at + 5]
        if not re.fullmatch(r"[0-9a-fA-F]{4}", digits):
            raise self.error("S0104")
        self.at += 4
        return chr(int(digits, 16))

    def _number(self, match: re.Match[str]) -> Node:
        literal = match[0]
        value = float(literal)
        if not math.isfinite(value):
            raise self.error("S0102", token=literal)
        self.at = match.end()
        return self.token("number", number(value) if match[1] or match[2] else int(literal))

    def _quoted_name(self) -> Node:
        end = self.text.find("`", self.at + 1)
        if end < 0:
            raise self.error("S0105", len(self.text))
        name = self.text[self.at + 1 : end]
        self.at = end + 1
        return self.token("name", name)

    def _name(self) -> Node:
        text, start = self.text, self.at
        end = start
        while end < len(text) and text[end] not in _BLANK and text[end] not in POWERS:
            end += 1
        name, self.at = text[start:end], end
        if name.startswith("$"):
            return self.token("variable", name[1:])
        if name in ("or", "in", "and"):
            return self.token("operator", name)
        return self.token("value", _VALUES[name]) if name in _VALUES else self.token("name", name)


class _Parser:
    """Top-down operator precedence: `_prefix` reads a token that starts an operand, `_infix` one that follows it."""

    def __init__(self, text: str) -> None:
        self.tokens = _Tokens(text)
        self.node = Node(_END)
        self.advance()

    @property
    def sign(self) -> str:
        """The operator at hand, `(end)` at the end, and nothing for any other token."""
        return str(self.node.value) if self.node.kind in ("operator", _END) else ""

    def advance(self, expected: str | None = None, after_operand: bool = False) -> None:
        if expected and self.sign != expected:
            code = "S0203" if self.sign == _END else "S0202"
            raise syntax_error(code, self.node.position, token=self.node.value, value=expected)
        token = self.tokens.next(after_operand)
        if token is None:
            token = Node(_END, _END, len(self.tokens.text))
        elif token.kind == "operator" and token.value in _UNKNOWN:
            raise syntax_error("S0204", token.position, token=token.value)
        self.node = token

    def whole(self) -> Node:
        tree = self.expression(0)
        if self.sign != _END:
            raise syntax_error("S0201", self.node.position, token=self.node.value)
        return tree

    def expression(self, power: int) -> Node:
        token = self.node
        self.advance(after_operand=True)
        left = self._prefix(token)
        while self.sign in _INFIX and power < POWERS[self.sign]:
            token = self.node
            self.advance()
            left = self._infix(token, left)
        return left

    def _prefix(self, token: Node) -> Node:
        if token.kind != "operator":
            return token
        match token.value:
            case "and" | "or" | "in":
                return token
            case "-":
                token.kind, token.left = "negate", self.expression(70)
            case "*":
                token.kind = "wildcard"
            case "**":
                token.kind = "descendants"
            case "%":
                token.kind = "parent"
            case "(":
                token.kind, token.items = "block", self._block()
            case "[":
                token.kind, token.items = "array", self._array()
            case "{":
                token.kind, token.pairs = "object", self._pairs()
            case "|":
                self._transform(token)
            case _:
                raise syntax_error("S0211", token.position, token=token.value)
        return token

    def _infix(self, token: Node, left: Node) -> Node:
        token.left = left
        match token.value:
            case "(":
                return self._call(token, left)
            case "[":
                return self._predicate(token, left)
            case "{":
                token.kind = "group"
                token.right = Node("object", position=token.position, pairs=self._pairs())
            case "^":
                token.kind = "order"
                self._terms(token)
            case ":=":
                if left.kind != "variable":
                    raise syntax_error("S0212", left.position, token=left.value)
                token.kind, token.right = "bind", self.expression(POWERS[":="] - 1)
            case "@" | "#":
                token.kind, token.right = token.value, self.expression(POWERS["@"])
                if token.right.kind != "variable":
                    raise syntax_error("S0214", token.right.position, token=token.value)
            case "?":
                self._condition(token, left)
            case operator:
                token.kind = {".": "map", "~>": "apply"}.get(operator, "binary")
                token.right = self.expression(POWERS[operator])
        return token

    def _block(self) -> list[Node]:
        items: list[Node] = []
        while self.sign != ")":
            items.append(self.expression(0))
            if self.sign != ";":
                break
            self.advance(";")
        self.advance(")", after_operand=True)
        return items

    def _array(self) -> list[Node]:
        items: list[Node] = []
        while self.sign != "]" or items:
            item = self.expression(0)
            if self.sign == "..":
                span = Node("binary", "..", self.node.position, left=item)
                self.advance("..")
                span.right = self.expression(0)
                item = span
            items.append(item)
            if self.sign != ",":
                break
            self.advance(",")
        self.advance("]", after_operand=True)
        return items

    def _pairs(self) -> list[tuple[Node, Node]]:
        pairs: list[tuple[Node, Node]] = []
        while self.sign != "}" or pairs:
            key = self.expression(0)
            self.advance(":")
            pairs.append((key, self.expression(0)))
            if self.sign != ",":
                break
            self.advance(",")
        self.advance("}", after_operand=True)
        return pairs

    def _transform(self, token: Node) -> None:
        token.kind, token.left = "transform", self.expression(0)
        self.advance("|")
        token.right = self.expression(0)
        if self.sign == ",":
            self.advance(",")
            token.other = self.expression(0)
        self.advance("|")

    def _predicate(self, token: Node, left: Node) -> Node:
        if self.sign == "]":
            # An empty predicate keeps a single result an array.
            step = left
            while step.kind == "predicate" and step.left:
                step = step.left
            step.keep_array = True
            self.advance("]")
            return left
        token.kind, token.right = "predicate", self.expression(POWERS["]"])
        self.advance("]", after_operand=True)
        return token

    def _terms(self, token: Node) -> None:
        self.advance("(")
        while True:
            descending = self.sign == ">"
            if self.sign in ("<", ">"):
                self.advance()
            token.descending.append(descending)
            token.items.append(self.expression(0))
            if self.sign != ",":
                break
            self.advance(",")
        self.advance(")")

    def _condition(self, token: Node, left: Node) -> None:
        token.kind, token.left, token.right = "condition", left, self.expression(0)
        if self.sign == ":":
            self.advance(":")
            token.other = self.expression(0)

    def _call(self, token: Node, left: Node) -> Node:
        token.kind = "call"
        while self.sign != ")" or token.items:
            if self.sign == "?":
                token.kind = "partial"
                token.items.append(Node("placeholder", "?", self.node.position))
                self.advance("?")
            else:
                token.items.append(self.expression(0))
            if self.sign != ",":
                break
            self.advance(",")
        self.advance(")", after_operand=True)
        if left.kind == "name" and left.value in ("function", "\u03bb"):
            self._lambda(token)
        return token

    def _lambda(self, token: Node) -> None:
        token.kind, token.left = "lambda", None
        for index, parameter in enumerate(token.items):
            if parameter.kind != "variable":
                raise syntax_error("S0208", parameter.position, token=parameter.value, value=index + 1)
        if self.sign == "<":
            token.signature = self._signature()
        self.advance("{")
        token.right = self.expression(0)
        self.advance("}")

    def _signature(self) -> Signature:
        position, depth, text = self.node.position, 1, "<"
        while depth > 0 and self.sign not in ("{", _END):
            self.advance()
            depth += (self.sign == "<") - (self.sign == ">")
            text += str(self.node.value)
        self.advance(">")
        try:
            return parse_signature(text)
        except SignatureError as error:
            raise syntax_error(error.code, position + error.offset, value=error.value) from None


def parse(text: str) -> Node:
    """The raw tree of an expression; raises JsonataSyntaxError."""
    return _Parser(text).whole()

"""The syntax of ECMAScript's regular expressions: a pattern's text read into a tree.

It owns what a pattern means and why one is refused. It matches nothing. Neighbour: `jsonata/regex.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EVERY = 1_114_111
_DIGIT = ((48, 57),)
_WORD = ((48, 57), (65, 90), (95, 95), (97, 122))
_BLANK = ((9, 13), (32, 32), (160, 160), (5760, 5760), (8192, 8202), (8232, 8233), (8239, 8239), (8287, 8287))
_SPACE = (*_BLANK, (12288, 12288), (65279, 65279))
_NEWLINE = ((10, 10), (13, 13), (8232, 8233))
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "0": "\0"}

Ranges = tuple[tuple[int, int], ...]


class RegexError(Exception):
    """A pattern that is no regular expression; `str()` is the reason, in the words of V8."""


def _inverse(ranges: Ranges) -> Ranges:
    gaps: list[tuple[int, int]] = []
    start = 0
    for low, high in sorted(ranges):
        if low > start:
            gaps.append((start, low - 1))
        start = max(start, high + 1)
    if start <= _EVERY:
        gaps.append((start, _EVERY))
    return tuple(gaps)


_CLASSES: dict[str, Ranges] = {
    "d": _DIGIT,
    "w": _WORD,
    "s": _SPACE,
    "D": _inverse(_DIGIT),
    "W": _inverse(_WORD),
    "S": _inverse(_SPACE),
}


# What a pattern is made of. A `Chars` matches one character of a set.
@dataclass(frozen=True, slots=True)
class Chars:
    ranges: Ranges
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    kind: str


@dataclass(frozen=True, slots=True)
class Again:
    group: int


@dataclass(frozen=True, slots=True)
class Group:
    body: Pattern
    index: int


@dataclass(frozen=True, slots=True)
class Look:
    body: Pattern
    behind: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class Repeat:
    body: Pattern
    least: int
    most: int | None
    greedy: bool
    first_group: int
    last_group: int


@dataclass(frozen=True, slots=True)
class Chain:
    items: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Either:
    options: tuple[Pattern, ...]


Pattern = Chars | Edge | Again | Group | Look | Repeat | Chain | Either


class Reader:
    """Reads a pattern, as leniently as ECMAScript's Annex B does."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.groups = 0
        self.names: dict[str, int] = {}
        self.total = len(re.findall(r"\((?!\?)|\(\?<(?![=!])", re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "x", source)))

    def peek(self, length: int = 1) -> str:
        return self.source[self.at : self.at + length]

    def take(self, text: str) -> bool:
        if self.source.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def whole(self) -> Pattern:
        pattern = self.either()
        if self.at < len(self.source):
            raise RegexError("Unmatched ')'")
        return pattern

    def either(self) -> Pattern:
        options = [self.chain()]
        while self.take("|"):
            options.append(self.chain())
        return options[0] if len(options) == 1 else Either(tuple(options))

    def chain(self) -> Pattern:
        items: list[Pattern] = []
        while self.at < len(self.source) and self.peek() not in "|)":
            first = self.groups
            items.append(self.repeat(self.item(), first))
        return items[0] if len(items) == 1 else Chain(tuple(items))

    def repeat(self, body: Pattern, first: int) -> Pattern:
        counted = re.compile(r"\{(\d+)(,(\d*))?\}").match(self.source, self.at)
        if counted:
            least = int(counted[1])
            most = least if not counted[2] else int(counted[3]) if counted[3] else None
            self.at = counted.end()
        elif self.peek() and self.peek() in "*+?":
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[self.peek()]
            self.at += 1
        else:
            return body
        if most is not None and most < least:
            raise RegexError("numbers out of order in {} quantifier")
        if isinstance(body, Edge) or (isinstance(body, Look) and body.behind):
            raise RegexError("Nothing to repeat")
        return Repeat(body, least, most, not self.take("?"), first, self.groups)

    def item(self) -> Pattern:
        sign = self.peek()
        if sign in "*+?" or (sign == "{" and re.compile(r"\{\d+(,\d*)?\}").match(self.source, self.at)):
            raise RegexError("Nothing to repeat")
        self.at += 1
        if sign in "^$":
            return Edge(sign)
        if sign == ".":
            return Chars(_inverse(_NEWLINE))
        if sign == "(":
            return self.group()
        if sign == "[":
            return self.set()
        if sign == "\\":
            return self.escape()
        return Chars(((ord(sign), ord(sign)),))

    def group(self) -> Pattern:
        for prefix, behind, negative in (("?=", 0, 0), ("?!", 0, 1), ("?<=", 1, 0), ("?<!", 1, 1)):
            if self.take(prefix):
                return Look(self.closed(), bool(behind), bool(negative))
        if self.take("?:"):
            return Chain((self.closed(),))
        name = None
        if self.take("?"):
            match = re.compile(r"<([A-Za-z_$][\w$]*)>").match(self.source, self.at)
            if not match:
                raise RegexError("Invalid group")
            name, self.at = match[1], match.end()
        self.groups += 1
        index = self.groups
        if name is not None:
            if name in self.names:
                raise RegexError("Duplicate capture group name")
            self.names[name] = index
        return Group(self.closed(), index)

    def closed(self) -> Pattern:
        body = self.either()
        if not self.take(")"):
            raise RegexError("Unterminated group")
        return body

    def escape(self) -> Pattern:
        sign = self.peek()
        if not sign:
            raise RegexError("\\ at end of pattern")
        if sign in "bB":
            self.at += 1
            return Edge(sign)
        if sign in _CLASSES:
            self.at += 1
            return Chars(_CLASSES[sign])
        if match := re.compile(r"[1-9]\d*").match(self.source, self.at):
            if int(match[0]) <= self.total:
                self.at = match.end()
                return Again(int(match[0]))
        elif (match := re.compile(r"k<(\w+)>").match(self.source, self.at)) and match[1] in self.names:
            self.at = match.end()
            return Again(self.names[match[1]])
        code = ord(self.character())
        return Chars(((code, code),))

    def character(self) -> str:
        """The character an escape stands for; one without a meaning stands for itself."""
        for pattern, base in ((r"x([0-9a-fA-F]{2})", 16), (r"u([0-9a-fA-F]{4})", 16), (r"([0-3]?[0-7]{1,2})", 8)):
            if match := re.compile(pattern).match(self.source, self.at):
                self.at = match.end()
                return chr(int(match[1], base))
        if match := re.compile(r"c([A-Za-z])").match(self.source, self.at):
            self.at = match.end()
            return chr(ord(match[1]) % 32)
        sign = self.peek()
        self.at += 1
        return _CONTROLS.get(sign, sign)

    def set(self) -> Pattern:
        negative = self.take("^")
        ranges: list[tuple[int, int]] = []
        while not self.take("]"):
            low = self.member()
            if isinstance(low, int) and self.peek() == "-" and self.peek(2) not in ("-", "-]"):
                self.at += 1
                high = self.member()
                if not isinstance(high, int):
                    ranges += [(low, low), (45, 45), *high]
                elif high < low:
                    raise RegexError("Range out of order in character class")
                else:
                    ranges.append((low, high))
            else:
                ranges += [(low, low)] if isinstance(low, int) else list(low)
        return Chars(tuple(ranges), negative)

    def member(self) -> int | Ranges:
        sign = self.peek()
        if not sign:
            raise RegexError("Unterminated character class")
        self.at += 1
        if sign != "\\":
            return ord(sign)
        sign = self.peek()
        if sign in _CLASSES:
            self.at += 1
            return _CLASSES[sign]
        if sign == "b":
            self.at += 1
            return 8
        return ord(self.character())

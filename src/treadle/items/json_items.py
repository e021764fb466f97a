"""The elements of a JSON array, or the members of an object, out of a text of any size.

The text is never decoded as a whole: in memory stand one element and one piece. Where elements end is guessed first,
and proved by decoding. Where the guess fails a scanner finds it: regular expressions run over everything between two
brackets, strings included, and Python sees brackets and commas only. All decoding is msgspec's, many elements at once,
which also finds everything that is no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

import msgspec

from treadle.items.blocks import Block
from treadle.items.objects import Fault, Object
from treadle.items.pieces import ITEM_LIMIT, PIECE, pieces
from treadle.language.json_text import JsonSyntaxError
from treadle.language.json_text import decode as decode_slowly
from treadle.language.scope import Json

POINTER_LIMIT: Final = 2000
POINTER_REACH: Final = 16 * 1024 * 1024
"""AWS quotas: an ItemsPointer has fewer characters than that, and its target begins within so many bytes."""

NOT_ITERABLE: Final = "Attempting to map over non-iterable node."
"""Observed on AWS: map-distributed, for a document that is no array."""

_BLANKS: Final = re.compile(rb"[ \t\r\n]*+")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_WITHIN: Final = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_BETWEEN: Final = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_BETWEEN_TWO: Final = re.compile(rb',[ \t\r\n]*(?:\{[ \t\r\n]*"[^":\\]*|\[|")?')
_DECODE: Final = msgspec.json.Decoder().decode
_CLOSING: Final = {ord("["): ord("]"), ord("{"): ord("}")}
_RUN: Final = 1000


def json_blocks(object: Object, pointer: str | None) -> Iterator[Block]:
    """The elements as items, or the members of an object with their keys. Raises Fault.

    `pointer` is a JSON Pointer (RFC 6901) to the array or object.
    """
    text = _Text(pieces(object), object.source)
    if pointer is not None:
        text.go_to(pointer)
    opening = text.peek()
    if opening == -1:
        raise text.fault("is empty")
    if opening not in b'[{"-0123456789tfn':
        raise text.fault("is not JSON")
    # Observed on AWS: a whole document that is an object is not mapped over; one that ItemsPointer names is.
    if opening != ord("[") and (opening != ord("{") or pointer is None):
        raise Fault(NOT_ITERABLE)
    text.at += 1
    begun = False
    if opening == ord("["):
        for items in text.guessed():
            begun = True
            yield Block(object.source, len(items), items.__iter__)
    for run, count, line in text.runs(_CLOSING[opening], begun):
        decode = partial(_items, object.source, opening, run, count, line)
        yield Block(object.source, count, decode, keyed=opening == ord("{"))
    if not pointer and text.peek() != -1:
        raise text.fault("something follows the end of the JSON document")


def what_is_wrong(text: bytes, error: Exception) -> tuple[str, int]:
    """Why msgspec cannot decode the text, in words, and in which of its lines (from 0)."""
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8: {error.reason}", text.count(b"\n", 0, error.start)
    if isinstance(error, RecursionError):
        return "is nested too deeply", 0
    try:
        # Its errors know their place.
        decode_slowly(text.decode("utf-8", "replace"))
    except JsonSyntaxError as syntax:
        return f"is not JSON: {syntax.message}", text.decode("utf-8", "replace").count("\n", 0, syntax.start)
    return f"is not JSON: {error}", 0


def _items(source: str, opening: int, run: bytes, count: int, line: int) -> list[Json]:
    array = opening == ord("[")
    whole = b"[%b]" % run if array else b"{%b}" % run
    try:
        decoded: Json = _DECODE(whole)
        items: list[Json] = decoded if array else list(decoded.items())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told, offset = what_is_wrong(whole, error)
        raise Fault(f"{source}: line {line + offset}: {told}") from None
    if len(items) != count:
        told = "an element is missing beside a comma" if array else "an object has the same key twice"
        raise Fault(f"{source}: line {line}: {told}")
    return items


class _Text:
    """The text so far not forgotten, and a place in it. What lies before `mark` and `at` may be forgotten."""

    def __init__(self, read: Iterator[bytes], source: str) -> None:
        self._read = read
        self._source = source
        self._data = b""
        self._before = 0
        self._line = 1
        self._mark: int | None = None
        self._depth = 0
        self._in_string = False
        self.at = 0

    def fault(self, told: str) -> Fault:
        line = self._line + self._data.count(b"\n", 0, self.at)
        return Fault(f"{self._source}: line {line}: {told}")

    def peek(self) -> int:
        """The next byte that is not blank; -1 at the end."""
        while True:
            self.at = _end(_BLANKS, self._data, self.at)
            if self.at < len(self._data):
                return self._data[self.at]
            if not self._more():
                return -1

    def go_to(self, pointer: str) -> None:
        """Move to the value that the pointer names."""
        if len(pointer) >= POINTER_LIMIT:
            raise Fault(f"ItemsPointer has {POINTER_LIMIT} characters or more")
        if pointer and not pointer.startswith("/"):
            raise Fault(f"ItemsPointer {pointer!r} is no JSON Pointer: it begins with /")
        for token in pointer.split("/")[1:]:
            if not self._enter(token.replace("~1", "/").replace("~0", "~")):
                raise Fault(f"{self._source}: ItemsPointer {pointer!r} names nothing in it")
        self.peek()
        if self._before + self.at > POINTER_REACH:
            raise Fault(f"{self._source}: the target of ItemsPointer begins after the first {POINTER_REACH} bytes")

    def runs(self, closing: int, begun: bool) -> Iterator[tuple[bytes, int, int]]:
        """Elements with the commas between them, how many they are and the line of the first. Begins after the opening
        bracket, or after a comma when `begun`; ends after the closing bracket."""
        if self.peek() == closing and not begun:
            self.at += 1
            return
        self._mark, end, count = self.at, self.at, 0
        while True:
            if not self._arrived():
                if count:
                    yield self._run(end, count)
                    count = 0
                if not self._more():
                    raise self.fault("the JSON document ends in its middle")
                continue
            count, end = count + 1, self.at
            self.at += 1
            if self._data[end] != ord(","):
                yield self._run(end, count)
                self._mark = None
                if self._data[end] != closing:
                    raise self.fault("a bracket is closed that is not open")
                return
            if count == _RUN:
                yield self._run(end, count)
                count = 0

    def guessed(self) -> Iterator[list[Json]]:
        """Elements of an array, as long as a guess finds where one ends; `runs` finds the rest, several times slower.

        The guess: elements resemble each other, and so does what stands between them. The proof: where everything up to
        a comma decodes as a list, that comma stands between two elements, for JSON can be read in one way only.
        """
        separator = self._separator()
        while separator is not None:
            end = self._data.rfind(separator, self.at)
            if end == -1:
                if len(self._data) - self.at > 4 * PIECE or not self._more():
                    return
                continue
            try:
                items: list[Json] = _DECODE(b"[%b]" % self._data[self.at : end])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return
            if not items:
                return
            self.at = end + 1
            yield items
            if not self._more():
                return

    def _separator(self) -> bytes | None:
        """What stands from the first comma between two elements to where they begin to differ; None without one."""
        start = self._mark = self.at
        while not self._arrived():
            if not self._more():
                break
            start = 0
        begin, self.at, self._mark, self._depth, self._in_string = self.at, start, None, 0, False
        match = _BETWEEN_TWO.match(self._data, begin)
        return None if match is None else match.group()

    def _run(self, end: int, count: int) -> tuple[bytes, int, int]:
        assert self._mark is not None
        begin, self._mark = self._mark, end + 1
        return self._data[begin:end], count, self._line + self._data.count(b"\n", 0, begin)

    def _arrived(self) -> bool:
        """Move to the comma or closing bracket after the value; False when the text so far does not reach it."""
        while True:
            if self._in_string:
                self.at = _end(_IN_STRING, self._data, self.at)
                # A backslash here has its second half in the next piece.
                if self.at == len(self._data) or self._data[self.at] != ord('"'):
                    return False
                self._in_string = False
                self.at += 1
            self.at = _end(_WITHIN if self._depth else _BETWEEN, self._data, self.at)
            if self.at == len(self._data):
                return False
            if self._data[self.at] == ord('"'):
                # The patterns run over whole strings, so this one is not complete.
                self._in_string = True
                self.at += 1
                continue
            byte = self._data[self.at]
            if byte in b"[{":
                self._depth += 1
            elif self._depth and byte in b"]}":
                self._depth -= 1
            else:
                return True
            self.at += 1

    def _past(self) -> int:
        """Move to what follows the value and give it."""
        while not self._arrived():
            if not self._more():
                raise self.fault("the JSON document ends in its middle")
        return self._data[self.at]

    def _enter(self, token: str) -> bool:
        """Move to the member or element of that name; False where there is none."""
        opening = self.peek()
        if opening not in _CLOSING:
            return False
        self.at += 1
        if self.peek() == _CLOSING[opening]:
            return False
        index = 0
        while (self._key() if opening == ord("{") else str(index)) != token:
            if self._past() != ord(","):
                return False
            self.at += 1
            index += 1
        return True

    def _key(self) -> str:
        if self.peek() != ord('"'):
            raise self.fault("is not JSON: the name of a member must stand here")
        self._mark = self.at
        while (match := _STRING.match(self._data, self.at)) is None:
            if not self._more():
                raise self.fault("the JSON document ends in its middle")
        self.at, self._mark = match.end(), None
        try:
            key: str = _DECODE(match.group())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.fault(what_is_wrong(match.group(), error)[0]) from None
        if self.peek() != ord(":"):
            raise self.fault("is not JSON: a colon must stand after the name of a member")
        self.at += 1
        return key

    def _more(self) -> bool:
        """Add the next piece, and forget what nobody needs."""
        keep = self.at if self._mark is None else self._mark
        if len(self._data) - keep > ITEM_LIMIT:
            raise self.fault(f"the item is larger than {ITEM_LIMIT} bytes")
        piece = next(self._read, None)
        if piece is None:
            return False
        self._line += self._data.count(b"\n", 0, keep)
        self._before += keep
        self.at -= keep
        if self._mark is not None:
            self._mark = 0
        self._data = self._data[keep:] + piece
        return True


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    match = pattern.match(data, at)
    assert match is not None  # each of them matches nothing as well
    return match.end()

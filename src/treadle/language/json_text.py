"""JSON text to JSON values, with the place of every field and with the messages AWS gives for text that is no JSON.

The standard library's decoder keeps no places and words its errors differently: AWS Step Functions reads JSON with
Jackson, whose messages its users know.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from json import JSONDecodeError, JSONDecoder
from typing import Final

from treadle.language.places import Places
from treadle.language.scope import Json

DEPTH_LIMIT: Final = 200
"""How deep a definition may nest: every later step may recurse into it without meeting Python's own limit."""

NUMBER_LENGTH_LIMIT: Final = 1000

_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_NUMBER: Final = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD: Final = re.compile(r"[^\W\d]\w*")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_STRINGS: Final = JSONDecoder()
_LITERALS: Final[dict[str, Json]] = {"null": None, "true": True, "false": False}
_VALUES: Final = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


class JsonSyntaxError(Exception):
    """Text that is no JSON: the message in Jackson's words, where the fault begins and where Jackson stops reading."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.message = message
        self.start = start
        self.end = end


def decode(text: str, places: Places | None = None) -> Json:
    """The value of a JSON text, `places` learning where everything stands; raises JsonSyntaxError.

    Of a field that an object has twice the last value counts, as with every JSON reader.
    """
    return _Decoder(text, places or Places(text)).document()


def source(text: str, places: Places, offset: int) -> str:
    """The place of a fault as Jackson writes it: `[Source: (String)"{"; line: 1, column: 2]`."""
    line, column = places.line_and_column(offset)
    more = f"[truncated {len(text) - 500} chars]" if len(text) > 500 else ""
    return f'[Source: (String)"{text[:500]}"{more}; line: {line}, column: {column}]'


class _Decoder:
    def __init__(self, text: str, places: Places) -> None:
        self.text = text
        self.places = places
        self.position = 0
        self.depth = 0

    def document(self) -> Json:
        value = self.value()
        if self.peek():
            raise self.unexpected("was expecting end-of-input")
        return value

    def peek(self) -> str:
        """The next character that is not blank, "" at the end."""
        if blanks := _BLANKS.match(self.text, self.position):
            self.position = blanks.end()
        return self.text[self.position : self.position + 1]

    def take(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.position += 1
        return True

    def value(self) -> Json:
        match self.peek():
            case "{":
                return self.nested(self.object)
            case "[":
                return self.nested(self.array)
            case '"':
                return self.string()
            case "":
                raise self.end_of_input("No content to map due to end-of-input")
            case _:
                return self.literal_or_number()

    def nested(self, read: Callable[[int], Json]) -> Json:
        start = self.position
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            message = f"Document nesting depth exceeds the maximum allowed ({DEPTH_LIMIT})"
            raise JsonSyntaxError(message, start, start + 1)
        self.position += 1
        value = read(start)
        self.depth -= 1
        return value

    def object(self, start: int) -> dict[str, Json]:
        value: dict[str, Json] = {}
        self.places.open(value)
        if self.take("}"):
            return value
        while True:
            if self.peek() != '"':
                raise self.unexpected_within("Object", start, "was expecting double-quote to start field name")
            offset = self.position
            name = self.string()
            if not self.take(":"):
                expected = "was expecting a colon to separate field name and value"
                raise self.unexpected_within("Object", start, expected)
            self.places.note(value, name, offset)
            value[name] = self.value_within("Object", start)
            if self.take("}"):
                return value
            if not self.take(","):
                raise self.unexpected_within("Object", start, "was expecting comma to separate Object entries")

    def array(self, start: int) -> list[Json]:
        value: list[Json] = []
        self.places.open(value)
        if self.take("]"):
            return value
        while True:
            self.peek()
            self.places.note(value, len(value), self.position)
            value.append(self.value_within("Array", start))
            if self.take("]"):
                return value
            if not self.take(","):
                raise self.unexpected_within("Array", start, "was expecting comma to separate Array entries")

    def value_within(self, holder: str, start: int) -> Json:
        if not self.peek():
            raise self.unclosed(holder, start)
        return self.value()

    def string(self) -> str:
        start = self.position
        try:
            value, self.position = _STRINGS.raw_decode(self.text, start)
        except JSONDecodeError as error:
            raise self.bad_string(start, error.pos) from None
        # Half of a surrogate pair cannot be written as UTF-8 again.
        if _SURROGATE.search(value):
            raise JsonSyntaxError("Invalid surrogate character in string value", start, self.position)
        return value

    def literal_or_number(self) -> Json:
        if number := _NUMBER.match(self.text, self.position):
            return self.number(number)
        word = self.word()
        if word in _LITERALS:
            self.position += len(word)
            return _LITERALS[word]
        raise self.unexpected(f"was expecting {_VALUES}" if word else f"expected a valid value {_VALUES}")

    def number(self, match: re.Match[str]) -> int | float:
        digits, fraction, exponent = match.groups()
        start, end = match.span()
        if end - start > NUMBER_LENGTH_LIMIT:
            message = f"Number length ({end - start}) exceeds the maximum length ({NUMBER_LENGTH_LIMIT})"
            raise JsonSyntaxError(message, start, end)
        following = self.text[end : end + 1]
        if following.isalnum() or following in ("_", "."):
            message = f"Unexpected character ('{following}' (code {ord(following)})) in numeric value"
            raise JsonSyntaxError(message, end, end + 1)
        self.position = end
        if fraction is None and exponent is None:
            return int(digits)
        value = float(match.group())
        if math.isinf(value):
            raise JsonSyntaxError(f"Numeric value ({match.group()}) out of range of double", start, end)
        return value

    def word(self) -> str:
        match = _WORD.match(self.text, self.position)
        return match.group() if match else ""

    def unexpected(self, expected: str) -> JsonSyntaxError:
        """What stands at the position is not what the grammar wants there."""
        start = self.position
        if word := self.word():
            return JsonSyntaxError(f"Unrecognized token '{word}': {expected}", start, start + len(word))
        return self.unexpected_character(expected)

    def unexpected_character(self, expected: str) -> JsonSyntaxError:
        character, start = self.text[self.position], self.position
        message = f"Unexpected character ('{character}' (code {ord(character)})): {expected}"
        return JsonSyntaxError(message, start, start + 1)

    def unexpected_within(self, holder: str, start: int, expected: str) -> JsonSyntaxError:
        return self.unexpected_character(expected) if self.peek() else self.unclosed(holder, start)

    def unclosed(self, holder: str, start: int) -> JsonSyntaxError:
        marker = f"(start marker at {source(self.text, self.places, start)})"
        return self.end_of_input(f"Unexpected end-of-input: expected close marker for {holder} {marker}")

    def end_of_input(self, message: str) -> JsonSyntaxError:
        return JsonSyntaxError(message, len(self.text), len(self.text))

    def bad_string(self, start: int, at: int) -> JsonSyntaxError:
        """The fault within the string that began at `start`, where the standard library's decoder stopped at `at`."""
        character, following = self.text[at : at + 1], self.text[at + 1 : at + 2]
        if at > start and character and character < " ":
            control = f"((CTRL-CHAR, code {ord(character)}))"
            remedy = "has to be escaped using backslash to be included in string value"
            return JsonSyntaxError(f"Illegal unquoted character {control}: {remedy}", at, at + 1)
        if at > start and character == "\\" and following:
            message = f"Unrecognized character escape '{following}' (code {ord(following)})"
            return JsonSyntaxError(message, at, at + 2)
        if at > start and self.text[at - 1] == "\\" and character:
            message = f"Unrecognized character escape '{character}' (code {ord(character)})"
            return JsonSyntaxError(message, at - 1, at + 1)
        return self.end_of_input("Unexpected end-of-input: was expecting closing quote for a string value")

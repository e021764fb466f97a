"""Integers in words, letters, Roman numerals and digit patterns: $formatInteger, $parseInteger, and parts of dates.

It owns the integer pictures of XPath F&O 4.6. It never reads a clock. Neighbours: `jsonata/dates.py` uses the pictures
for the components of a date, `jsonata/functions.py` names the two functions.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from treadle.language.queries.jsonata.errors import Fault
from treadle.language.queries.jsonata.numbers import regular_interval
from treadle.language.queries.jsonata.values import UNDEFINED, Run
from treadle.language.scope import Json

_CARDINALS = [
    "Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve",
    "Thirteen", "Fourteen", "Fifteen", "Sixteen", "Seventeen", "Eighteen", "Nineteen",
]  # fmt: skip
_ORDINALS = [
    "Zeroth", "First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth", "Eleventh",
    "Twelfth", "Thirteenth", "Fourteenth", "Fifteenth", "Sixteenth", "Seventeenth", "Eighteenth", "Nineteenth",
]  # fmt: skip
_TENS = ["Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety"]
_MAGNITUDES = ["Thousand", "Million", "Billion", "Trillion"]
_ROMAN = {
    "m": 1000, "cm": 900, "d": 500, "cd": 400, "c": 100, "xc": 90,
    "l": 50, "xl": 40, "x": 10, "ix": 9, "v": 5, "iv": 4, "i": 1,
}  # fmt: skip
_ZEROS = [
    0x30, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
    0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
]  # fmt: skip


def _word_values() -> dict[str, int]:
    values = {word.lower(): value for words in (_CARDINALS, _ORDINALS) for value, word in enumerate(words)}
    for index, word in enumerate(_TENS):
        values[word.lower()] = values[word.lower()[:-1] + "ieth"] = 10 * (index + 2)
    for index, word in enumerate(["Hundred", *_MAGNITUDES]):
        values[word.lower()] = values[word.lower() + "th"] = 1000**index if index else 100
    return values


_WORD_VALUES = _word_values()


@dataclass(slots=True)
class IntegerPicture:
    """How to write an integer: `kind` is decimal, letters, roman, words or sequence; `case` upper, lower or title."""

    kind: str
    case: str = "lower"
    ordinal: bool = False
    token: str = ""
    zero: int = 0x30
    mandatory: int = 0
    optional: int = 0
    interval: int = 0
    separators: tuple[tuple[int, str], ...] = ()


_FIXED = {
    "A": ("letters", "upper"),
    "a": ("letters", "lower"),
    "I": ("roman", "upper"),
    "i": ("roman", "lower"),
    "W": ("words", "upper"),
    "Ww": ("words", "title"),
    "w": ("words", "lower"),
}


def analyse(picture: str) -> IntegerPicture:
    """The meaning of an integer picture; raises D3131."""
    primary, semicolon, modifier = picture.rpartition(";")
    if not semicolon:
        primary, modifier = picture, ""
    ordinal = modifier.startswith("o")
    if primary in _FIXED:
        kind, case = _FIXED[primary]
        return IntegerPicture(kind, case, ordinal)
    return _digit_pattern(primary, ordinal)


def _digit_pattern(pattern: str, ordinal: bool) -> IntegerPicture:
    found = IntegerPicture("decimal", ordinal=ordinal, token=pattern)
    zeros: set[int] = set()
    separators: list[tuple[int, str]] = []
    for sign in reversed(pattern):
        zero = next((each for each in _ZEROS if each <= ord(sign) <= each + 9), None)
        if zero is not None:
            zeros.add(zero)
            found.mandatory += 1
        elif sign == "#":
            found.optional += 1
        else:
            separators.append((found.mandatory + found.optional, sign))
    if len(zeros) > 1:
        raise Fault("D3131")
    if not zeros:
        return IntegerPicture("sequence", ordinal=ordinal, token=pattern)
    found.zero = zeros.pop()
    found.separators = tuple(separators)
    if len({sign for _, sign in separators}) == 1:
        found.interval = regular_interval([position for position, _ in separators])
    return found


def write(value: int, picture: IntegerPicture) -> str:
    """An integer by a picture; raises D3130."""
    size = abs(value)
    match picture.kind:
        case "letters":
            text = _letters(size, "A" if picture.case == "upper" else "a")
        case "roman":
            text = _roman(size)
        case "words":
            text = _words(size, picture.ordinal)
            text = text.lower() if picture.case == "lower" else text
        case "decimal":
            text = _decimal(size, picture)
        case _:
            raise Fault("D3130", value=picture.token)
    if picture.case == "upper" and picture.kind != "letters":
        text = text.upper()
    return "-" + text if value < 0 else text


def _letters(value: int, first: str) -> str:
    text = ""
    while value > 0:
        value, letter = divmod(value - 1, 26)
        text = chr(ord(first) + letter) + text
    return text


def _roman(value: int) -> str:
    text = ""
    for numeral, worth in _ROMAN.items():
        count, value = divmod(value, worth)
        text += numeral * count
    return text


def _words(value: int, ordinal: bool) -> str:
    return _part_in_words(value, "", ordinal)


def _part_in_words(value: int, joint: str, ordinal: bool) -> str:
    """A number in words; `joint` tells whether something larger stands before it."""
    if value < 20:
        return (" and " if joint else "") + (_ORDINALS if ordinal else _CARDINALS)[value]
    if value < 100:
        tens, rest = divmod(value, 10)
        words = (" and " if joint else "") + _TENS[tens - 2]
        if rest:
            return words + "-" + _part_in_words(rest, "", ordinal)
        return words[:-1] + "ieth" if ordinal else words
    if value < 1000:
        count, rest = divmod(value, 100)
        words = (", " if joint else "") + _CARDINALS[count] + " Hundred"
    else:
        magnitude = min((len(str(value)) - 1) // 3, len(_MAGNITUDES))
        count, rest = divmod(value, 1000**magnitude)
        words = (", " if joint else "") + _words(count, False) + " " + _MAGNITUDES[magnitude - 1]
    if rest:
        return words + _part_in_words(rest, "and", ordinal)
    return words + "th" if ordinal else words


def _decimal(value: int, picture: IntegerPicture) -> str:
    digits = str(value).rjust(picture.mandatory, "0")
    if picture.zero != 0x30:
        digits = "".join([chr(ord(digit) - 0x30 + picture.zero) for digit in digits])
    separators = picture.separators
    if picture.interval:
        sign = separators[0][1]
        separators = tuple((position, sign) for position in range(picture.interval, len(digits), picture.interval))
    text, last = digits, digits[-1:]
    for position, sign in sorted(separators, reverse=True):
        # What stands to the right of a place has not been touched yet when places are taken from the left.
        at = max(len(digits) - position, 0)
        text = text[: at + len(text) - len(digits)] + sign + text[at + len(text) - len(digits) :]
    if picture.ordinal:
        teen = len(digits) > 1 and digits[-2] == "1"
        text += "th" if teen else {"1": "st", "2": "nd", "3": "rd"}.get(last, "th")
    return text


def pattern_of(picture: IntegerPicture, width: int | None) -> str:
    """The regex of what `read` understands; `width` is a fixed number of digits, where the picture has one."""
    match picture.kind:
        case "letters":
            return "[A-Z]+" if picture.case == "upper" else "[a-z]+"
        case "roman":
            return "[MDCLXVI]+" if picture.case == "upper" else "[mdclxvi]+"
        case "words":
            return "(?:" + "|".join([*_WORD_VALUES, "and", r"[\-, ]"]) + ")+"
        case "decimal":
            count = "+"
            if width and width > 0:
                count = f"{{{max(width - picture.optional, 0)},{width}}}" if picture.optional else f"{{{width}}}"
            return f"[0-9]{count}" + ("(?:th|st|nd|rd)" if picture.ordinal else "")
        case _:
            raise Fault("D3130", value=picture.token)


def read(text: str, picture: IntegerPicture) -> Json:
    """The integer a text stands for, undefined when it stands for none; raises D3130."""
    match picture.kind:
        case "letters":
            first = ord("A" if picture.case == "upper" else "a") - 1
            return sum((ord(letter) - first) * 26**place for place, letter in enumerate(reversed(text)))
        case "roman":
            return _read_roman(text.upper())
        case "words":
            return _read_words(text.lower())
        case "decimal":
            return _read_decimal(text, picture)
        case _:
            raise Fault("D3130", value=picture.token)


def _read_roman(text: str) -> Json:
    total = largest = 0
    for letter in reversed(text):
        worth = _ROMAN.get(letter.lower(), 0)
        total += worth if worth >= largest else -worth
        largest = max(largest, worth)
    return total


def _read_words(text: str) -> Json:
    segments = [0]
    for word in re.split(r",\s|\sand\s|[\s\\-]", text):
        if word not in _WORD_VALUES:
            return UNDEFINED
        value = _WORD_VALUES[word]
        if value >= 100:
            segments.append(segments.pop() * value)
        elif segments[-1] >= 1000:
            segments.append(value)
        else:
            segments[-1] += value
    return sum(segments)


def _read_decimal(text: str, picture: IntegerPicture) -> Json:
    digits = text[:-2] if picture.ordinal else text
    for sign in [","] if picture.interval else [sign for _, sign in picture.separators]:
        digits = digits.replace(sign, "")
    if picture.zero != 0x30:
        digits = "".join([chr(max(ord(digit) - picture.zero + 0x30, 0)) for digit in digits])
    found = re.match(r"\s*[-+]?[0-9]+", digits)
    return int(found[0]) if found else UNDEFINED


def format_integer(run: Run, value: Json, picture: Json) -> Json:
    if value is UNDEFINED or picture is UNDEFINED:
        return UNDEFINED
    meaning = analyse(picture)
    whole = math.floor(value)
    if meaning.kind in ("roman", "letters"):
        run.text(abs(whole) // 1000)
    return write(whole, meaning)


def parse_integer(run: Run, text: Json, picture: Json) -> Json:
    if text is UNDEFINED or picture is UNDEFINED:
        return UNDEFINED
    run.spend(len(text))
    return read(text, analyse(picture))

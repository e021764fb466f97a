"""Text in pictures: breaking it into lines, and how wide it will be. Owns estimates alone; no fonts are read."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def visible(text: str) -> str:
    """The text without what no picture can show, in one line."""
    return " ".join(_INVISIBLE.sub("�", text).split())


def wrapped(text: str, width: int, lines: int) -> list[str]:
    """The text in at most so many lines of about so many characters; what is left out is marked."""
    found: list[str] = [""]
    for word in visible(text).split(" "):
        rest = word
        while rest:
            room = width - len(found[-1]) - (1 if found[-1] else 0)
            if len(rest) <= room:
                found[-1] += f" {rest}" if found[-1] else rest
                break
            if found[-1]:
                found.append("")
            else:
                found[-1], rest = rest[:width], rest[width:]
                found.append("")
    found = [line for line in found if line] or [""]
    if len(found) > lines:
        found = [*found[: lines - 1], found[lines - 1][: width - 1] + "…"]
    return found


def width(text: str, size: float) -> float:
    """About how wide a line is in a sans-serif font of a size."""
    units = 0.0
    for character in text:
        if unicodedata.east_asian_width(character) in ("W", "F"):
            units += 1.0
        else:
            units += (
                0.36
                if character in "iljtf.,:;'|!()[] "
                else 0.72
                if character.isupper() or character in "mwMW@%"
                else 0.56
            )
    return units * size

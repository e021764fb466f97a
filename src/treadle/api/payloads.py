"""JSON that travels as text: inputs of executions, outputs of tasks. Owns their limits and AWS's words for bad ones."""

from __future__ import annotations

from typing import Final

import msgspec

from treadle.language.json_text import JsonSyntaxError, decode
from treadle.language.scope import Json

MOST_BYTES: Final = 262_144
"""AWS quota: an input or output, as UTF-8."""
_LONG: Final = 65_536


def read_json(text: str) -> tuple[str | None, Json]:
    """What is wrong with a text, and the value that it holds."""
    if len(text) > MOST_BYTES or (not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES):
        return f"size exceeds the maximum of {MOST_BYTES} bytes", None
    try:
        return None, msgspec.json.decode(text)
    except RecursionError:
        return "nested too deeply", None
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        return _fault(text, error), None


def _fault(text: str, error: Exception) -> str:
    """In Jackson's words, where its reader finds the fault in reasonable time."""
    if len(text) <= _LONG:
        try:
            decode(text)
        except JsonSyntaxError as found:
            return found.message
    return str(error)

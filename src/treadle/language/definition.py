"""The parsed document of a state machine, with the location of each field.

Owns the way from text (JSON or YAML) to a `Definition`, and how places in it are written. Judges nothing but the text
itself: whether the document is a valid state machine is for `lint`. Its readers are `json_text` and `yaml_text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, cast

from treadle.language import json_text, yaml_text
from treadle.language.diagnostics import Diagnostic
from treadle.language.json_text import JsonSyntaxError, source
from treadle.language.places import Path, Places, leaves
from treadle.language.scope import Json
from treadle.language.yaml_text import YamlSyntaxError

SIZE_LIMIT: Final = 1_048_576
"""Bytes of UTF-8 a definition may have. AWS 'Quotas': state machine definition."""

_NO_JSON: Final = "INVALID_JSON_DESCRIPTION"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_YAML_FIELD: Final = re.compile(r"^[ \t]*[\w\"'-]+[ \t]*:(\s|$)", re.MULTILINE)


class Definition:
    """A parsed document: `root` is its value (any JSON value, not checked), `text` what it was read from."""

    def __init__(self, root: Json, text: str, places: Places) -> None:
        self.root = root
        self.text = text
        self._places = places

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column, from 1, where a field or item begins; of the deepest existing one above it if missing."""
        return self._places.line_and_column(self._places.offset(self.root, path))


def location(path: Sequence[str | int]) -> str:
    """A path as AWS writes it: `/States/Pay/Catch[0]/Next`; `/` for the root."""
    return "".join(f"[{part}]" if isinstance(part, int) else f"/{part}" for part in path) or "/"


def parse(text: str, yaml: bool = True) -> tuple[Definition | None, list[Diagnostic]]:
    """The definition that a text of JSON or YAML holds, and what is wrong with the text.

    There is no definition exactly if a finding is an error. Text that begins with `{` or `[` is JSON; other text that
    is a YAML mapping is YAML, unless `yaml` is False; the rest is judged as JSON.
    """
    if fault := _unreadable(text):
        return None, [fault]
    places = Places(text)
    try:
        root, places = _read(text, yaml)
    except JsonSyntaxError as error:
        place = source(text, places, error.end)
        remedy = "Correct the JSON at this place."
        return None, [Diagnostic("ERROR", _NO_JSON, error.message, place, *places.line_and_column(error.start), remedy)]
    except YamlSyntaxError as error:
        remedy = error.remedy or "Correct the YAML at this place."
        message = f"YAML: {error.message}"
        return None, [Diagnostic("ERROR", _NO_JSON, message, "", *places.line_and_column(error.offset), remedy)]
    return Definition(root, text, places), list(_repeated_fields(root, places))


def _unreadable(text: str) -> Diagnostic | None:
    if _SURROGATE.search(text):
        remedy = "Store the text as UTF-8, without halves of surrogate pairs."
        return Diagnostic("ERROR", _NO_JSON, "The text is not valid Unicode", "", 1, 1, remedy)
    if not text.strip():
        # AWS 'ValidateStateMachineDefinitionDiagnostic': MISSING_DESCRIPTION
        return Diagnostic("ERROR", "MISSING_DESCRIPTION", "The definition is empty", "", 1, 1, "Write a state machine.")
    size = len(text.encode())
    if size > SIZE_LIMIT:
        message = f"The definition has {size} bytes; the limit is {SIZE_LIMIT}"
        remedy = "Move states into a state machine of their own and start it with states:startExecution."
        return Diagnostic("ERROR", "SCHEMA_VALIDATION_FAILED", message, "", 1, 1, remedy)
    return None


def _read(text: str, yaml: bool) -> tuple[Json, Places]:
    if yaml and text.lstrip()[0] not in "{[":
        places = Places(text)
        try:
            root = yaml_text.decode(text, places)
        except YamlSyntaxError:
            if _YAML_FIELD.search(text):
                raise
        else:
            if isinstance(root, dict):
                return cast("Json", root), places
    places = Places(text)
    return json_text.decode(text, places), places


def _repeated_fields(root: Json, places: Places) -> Iterator[Diagnostic]:
    """Repeated fields are no error: on AWS, as with every JSON reader, the last value counts."""
    if not places.repeated:
        return
    holders = {id(holder) for holder, _, _ in places.repeated}
    paths = {id(cast("object", value)): path for path, value in leaves(root, ()) if id(value) in holders}
    for holder, name, offset in places.repeated:
        place = location((*paths[id(holder)], name)) if id(holder) in paths else ""
        remedy = "Remove or rename one of them: only the last one counts."
        message = f"Duplicate field '{name}'"
        yield Diagnostic("WARNING", "DUPLICATE_FIELD", message, place, *places.line_and_column(offset), remedy)

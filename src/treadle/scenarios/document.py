"""A JSON or YAML file that people wrote: its value, the place of each part, and what is wrong with it.

Owns how a fault is told: file, line, column, what, and what to do. Knows nothing of what the file means.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from treadle.errors import TreadleError
from treadle.language.definition import Definition, parse
from treadle.language.diagnostics import Diagnostic
from treadle.language.scope import Json
from treadle.language.values import is_object

Where = tuple[str | int, ...]
"""The keys and indices that lead to a part of a document."""


class ScenarioError(TreadleError):
    """A file that cannot be taken as it is. The message has a line for each fault: place, what, remedy."""


class Document:
    """A file's value and its places."""

    def __init__(self, path: str, definition: Definition) -> None:
        self.path = path
        self.root: Json = definition.root
        self._definition = definition

    @property
    def folder(self) -> Path:
        """What relative paths in the file start from."""
        return Path(self.path).parent

    def fault(self, where: Where, message: str) -> ScenarioError:
        """The error for a part of the file."""
        line, column = self._definition.place(where)
        return ScenarioError(f"{self.path}:{line}:{column}: {message}")

    def members(self, value: Json, where: Where, known: Collection[str], what: str) -> dict[str, Json]:
        """The value as an object that has no other members than the known ones. Raises ScenarioError."""
        if not is_object(value):
            raise self.fault(where, f"{what} is an object with {listed(known)}; it is {kind_of(value)}.")
        for name in value:
            if name not in known:
                raise self.fault((*where, name), f"{what} has no '{name}'{instead(name, known)}.")
        return value


def read_text(path: str | Path) -> str:
    """The text of a file. Raises ScenarioError."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ScenarioError(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise ScenarioError(f"{path} is a folder: name a file in it.") from None
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: byte {error.start + 1} is no UTF-8. Store the file as UTF-8.") from None


def read_document(path: str | Path) -> Document:
    """The document in a file. Raises ScenarioError."""
    return document_of(str(path), read_text(path))


def document_of(path: str, text: str) -> Document:
    """The document in a text; `path` names it in messages."""
    definition, diagnostics = parse(text)
    if definition is None:
        raise ScenarioError(found(path, diagnostics))
    return Document(path, definition)


def found(path: str, diagnostics: Collection[Diagnostic]) -> str:
    """The errors among diagnostics, a line each."""
    return "\n".join(finding(path, each) for each in diagnostics if each.severity == "ERROR")


def finding(path: str, diagnostic: Diagnostic) -> str:
    """A diagnostic as one line: where, what, and what to do."""
    place = f"{path}:{diagnostic.line}:{diagnostic.column}" if diagnostic.line else path
    where = f" at {diagnostic.location}" if diagnostic.location else ""
    remedy = f" {diagnostic.remedy}" if diagnostic.remedy else ""
    end = "" if diagnostic.message.endswith((".", "!", "?")) else "."
    return f"{place}: {diagnostic.severity} {diagnostic.code}: {diagnostic.message}{where}{end}{remedy}"


def instead(name: str, known: Collection[str]) -> str:
    """What may have been meant, else what there is."""
    close = difflib.get_close_matches(name, known, 1, 0.6)
    return f" (did you mean '{close[0]}'?)" if close else f" (known are {listed(known)})"


def listed(names: Collection[str]) -> str:
    """Names in a sentence."""
    shown = [f"'{each}'" for each in list(names)[:20]]
    return ", ".join(shown) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


_KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def kind_of(value: Any) -> str:
    """What kind of JSON value it is, in words."""
    return _KINDS[type(value)]

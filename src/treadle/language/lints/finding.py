"""What a rule of lint yields, before it gets a line and a column."""

from __future__ import annotations

from dataclasses import dataclass

from treadle.language.diagnostics import Severity
from treadle.language.places import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `path` is the location AWS names; `at` is more exact where AWS names the field around it."""

    severity: Severity
    code: str
    message: str
    path: Path
    remedy: str
    at: Path = ()


def error(message: str, path: Path, remedy: str, *, code: str = "SCHEMA_VALIDATION_FAILED", at: Path = ()) -> Finding:
    """A finding for which AWS refuses the definition."""
    return Finding("ERROR", code, message, path, remedy, at or path)


def warning(code: str, message: str, path: Path, remedy: str, *, at: Path = ()) -> Finding:
    """A finding that AWS lets pass."""
    return Finding("WARNING", code, message, path, remedy, at or path)

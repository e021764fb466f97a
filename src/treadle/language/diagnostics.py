"""One finding about a definition: what is wrong, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ERROR", "WARNING"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding of lint.

    `code` is AWS's own (`SCHEMA_VALIDATION_FAILED`, `INVALID_JSON_DESCRIPTION`) for whatever AWS refuses too, and one
    of ours (see docs/reference/diagnostics.md) for warnings beyond AWS. `location` is a path into the definition
    (`/States/Pay/Catch[0]/Next`), empty when the finding has no place. `line` and `column` count from 1 in the source
    text; 0 when unknown. `remedy` says what to do, in one sentence.
    """

    severity: Severity
    code: str
    message: str
    location: str = ""
    line: int = 0
    column: int = 0
    remedy: str = ""

    def __str__(self) -> str:
        """Code, message and place, as AWS writes them."""
        return f"{self.code}: {self.message}" + (f" at {self.location}" if self.location else "")

"""What a rule of lint yields, before it gets a line and a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from treadle.language.diagnostics import Severity
from treadle.language.places import Path

# AWS 'ValidateStateMachineDefinitionDiagnostic' lists the codes of the errors and of the first three warnings.
ErrorCode = Literal[
    "SCHEMA_VALIDATION_FAILED",
    "INVALID_JSON_DESCRIPTION",
    "MISSING_DESCRIPTION",
    "MISSING_TRANSITION_TARGET",
    "MISSING_END_STATE",
    "DUPLICATE_STATE_NAME",
    "INVALID_STATE_NAME",
    "DUPLICATE_LABEL_NAME",
    "INVALID_LABEL_NAME",
]
WarningCode = Literal[
    "NO_DOLLAR",
    "NO_PATH",
    "PASS_RESULT_IS_STATIC",
    "CATCH_DROPS_INPUT",
    "DUPLICATE_FIELD",
    "ENDLESS_LOOP",
    "EXPRESS_CHILD_CANNOT_WAIT",
    "EXPRESS_WAIT_TOO_LONG",
    "HEARTBEAT_TOO_LONG",
    "INLINE_CONCURRENCY",
    "NOT_EVALUATED",
    "NOT_ON_AWS",
    "RETRY_CANNOT_OCCUR",
    "TASK_TOKEN_NOT_PASSED",
    "TASK_WITHOUT_TIMEOUT",
    "UNASSIGNED_VARIABLE",
    "UNREACHABLE_STATE",
    "UNUSED_VARIABLE",
    "VARIABLE_OUT_OF_SCOPE",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `path` is the location AWS names; `at` is more exact where AWS names the field around it."""

    severity: Severity
    code: ErrorCode | WarningCode
    message: str
    path: Path
    remedy: str
    at: Path = ()


def error(
    message: str, path: Path, remedy: str, *, code: ErrorCode = "SCHEMA_VALIDATION_FAILED", at: Path = ()
) -> Finding:
    """A finding for which AWS refuses the definition."""
    return Finding("ERROR", code, message, path, remedy, at or path)


def warning(code: WarningCode, message: str, path: Path, remedy: str, *, at: Path = ()) -> Finding:
    """A finding that AWS lets pass."""
    return Finding("WARNING", code, message, path, remedy, at or path)

"""The two families of errors: what a workflow fails with, and what treadle itself raises.

A `StatesError` is data: it travels inside a running execution, can be retried and caught by the definition, and
ends up in the history. A `TreadleError` is raised to whoever called treadle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from treadle.language.diagnostics import Diagnostic


class StatesError(Exception):
    """An error of the workflow: an error name, a cause, and the field whose evaluation raised it.

    `name` is an error name as ErrorEquals matches it (`States.Runtime`, `Lambda.TooManyRequestsException`); None where
    a Fail state gave none. `location` is the field's place within its state (`Arguments/Payload`), where there is one.
    """

    def __init__(self, name: str | None, cause: str | None = None, location: str | None = None) -> None:
        super().__init__(name, cause, location)
        self.name = name
        self.cause = cause
        self.location = location


class TreadleError(Exception):
    """Base of everything treadle raises to its caller."""


class DefinitionError(TreadleError):
    """A definition that cannot run. `diagnostics` holds every finding at once, errors and warnings."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(each) for each in self.diagnostics if each.severity == "ERROR"))


class StoreError(TreadleError):
    """A store could not do its work."""


class Conflict(StoreError):
    """A commit builds on a journal that has moved on, or starts an execution that exists."""


class NotFound(StoreError):
    """The store has no such execution or definition."""


class Corrupt(StoreError):
    """What the store holds cannot be read back. The message names the row; nothing is changed."""


class Unavailable(StoreError):
    """The store cannot be written or read: the disk is full, read-only or gone. What was acknowledged is kept."""


class Locked(StoreError):
    """Another process works on the same store."""


class ApiError(TreadleError):
    """A call that is refused, with the error code that AWS has for it.

    `details` are members that AWS's error has beside its message (`reason`, `resourceName`).
    """

    def __init__(self, code: str, message: str, **details: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = details

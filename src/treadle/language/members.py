"""Reading the members of a JSON object that somebody wrote: each as it is needed, or a failure that names the member.

Owns the words for what does not fit. What a failure is, whoever reads says: a failed Task, an item reader that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from treadle.language.scope import Json
from treadle.language.values import is_object


@dataclass(frozen=True, slots=True)
class Members:
    """Reads members; `failure` makes what is raised of the reason."""

    failure: Callable[[str], Exception]

    def object(self, value: Json, where: str = "Arguments") -> Mapping[str, Json]:
        """A value that must be an object."""
        if not is_object(value):
            raise self.failure(f"{where} must be an object")
        return value

    def required_text(self, given: Mapping[str, Json], name: str) -> str:
        """A member that must be there, and be a text that is not empty."""
        value = self.optional_text(given, name)
        if not value:
            raise self.failure(f"The field '{name}' is required but was missing")
        return value

    def optional_text(self, given: Mapping[str, Json], name: str) -> str | None:
        """A member that is a text where it is there."""
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            raise self.failure(f"The field '{name}' must be a string")
        return value

    def one_of(self, given: Mapping[str, Json], name: str, known: Collection[str], default: str | None = None) -> str:
        """A member that is one of these texts."""
        value = self.optional_text(given, name) or default
        if value is None:
            raise self.failure(f"The field '{name}' is required but was missing")
        if value not in known:
            raise self.failure(f"The field '{name}' must be one of {', '.join(known)}, not '{value[:80]}'")
        return value

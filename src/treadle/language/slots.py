"""The port between the compiler and a query language: what each field of a state becomes.

jsonpath_slots.py and jsonata_slots.py implement it, as modules; compile.py knows nothing else of query languages.
`within` is where the fields stand in their state (`Catch[0]/`), for the texts of errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from treadle.language.plan import Catcher, Dataflow, Rule
from treadle.language.scope import Expr, Json

Fields: TypeAlias = Mapping[str, Json]
"""An object of the definition that has passed lint."""

Check: TypeAlias = Callable[[Any], str | None]
"""Gives the complaint about a number out of range."""


class Slots(Protocol):
    """How one query language fills the slots of a plan."""

    @property
    def ARGUMENTS(self) -> str:
        """What the arguments of ItemReader and ResultWriter are called."""
        ...

    def dataflow(self, fields: Fields) -> Dataflow:
        """The data flow of a state."""
        ...

    def catcher(self, fields: Fields, within: str) -> Catcher:
        """One element of Catch."""
        ...

    def rule(self, fields: Fields, state: Fields, within: str) -> Rule:
        """One element of Choices."""
        ...

    def text(self, fields: Fields, name: str) -> Expr | None:
        """Error and Cause of a Fail."""
        ...

    def seconds(self, fields: Fields, name: str) -> Expr | None:
        """TimeoutSeconds and HeartbeatSeconds."""
        ...

    def until(self, fields: Fields) -> Expr:
        """The moment at which a Wait ends."""
        ...

    def items(self, fields: Fields, distributed: bool) -> Expr:
        """The items of a Map."""
        ...

    def selector(self, fields: Fields) -> Expr | None:
        """ItemSelector."""
        ...

    def number(
        self, fields: Fields, name: str, kind: type = ..., check: Check | None = ..., within: str = ...
    ) -> Expr | None:
        """A number of a Map."""
        ...

    def template_field(self, fields: Fields, name: str, within: str) -> Expr | None:
        """A payload template that stands in a field."""
        ...

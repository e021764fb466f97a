"""What the API says of a definition. Long ones are judged beside the event loop."""

from __future__ import annotations

import asyncio
from typing import Final

from treadle.catalog.records import MachineType
from treadle.errors import ApiError
from treadle.language.definition import parse
from treadle.language.diagnostics import Diagnostic
from treadle.language.lint import lint
from treadle.language.lints.outline import outline
from treadle.language.lints.variables import references

_LONG: Final = 32_768


async def judged(text: str, type: MachineType) -> list[Diagnostic]:
    """Everything that is wrong with a definition, which the API takes as JSON alone."""
    return await asyncio.to_thread(_judged, text, type) if len(text) > _LONG else _judged(text, type)


async def check_definition(text: str, type: MachineType) -> None:
    """Raises ApiError InvalidDefinition."""
    errors = [each for each in await judged(text, type) if each.severity == "ERROR"]
    if errors:
        told = ", ".join(str(each) for each in errors)
        raise ApiError("InvalidDefinition", f"Invalid State Machine Definition: '{told}'")


def variable_references(text: str, type: MachineType) -> dict[str, list[str]] | None:
    """The variables that the states of a good definition read, by state; None where none is read."""
    definition, _ = parse(text, yaml=False)
    assert definition is not None, "only good definitions are kept"
    return references(outline(definition.root, type)) or None


def _judged(text: str, type: MachineType) -> list[Diagnostic]:
    definition, found = parse(text, yaml=False)
    return found if definition is None else [*found, *lint(definition, type)]

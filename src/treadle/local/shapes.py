"""JSON values by shape, where a template or an answer may hold anything.

Total functions: the wrong shape gives the empty value, for callers that have checked, or for whom nothing is the same
as nothing of use.
"""

from __future__ import annotations

from typing import cast

from treadle.language.scope import Json


def fields(value: Json) -> dict[str, Json]:
    """The fields of an object; none of anything else."""
    return cast("dict[str, Json]", value) if isinstance(value, dict) else {}


def items(value: Json) -> list[Json]:
    """The items of a list; none of anything else."""
    return cast("list[Json]", value) if isinstance(value, list) else []


def listed(value: Json) -> list[Json]:
    """A list as it is, nothing as an empty list, anything else as a list of it."""
    return items(value) if isinstance(value, list) else [] if value is None else [value]


def dig(value: Json, *steps: str) -> Json:
    """A value some objects deep; None where it is not there."""
    for step in steps:
        value = fields(value).get(step)
    return value

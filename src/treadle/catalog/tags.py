"""Tags of state machines and activities. Owns what a tag may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from treadle.catalog.activities import Activities
from treadle.catalog.arns import parse_arn
from treadle.catalog.machines import Machines
from treadle.errors import ApiError

MOST_TAGS: Final = 50
"""AWS quota: tags of a resource."""
# AWS 'TagResource': Unicode letters, digits, white space, and these signs.
_TEXT: Final = re.compile(r"[\w\s.:/=+\-@]*")


class Tags:
    """The tags of what is in a store."""

    def __init__(self, machines: Machines, activities: Activities) -> None:
        self._machines, self._activities = machines, activities

    async def of(self, arn: str) -> dict[str, str]:
        """The tags of a resource. Raises ApiError InvalidArn, ResourceNotFound."""
        parsed = parse_arn(arn, "stateMachine", "activity")
        kept = self._machines if parsed.type == "stateMachine" else self._activities
        found = await kept.find(arn)
        if found is None:
            raise _missing(arn)
        return found.tags

    async def add(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags, or give them other values. Raises ApiError InvalidArn, ResourceNotFound, TooManyTags."""
        await self._change(arn, lambda before: checked({**before, **tags}, arn))

    async def remove(self, arn: str, keys: Iterable[str]) -> None:
        """Take tags away. Raises ApiError InvalidArn, ResourceNotFound."""
        gone = frozenset(keys)
        await self._change(arn, lambda before: {key: value for key, value in before.items() if key not in gone})

    async def _change(self, arn: str, edit: Callable[[dict[str, str]], dict[str, str]]) -> None:
        await self.of(arn)

        def changed(resource: Any) -> Any:
            return msgspec.structs.replace(resource, tags=edit(resource.tags))

        kept = self._machines if ":stateMachine:" in arn else self._activities
        await kept.change(arn, changed)


def checked(tags: Mapping[str, str], arn: str) -> dict[str, str]:
    """The tags of a resource, if it may have them. Raises ApiError TooManyTags, ValidationException."""
    if len(tags) > MOST_TAGS:
        told = f"The resource '{arn}' may have {MOST_TAGS} tags at the most."
        raise ApiError("TooManyTags", told, resourceName=arn)
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise ApiError("ValidationException", f"Tag keys must not begin with 'aws:': '{key}'")
        if not (_TEXT.fullmatch(key) and _TEXT.fullmatch(value)):
            told = "Tags may only contain Unicode letters, digits, white space, or these symbols: _ . : / = + - @."
            raise ApiError("ValidationException", told)
    return dict(tags)


def _missing(arn: str) -> ApiError:
    return ApiError("ResourceNotFound", f"Resource not found: '{arn}'", resourceName=arn)

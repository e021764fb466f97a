"""What happens on its own, as the stack has it: rules, schedules, queues that feed functions, APIs.

Owns the list, by kind and key, and tells when it changes. Written from the thread that deploys, read on the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from treadle.language.scope import Json


class LocalRegister:
    """The list. Made on the loop that reads it."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Mapping[str, Json]]] = {}
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def put(self, kind: str, key: str, properties: Mapping[str, Json]) -> None:
        """Keep one, in place of one of the same kind and key."""
        kept = self._kept.get(kind, {})
        # Replaced as a whole: who goes through it at the moment goes through the old one.
        self._kept = {**self._kept, kind: {**kept, key: properties}}
        self._loop.call_soon_threadsafe(self._changed.set)

    def remove(self, kind: str, key: str) -> None:
        """Keep it no more."""
        kept = {each: properties for each, properties in self._kept.get(kind, {}).items() if each != key}
        self._kept = {**self._kept, kind: kept}
        self._loop.call_soon_threadsafe(self._changed.set)

    def all(self, kind: str) -> Mapping[str, Mapping[str, Json]]:
        """All of a kind, by key."""
        return self._kept.get(kind, {})

    async def changed(self) -> None:
        """Return when something has changed since this was called the last time."""
        await self._changed.wait()
        self._changed.clear()

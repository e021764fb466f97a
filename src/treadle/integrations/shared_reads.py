"""One read for all who ask at the same time.

A thousand tasks that want the same small thing cost one read, not a thousand. What anybody gets was read after they
asked: who asks while a read is under way waits for the next one, so whatever was written before the question is in
the answer. Must never keep an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedReads(Generic[T]):
    """Reads by key. Use it on one event loop."""

    def __init__(self, read: Callable[[str], Awaitable[T]]) -> None:
        self._read = read
        self._under_way: dict[str, asyncio.Task[T]] = {}
        self._next: dict[str, asyncio.Task[T]] = {}

    async def get(self, key: str) -> T:
        """What a read brings that begins now or later. Raises what it raises."""
        reading = self._next.get(key)
        if reading is None:
            reading = self._next[key] = asyncio.create_task(self._begin(key, self._under_way.get(key)))
        # Who gives up must not take the read from the others.
        return await asyncio.shield(reading)

    async def _begin(self, key: str, before: asyncio.Task[T] | None) -> T:
        if before is not None:
            await asyncio.wait([before])
        this = self._under_way[key] = self._next.pop(key)
        try:
            return await self._read(key)
        finally:
            if self._under_way[key] is this:
                del self._under_way[key]

"""Work that goes on beside everything else, until it ends or whoever began it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class _Over(Exception):
    """Ends the group and what still runs in it."""


@asynccontextmanager
async def background() -> AsyncGenerator[asyncio.TaskGroup]:
    """A group whose tasks are cancelled at its end; others wait for theirs. It raises what a task raises."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
            raise _Over
    except* _Over:
        pass

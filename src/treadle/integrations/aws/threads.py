"""Runs blocking calls on threads: so many at once and no more, and none keeps the process from ending.

A call that nobody waits for any more runs on until its own time limit, and keeps its place until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Threads:
    """At most `limit` blocking calls at once."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit, self._name = limit, name
        self._places: asyncio.Semaphore | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Run the work on a thread of its own, as soon as there is a place."""
        if self._places is None:
            self._places = asyncio.Semaphore(self._limit)
        places, loop = self._places, asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        await places.acquire()

        def ended(settle: Callable[[Any], None], outcome: Any) -> None:
            places.release()
            if not done.done():
                settle(outcome)

        def run() -> None:
            try:
                settle, outcome = done.set_result, work()
            except BaseException as raised:
                settle, outcome = done.set_exception, raised
            with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
                loop.call_soon_threadsafe(ended, settle, outcome)

        # A daemon: an answer that never comes must not hold up the end of the process.
        threading.Thread(target=run, name=self._name, daemon=True).start()
        return await done

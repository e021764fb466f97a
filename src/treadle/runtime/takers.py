"""Workers who wait for tasks of activities: each task that comes wakes one of them, and no call is lost.

Owns who waits, in the order of their coming. Must never read the store. Neighbour: engine.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from treadle.language.scope import Json


@dataclass(frozen=True, slots=True)
class ActivityTask:
    """A task that an activity worker took."""

    token: str
    input: Json


class Takers:
    """The workers who wait, by the topic of their activity."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Event, None]] = {}  # a dict, for its order

    @contextmanager
    def waiting(self, topic: str) -> Generator[asyncio.Event]:
        """Wait for a topic meanwhile; the event is set when a task has come. Who leaves uncalled for passes it on."""
        called = asyncio.Event()
        here = self._waiting.setdefault(topic, {})
        here[called] = None
        try:
            yield called
        finally:
            del here[called]
            if not here:
                del self._waiting[topic]
            elif called.is_set():
                self.call(topic)

    def call(self, topic: str) -> None:
        """A task has come: wake the worker who has waited longest and has not been called yet."""
        for called in self._waiting.get(topic, ()):
            if not called.is_set():
                called.set()
                return

"""What is due when: timers, time limits and heartbeats of open waits.

Holds in memory only what is due soon; the rest stays in the store and is fetched, by index, as its time comes near. So
a wait of a year costs a row and nothing else, and no row is looked at twice.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Callable
from typing import Final, Literal

from treadle.errors import Unavailable
from treadle.machine.events import TimerDue
from treadle.runtime.clock import event_or_moment
from treadle.runtime.ports import Clock, Store, WaitRow

HORIZON: Final = 60.0
"""Seconds ahead that are held in memory."""
_PAGE: Final = 1000
_RETRY_SECONDS: Final = 1.0

log = logging.getLogger("treadle.runtime")

Reason = Literal["due", "timeout", "heartbeat"]


class Agenda:
    """Calls `deliver(arn, TimerDue)` when something is due."""

    def __init__(self, store: Store, clock: Clock, deliver: Callable[[str, TimerDue], None]) -> None:
        self._store, self._clock, self._deliver = store, clock, deliver
        self._horizon = -math.inf  # what is due up to here is in memory
        self._beyond = -math.inf  # when the first thing after the horizon is due
        self._heap: list[tuple[float, str, int, Reason]] = []
        self._current: dict[tuple[str, int, Reason], float] = {}
        self._changed = asyncio.Event()
        self._touched: set[tuple[str, int]] | None = None  # waits that have changed while the store is being read

    def add(self, row: WaitRow, held: bool = False) -> None:
        """A wait was opened, or opened again with other moments. What is `held` will not be found in the store."""
        self._touch(row.arn, row.wait)
        self._note(row, math.inf if held else self._horizon)

    def _touch(self, arn: str, wait: int) -> None:
        if self._touched is not None:
            self._touched.add((arn, wait))

    def _note(self, row: WaitRow, horizon: float) -> None:
        timer = row.kind == "timer"
        self._set(row.arn, row.wait, "due" if timer else "timeout", row.due, horizon)
        self._set(row.arn, row.wait, "heartbeat", row.heartbeat_due, horizon)

    def drop(self, arn: str, wait: int) -> None:
        """A wait was closed. Its places in the heap are passed over when they come up."""
        self._touch(arn, wait)
        for reason in ("due", "timeout", "heartbeat"):
            self._current.pop((arn, wait, reason), None)

    def move_heartbeat(self, arn: str, wait: int, due: float) -> None:
        """A heartbeat arrived."""
        self._touch(arn, wait)
        self._set(arn, wait, "heartbeat", due, self._horizon)

    async def run(self) -> None:
        """Deliver what is due, for ever."""
        while True:
            self._changed.clear()
            if self._clock.now() >= self._beyond:
                try:
                    await self._look_ahead(self._clock.now() + HORIZON)
                except Unavailable as error:
                    log.warning("timers cannot be read now: %s", error)
                    self._beyond = self._clock.now() + _RETRY_SECONDS
            self._deliver_due(self._clock.now())
            until = min(self._heap[0][0], self._beyond) if self._heap else self._beyond
            await event_or_moment(self._clock, self._changed, until)

    def _set(self, arn: str, wait: int, reason: Reason, moment: float | None, horizon: float) -> None:
        key = (arn, wait, reason)
        if moment is None or moment > horizon:
            self._current.pop(key, None)
            if moment is not None and moment < self._beyond:
                self._beyond = moment
                self._changed.set()
        elif self._current.get(key) != moment:
            self._current[key] = moment
            heapq.heappush(self._heap, (moment, arn, wait, reason))
            if self._heap[0][0] == moment:
                self._changed.set()

    async def _look_ahead(self, horizon: float) -> None:
        """Fetch what is due up to a new horizon. What was told meanwhile is newer than what is read."""
        self._horizon, self._beyond = horizon, math.inf
        self._touched = touched = set[tuple[str, int]]()
        after: tuple[float, str, int] | None = None
        try:
            with self._clock.busy():
                while rows := await self._store.due(horizon, _PAGE, after):
                    for row in rows:
                        if (row.arn, row.wait) not in touched:
                            self._note(row, horizon)
                    after = _place(rows[-1])
                for row in await self._store.due(math.inf, 1, after):
                    self._beyond = min(self._beyond, _place(row)[0])
        finally:
            self._touched = None

    def _deliver_due(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            moment, arn, wait, reason = heapq.heappop(self._heap)
            if self._current.get((arn, wait, reason)) == moment:
                del self._current[arn, wait, reason]
                self._deliver(arn, TimerDue(wait, reason))


def _place(row: WaitRow) -> tuple[float, str, int]:
    assert row.moment is not None, "the store gives rows that are due"
    return row.moment, row.arn, row.wait

"""Time: the real one, and one that passes only when nothing else can happen."""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

from treadle.runtime.ports import Clock

START: Final = 1_767_225_600.0
"""When virtual time starts: 2026-01-01T00:00:00Z."""
_LONGEST_SLEEP: Final = 3600.0
_NOTHING: Final = nullcontext()


class RealClock:
    """The time of this machine."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def sleep_until(self, moment: float) -> None:
        """Return when the moment has come, whatever is done to the machine's clock meanwhile."""
        while (left := moment - time.time()) > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP))

    def busy(self) -> AbstractContextManager[None]:
        """Real time passes, whatever is going on."""
        return _NOTHING

    def idle(self) -> AbstractContextManager[None]:
        """Real time passes in any case."""
        return _NOTHING


class VirtualClock:
    """A clock that jumps to the next moment somebody sleeps for, as soon as nobody is busy.

    Whatever takes part (commits, calls of integrations) says so with `busy`. With work that only uses the event loop, a
    run is the same every time. `still` is set while nobody is busy and nobody sleeps: nothing will happen by itself.
    """

    def __init__(self, start: float) -> None:
        self._now = start
        self._busy = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0
        self._looking = False
        self._quiet = 0  # turns of the event loop since somebody was busy
        self.still = asyncio.Event()

    def now(self) -> float:
        """Seconds since the epoch, as far as anybody here knows."""
        return self._now

    async def sleep_until(self, moment: float) -> None:
        """Return when nothing could happen before the moment."""
        if moment <= self._now:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        self.still.clear()
        heapq.heappush(self._sleepers, (moment, self._order, woken))
        self._look()
        await woken

    @contextmanager
    def busy(self) -> Generator[None]:
        """No time passes meanwhile."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def idle(self) -> Generator[None]:
        """Within `busy`: time may pass meanwhile."""
        self._leave()
        try:
            yield
        finally:
            self._enter()

    def _enter(self) -> None:
        self._busy += 1
        self._quiet = 0
        self.still.clear()

    def _leave(self) -> None:
        self._busy -= 1
        self._look()

    def _look(self) -> None:
        if not self._looking and not self._busy:
            self._looking = True
            self._quiet = 0
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        """Let everything that is ready run first: whoever becomes busy thereby keeps the time."""
        self._quiet += 1
        if not self._busy and self._quiet <= _ROUNDS:
            asyncio.get_running_loop().call_soon(self._settle)
            return
        self._looking = False
        if not self._busy:
            self._jump()

    def _jump(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        if not self._sleepers:
            self.still.set()
            return
        moment, _, woken = heapq.heappop(self._sleepers)
        self._now = max(self._now, moment)
        woken.set_result(None)
        self._look()


async def event_or_moment(clock: Clock, event: asyncio.Event, moment: float) -> None:
    """Return when the event is set or the moment, which may be infinite, has come."""
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(event.wait())]
    if moment != math.inf:
        waiting.append(asyncio.ensure_future(clock.sleep_until(moment)))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


_ROUNDS: Final = 20
"""Turns of the event loop without anything becoming busy, after which nothing more will."""

"""Rounds: what has come in for many executions is handled, committed together, and followed up.

    enter(live) -> take() of each -> one commit -> settle() of each

A flush costs as much for one execution as for a hundred, and so does waking up afterwards; hence a round is one commit
with one answer. While a round is being flushed the next one is handled. Owns whose turn it is. Must never decide
anything about an execution. Neighbours: live.py, which is what takes a turn; ports.py, whose `commit_all` this calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from treadle.runtime.live import PAGE, Live, closing
from treadle.runtime.ports import Clock, Commit, Store

WIDTH: Final = 64
"""Executions in one round at the most, so that the first does not wait for too many others."""
_AT_ONCE: Final = 2


class Rounds:
    """Gives executions their turns, in the order in which they ask for them."""

    def __init__(self, store: Store, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._store, self._clock, self._spawn = store, clock, spawn
        self._waiting: deque[Live] = deque()
        self._running = 0
        self._coming = False  # a round is about to begin, and takes who is waiting then

    def enter(self, live: Live) -> None:
        """The execution wants a turn, and does not have one yet."""
        self._waiting.append(live)
        if not self._coming and self._running < _AT_ONCE:
            self._coming = True
            self._spawn(self._run())

    async def _run(self) -> None:
        self._coming = False
        self._running += 1
        try:
            with self._clock.busy():
                while self._waiting:
                    await self._round()
                    # A store in memory never lets go of the event loop; an endless execution must.
                    await asyncio.sleep(0)
        finally:
            self._running -= 1

    async def _round(self) -> None:
        turns: list[tuple[Live, Commit | None]] = []
        entries = 0
        while self._waiting and len(turns) < WIDTH and entries < PAGE:
            live = self._waiting.popleft()
            commit = live.take()
            turns.append((live, commit))
            entries += 0 if commit is None else len(commit.entries)
        outcomes = iter(await self._outcomes(turns))
        for live, commit in turns:
            live.settle(None if commit is None else next(outcomes))

    async def _outcomes(self, turns: Sequence[tuple[Live, Commit | None]]) -> Sequence[Exception | None]:
        """What became of each commit."""
        commits = [commit for _, commit in turns if commit is not None]
        try:
            return await self._store.commit_all(commits) if commits else ()
        except Exception as error:
            return [error] * len(commits)
        except BaseException:
            for live, _ in turns:
                live.abandon(closing())
            raise

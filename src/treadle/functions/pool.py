"""Which worker serves whom: the idle ones, those who wait, and how many workers there may be.

Knows neither processes nor time limits. A worker belongs to one function; all functions share the places. `processes`
starts a worker in every place it is given, and says when one is gone.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

WorkerT = TypeVar("WorkerT")


@dataclass(frozen=True, slots=True)
class _Waiter(Generic[WorkerT]):
    name: str
    granted: asyncio.Future[WorkerT | None]


class Pool(Generic[WorkerT]):
    """Hands out workers, the one used last first, so that those not needed stay idle and can be let go.

    `retire` ends a worker; once it is gone, the owner calls `left`.
    """

    def __init__(self, places: int, retire: Callable[[WorkerT], None]) -> None:
        self._places = places
        self._retire = retire
        self._taken: Counter[str] = Counter()
        # Oldest first. All functions together, since the one idle for longest makes room for others.
        self._idle: dict[WorkerT, tuple[str, float]] = {}
        self._stacks: dict[str, list[WorkerT]] = {}
        self._waiting: deque[_Waiter[WorkerT]] = deque()
        # Told to end for the sake of those who wait, and not gone yet.
        self._leaving: set[WorkerT] = set()

    async def take(self, name: str) -> WorkerT | None:
        """A worker for a function; None stands for a place in which to start one. Waits until there is either."""
        if self._stacks.get(name):
            return self._pop(name)
        if self._taken.total() < self._places:
            self._taken[name] += 1
            return None
        waiter: _Waiter[WorkerT] = _Waiter(name, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._make_room()
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise

    def give_back(self, name: str, worker: WorkerT, now: float) -> None:
        """A worker has nothing to do, as of a moment of the caller's clock."""
        first = self._first()
        if first is not None and first.name != name and not self._taken[first.name] and not self._leaving:
            # Its function has no worker that could come free, so it must not be passed over.
            self._dismiss(worker)
            return
        mine = next((each for each in self._waiting if each.name == name and not each.granted.done()), None)
        if mine is not None:
            self._waiting.remove(mine)
            mine.granted.set_result(worker)
            return
        self._idle[worker] = name, now
        self._stacks.setdefault(name, []).append(worker)
        if first is not None:
            self._make_room()

    def left(self, name: str, worker: WorkerT | None) -> None:
        """A worker is gone, or a place was not used; the place goes to whoever waits for longest."""
        if worker is not None:
            self._leaving.discard(worker)
            if worker in self._idle:
                self._forget(worker)
        self._taken[name] -= 1
        first = self._first()
        if first is not None:
            self._waiting.popleft()
            self._taken[first.name] += 1
            first.granted.set_result(None)

    def retire_idle(self, name: str | None = None, before: float = float("inf")) -> None:
        """Let go of the idle workers of one function or of all, those idle since before a moment."""
        for worker, (owner, since) in list(self._idle.items()):
            if since <= before and name in (None, owner):
                self._forget(worker)
                self._retire(worker)

    def oldest(self) -> float | None:
        """Since when the worker is idle that is so for longest."""
        return next((since for _, since in self._idle.values()), None)

    def refuse(self, error: Exception) -> None:
        """Tell all who wait that there will be nothing."""
        while (first := self._first()) is not None:
            self._waiting.popleft()
            first.granted.set_exception(error)

    def _pop(self, name: str) -> WorkerT:
        worker = self._stacks[name].pop()
        del self._idle[worker]
        return worker

    def _forget(self, worker: WorkerT) -> None:
        name, _ = self._idle.pop(worker)
        self._stacks[name].remove(worker)

    def _make_room(self) -> None:
        worker = next(iter(self._idle), None)
        if worker is not None and len(self._leaving) < len(self._waiting):
            self._forget(worker)
            self._dismiss(worker)

    def _dismiss(self, worker: WorkerT) -> None:
        self._leaving.add(worker)
        self._retire(worker)

    def _first(self) -> _Waiter[WorkerT] | None:
        while self._waiting and self._waiting[0].granted.done():
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None

    def _abandon(self, waiter: _Waiter[WorkerT]) -> None:
        if waiter.granted.cancelled() or waiter.granted.exception() is not None:
            return
        # Granted in the very moment of the cancellation: it goes on to the next.
        worker = waiter.granted.result()
        if worker is None:
            self.left(waiter.name, None)
        else:
            self.give_back(waiter.name, worker, asyncio.get_running_loop().time())

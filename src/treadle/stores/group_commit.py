"""Group commit: everything that waits while one transaction is flushed goes into the next one together.

Owns the one thread that writes, and how its callers are resumed: on their own event loop, after the transaction is
durable, with one wake-up per loop and transaction. Must never let one piece of work fail another.
Neighbours: sqlite.py, whose work this is.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from asyncio import AbstractEventLoop, Future
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias

import msgspec

from treadle.errors import StoreError, Unavailable

Work: TypeAlias = Callable[[sqlite3.Connection], Any]
"""Done within a transaction. It raises StoreError only before it has written anything."""

LARGEST_GROUP: Final = 1000


class Outcome(msgspec.Struct, frozen=True):
    """What a piece of work gave, or why it came to nothing."""

    value: Any = None
    error: Exception | None = None


_Done: TypeAlias = "Future[Sequence[Outcome]]"
_Order: TypeAlias = tuple[Sequence[Work], _Done]


class GroupCommit:
    """A thread that does work in transactions on one connection.

    `check` is called before each transaction and raises StoreError when there must be none. `rolled_back` is told when
    one came to nothing.
    """

    def __init__(
        self, connection: sqlite3.Connection, check: Callable[[], None], rolled_back: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._check = check
        self._rolled_back = rolled_back
        self._queue: SimpleQueue[_Order | None] = SimpleQueue()
        self._entrance = threading.Lock()
        self._open = True
        self._thread = threading.Thread(target=self._run, name="treadle-store-writer", daemon=True)
        self._thread.start()

    async def do(self, work: Work) -> Any:
        """What `work` gives, once it is durable. Cancelled, it may be done all the same."""
        (outcome,) = await self.do_all([work])
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    async def do_all(self, works: Sequence[Work]) -> Sequence[Outcome]:
        """What each piece of work gives, once it is durable; one wake-up for all of them."""
        done: Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()
        with self._entrance:
            if not self._open:
                raise Unavailable("The store is closed.")
            self._queue.put((works, done))
        return await done

    def close(self) -> None:
        """Finish what was begun. Returns when the thread has ended."""
        with self._entrance:
            self._open = False
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            group, goes_on = self._next_group()
            if group:
                outcomes = iter(self._write([work for works, _ in group for work in works]))
                _resume([(done, list(islice(outcomes, len(works)))) for works, done in group])

    def _next_group(self) -> tuple[list[_Order], bool]:
        """What has come in, at least one order, and whether more may come."""
        group: list[_Order] = []
        size = 0
        item = self._queue.get()
        with contextlib.suppress(Empty):
            while item is not None:
                group.append(item)
                size += len(item[0])
                if size >= LARGEST_GROUP:
                    break
                item = self._queue.get_nowait()
        return group, item is not None

    def _write(self, works: Sequence[Work]) -> list[Outcome]:
        try:
            self._check()
            self._connection.execute("BEGIN IMMEDIATE")
        except Exception as error:
            return [Outcome(error=error)] * len(works)
        try:
            return self._transaction(works)
        except Exception as error:
            if len(works) == 1:
                return [Outcome(error=error)]
        # One of them cannot be written, or the disk is full: each on its own finds out for itself.
        return [outcome for work in works for outcome in self._write([work])]

    def _transaction(self, works: Sequence[Work]) -> list[Outcome]:
        try:
            outcomes = [self._outcome(work) for work in works]
            self._connection.execute("COMMIT")
            return outcomes
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._rolled_back()
            raise

    def _outcome(self, work: Work) -> Outcome:
        try:
            return Outcome(work(self._connection))
        except StoreError as error:
            return Outcome(error=error)


def _resume(settled: Sequence[tuple[Future[Sequence[Outcome]], Sequence[Outcome]]]) -> None:
    by_loop: defaultdict[AbstractEventLoop, list[tuple[Future[Sequence[Outcome]], Sequence[Outcome]]]] = defaultdict(
        list
    )
    for done, outcomes in settled:
        by_loop[done.get_loop()].append((done, outcomes))
    for loop, some in by_loop.items():
        # A loop that has been closed meanwhile has nobody left to resume.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, some)


def _settle(settled: Sequence[tuple[_Done, Sequence[Outcome]]]) -> None:
    for done, outcomes in settled:
        if not done.done():
            done.set_result(outcomes)

"""A view of a store through which an engine sees some executions and their children, and nothing of the others.

An engine takes up everything that is open in its store. A process that has the functions of one workflow only must not
do that: it would fail the calls of all the others. So it works on this view. Owns which executions belong; everything
else is the store's own. It neither opens nor closes the store. Neighbours: ports.py, engine.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from treadle.errors import NotFound
from treadle.runtime.ports import Commit, Store, WaitRow
from treadle.runtime.watched import Watched

PAGE: Final = 1000


class Family(Watched):
    """The executions named with `add` and their descendants. `watch` sees each commit once it is durable."""

    def __init__(self, store: Store, watch: Callable[[Commit], None] = lambda commit: None) -> None:
        super().__init__(store, watch)
        self._member: dict[str, bool] = {}

    def add(self, arn: str) -> None:
        """An execution belongs."""
        self._member[arn] = True

    async def has(self, arn: str) -> bool:
        """Whether an execution belongs: it does where its parent does."""
        if arn not in self._member:
            try:
                parent = (await self._store.summary(arn)).parent
            except NotFound:
                return False
            self._member[arn] = parent is not None and await self.has(parent[0])
        return self._member[arn]

    # ---- what differs from the store -----------------------------------------------------------------------------

    async def open(self) -> None:
        """The store is open already."""

    async def close(self) -> None:
        """The store stays open."""

    async def open_calls(self, after: tuple[str, int] | None = None, limit: int = PAGE) -> list[WaitRow]:
        """Open waits to take up again."""
        while rows := await self._store.open_calls(after, limit):
            if found := [row for row in rows if await self.has(row.arn)]:
                return found
            after = rows[-1].arn, rows[-1].wait
        return []

    async def due(self, before: float, limit: int = PAGE, after: tuple[float, str, int] | None = None) -> list[WaitRow]:
        """Open waits whose moment is at or before another, the earliest first."""
        while rows := await self._store.due(before, PAGE, after):
            if found := [row for row in rows if await self.has(row.arn)]:
                return found[:limit]
            last = rows[-1]
            assert last.moment is not None, "the store gives rows that are due"
            after = last.moment, last.arn, last.wait
        return []

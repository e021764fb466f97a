"""The children that a map run never started because it failed or was stopped, told of one by one. AWS 'ResultWriter'.

First what the run has in hand, then what its reader still has: read page by page, told, and forgotten. Nothing of it
enters the run's journal, so a redrive reads it again. Must never change the run.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import cast

from treadle.errors import StatesError
from treadle.language.scope import Json
from treadle.machine.interpreter import Moment
from treadle.machine.journal import json_text
from treadle.machine.map_items import Backlog
from treadle.machine.map_run import MapRun
from treadle.runtime.ports import ItemPage

log = logging.getLogger("treadle.runtime")


class Unstarted:
    """What one map run leaves, counted as it is told."""

    def __init__(self, run: MapRun, pages: Callable[[int], AsyncIterator[ItemPage]] | None, moment: Moment) -> None:
        """`pages` reads the items after the first so many; None where nothing is read."""
        self._run, self._pages, self._moment = run, pages, moment
        self.children = 0
        self.items = 0

    async def records(self) -> AsyncIterator[Mapping[str, Json]]:
        """A record for each child: its input, as text. It has no name, for there is no execution."""
        self.children = self.items = 0
        backlog = self._run.backlog.copy()
        for each in self._drained(backlog):
            yield each
        if not backlog.more or self._pages is None:
            return
        # Every reader of the port is a generator, and holds files or connections until it is closed.
        pages = cast("AsyncGenerator[ItemPage, None]", self._pages(backlog.read))
        async with aclosing(pages):
            while backlog.more:
                try:
                    page = await anext(pages)
                except StopAsyncIteration:
                    backlog.add([], "", None, more=False)
                except StatesError as error:
                    # The run has failed in any case, and this is not why.
                    log.warning("what was not started of a map run cannot be read to its end: %s", error.cause)
                    return
                else:
                    keys = None if page.keys is None else list(page.keys)
                    backlog.add(list(page.items), page.source, keys, more=True)
                for each in self._drained(backlog):
                    yield each

    def _drained(self, backlog: Backlog) -> list[Mapping[str, Json]]:
        told: list[Mapping[str, Json]] = []
        for input, items in backlog.drain(self._run.settings, self._moment):
            self.children += 1
            self.items += items
            told.append({"Input": json_text(input), "InputDetails": {"Included": True}, "Status": "PENDING"})
        return told

"""What one map run reads and writes, when it wants to: pages of items, and in the end the results of its children.

Owns the reader while it stands between two pages. Must never decide what comes next: map_run.py does. Neighbours:
live_run.py, which asks; unstarted.py, for what a run that failed never came to.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from functools import partial
from typing import cast

from treadle.errors import StatesError
from treadle.language.scope import Json
from treadle.machine.interpreter import Moment
from treadle.machine.map_events import ItemsRead, ReadItems, ResultsWritten, WriteResults
from treadle.machine.map_results import Gathering
from treadle.machine.map_run import MapRun
from treadle.runtime.children import Children, output_of, record
from treadle.runtime.live import Host
from treadle.runtime.ports import ItemPage, ItemReader, MapResults, ResultWriter
from treadle.runtime.unstarted import Unstarted


class RunData:
    """The data of the map run `arn`. `reader` and `writer` are None where nothing here can read or write."""

    def __init__(
        self,
        host: Host,
        reader: ItemReader | None,
        writer: ResultWriter | None,
        run: MapRun,
        children: Children,
        arn: str,
    ) -> None:
        self._host, self._reader, self._writer = host, reader, writer
        self._run, self._children, self._arn = run, children, arn
        self._pages: AsyncIterator[ItemPage] | None = None

    async def read(self, command: ReadItems) -> ItemsRead:
        """The next page. Raises StatesError."""
        if self._reader is None:
            raise StatesError("States.ItemReaderFailed", f"Nothing here reads from {command.reader['resource']}.")
        if self._pages is None:
            self._pages = self._reader.pages(self._asked(command.reader), command.skip)
        try:
            page = await anext(self._pages)
        except StatesError:
            self._pages = None
            raise
        except StopAsyncIteration:
            self._pages = None
            return ItemsRead(command.wait, [], more=False)
        keys = None if page.keys is None else list(page.keys)
        return ItemsRead(command.wait, list(page.items), more=True, source=page.source, keys=keys)

    async def write(self, command: WriteResults, execution_arn: str, moment: Moment) -> ResultsWritten:
        """The results where the writer wants them, or gathered. Raises StatesError, StoreError."""
        writer, children = command.writer, self._children
        if writer is None or writer["resource"] is None:
            gathering = Gathering(self._run.plan.name, writer, self._host.limits)
            async for ends in children.results():
                gathering.add(ends.summary.status, output_of(ends), record(ends, self._host))
            return ResultsWritten(command.wait, gathering.output)
        if self._writer is None:
            raise StatesError("States.ResultWriterFailed", f"Nothing here writes to {writer['resource']}.")
        reader = self._run.settings.get("reader")
        rest = None
        if self._reader is not None and reader is not None:
            rest = partial(self._reader.pages, self._asked(reader))
        unstarted = Unstarted(self._run, rest, moment)

        async def records() -> AsyncIterator[Mapping[str, Json]]:
            async for each in children.records():
                yield each
            async for each in unstarted.records():
                yield each

        output = await self._writer.write(writer, MapResults(self._run.plan.name, self._arn, execution_arn, records))
        return ResultsWritten(command.wait, output, (unstarted.children, unstarted.items))

    def _asked(self, reader: Mapping[str, Json]) -> dict[str, Json]:
        return {**reader, "state": self._run.plan.name, "mapRunArn": self._arn}

    def interrupted(self) -> None:
        """Reading was cancelled: a reader that was interrupted cannot go on."""
        self._pages = None

    async def close(self) -> None:
        """Let go of what the reader holds."""
        pages, self._pages = self._pages, None
        if isinstance(pages, AsyncGenerator):
            await cast("AsyncGenerator[ItemPage, None]", pages).aclose()

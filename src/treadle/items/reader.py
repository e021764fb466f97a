"""The data sets of distributed Maps, for the event loop: pages of items, each read and decoded in a thread.

A page is read when it is asked for, so a map run that is busy makes nothing pile up. Reading again after a restart
gives the same items in the same order as long as the data set is the same; nothing is written.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Final

from treadle.errors import StatesError
from treadle.items.access import Access
from treadle.items.blocks import Block, paged
from treadle.items.data_sets import blocks
from treadle.items.objects import Fault
from treadle.language.scope import Json
from treadle.runtime.ports import ItemPage

MOST: Final = 100_000_000
"""AWS quota: the items of one map run."""


class _End:
    """No page follows."""


_END: Final = _End()


class DataSets:
    """Reads what ItemReader names, as `runtime.ports.ItemReader` asks."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def pages(self, reader: Mapping[str, Json], skip: int) -> AsyncGenerator[ItemPage, None]:
        """The items after the first `skip`. Close it where it is not read to its end. Raises States.ItemReaderFailed.

        What is skipped is not decoded: uncompressed bytes are read again at the speed of the disk or of S3, a listing
        takes a request per 1,000 objects, whole row groups of Parquet are jumped over.
        """
        source = paged(_blocks(self._access, reader), skip, most_items(reader.get("maxItems")))
        with self._access.lane() as lane:
            try:
                while not isinstance(page := await lane.run(lambda: _next(source)), _End):
                    if page is not None:
                        yield page
            finally:
                await lane.run(source.close)


def _blocks(access: Access, reader: Mapping[str, Json]) -> Iterator[Block]:
    yield from blocks(access, reader["resource"], reader.get("arguments"), reader.get("config"))


def _next(pages: Iterator[ItemPage | None]) -> ItemPage | _End | None:
    try:
        return next(pages, _END)
    except Fault as fault:
        raise StatesError("States.ItemReaderFailed", str(fault)) from None


def most_items(told: Json) -> int:
    """How many items MaxItems lets through; 0 stands for all. Raises States.ItemReaderFailed."""
    if told is None:
        return MOST
    if told < 0:
        # Observed on AWS.
        raise StatesError("States.ItemReaderFailed", "field MaxItems must be positive")
    return min(told, MOST) or MOST

"""Reads that are shared: few of them, none older than the question, none lost with who gave up."""

from __future__ import annotations

import asyncio

import pytest

from treadle.integrations.shared_reads import SharedReads


class Slow:
    """A place that is read in its own time; a read that is let go gives what stood there when it began."""

    def __init__(self) -> None:
        self.value, self.reads = 0, 0
        self.open = asyncio.Event()

    async def read(self, key: str) -> tuple[str, int]:
        self.reads += 1
        began_with = self.value
        await self.open.wait()
        if began_with < 0:
            raise ValueError(key)
        return key, began_with


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_many_who_ask_at_once_share_one_read_by_key() -> None:
    async def run() -> None:
        slow = Slow()
        reads = SharedReads(slow.read)
        asked = [asyncio.ensure_future(reads.get(key)) for key in "ab" * 50]
        await _turns()
        slow.open.set()
        assert await asyncio.gather(*asked) == [("a", 0), ("b", 0)] * 50
        assert slow.reads == 2

    asyncio.run(run())


def test_who_asks_after_a_write_does_not_get_what_was_read_before_it() -> None:
    async def run() -> None:
        slow = Slow()
        reads = SharedReads(slow.read)
        early = asyncio.ensure_future(reads.get("a"))
        await _turns()
        slow.value = 1
        late = [asyncio.ensure_future(reads.get("a")) for _ in range(10)]
        await _turns()
        slow.open.set()
        assert await early == ("a", 0)
        assert await asyncio.gather(*late) == [("a", 1)] * 10
        assert slow.reads == 2
        slow.value = 2
        assert await reads.get("a") == ("a", 2)

    asyncio.run(run())


def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    async def run() -> None:
        slow = Slow()
        reads = SharedReads(slow.read)
        first, second = asyncio.ensure_future(reads.get("a")), asyncio.ensure_future(reads.get("a"))
        await _turns()
        first.cancel()
        slow.open.set()
        assert await second == ("a", 0)

    asyncio.run(run())


def test_a_read_that_fails_fails_for_all_who_shared_it_and_for_nobody_after() -> None:
    async def run() -> None:
        slow = Slow()
        slow.value = -1
        slow.open.set()
        reads = SharedReads(slow.read)
        assert all(
            isinstance(each, ValueError)
            for each in await asyncio.gather(*(reads.get("a") for _ in range(3)), return_exceptions=True)
        )
        slow.value = 3
        assert await reads.get("a") == ("a", 3)
        with pytest.raises(ValueError, match="b"):
            slow.value = -1
            await reads.get("b")

    asyncio.run(run())

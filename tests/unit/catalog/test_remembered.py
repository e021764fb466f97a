from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from treadle.catalog.remembered import Remembered
from treadle.errors import Conflict
from treadle.runtime.ports import Document
from treadle.stores import MemoryStore

KIND = "state machine"


class Slow(MemoryStore):
    """A store that counts what it is asked, and answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.reads, self.writes = asyncio.Event(), asyncio.Event()
        self.reads.set()
        self.writes.set()

    async def document(self, kind: str, key: str) -> Document:
        self.asked.append(key)
        found = await super().document(kind, key)
        await self.reads.wait()
        return found

    async def put_documents(self, documents: Sequence[Document]) -> None:
        await super().put_documents(documents)
        await self.writes.wait()

    async def definition(self, digest: str) -> str:
        self.asked.append(digest)
        return await super().definition(digest)


def written(key: str, value: bytes, revision: int = 0) -> Document:
    return Document(kind=KIND, key=key, value=value, revision=revision)


def test_what_is_asked_again_is_not_read_again() -> None:
    async def check() -> None:
        store = Slow()
        view = Remembered(store).view
        await view.put_definition("d", "{}")
        await view.put_documents([written("a", b"1")])
        for _ in range(3):
            assert (await view.document(KIND, "a")).value == b"1"
            assert (await view.document(KIND, "none")).value is None
            assert await view.definition("d") == "{}"
        assert store.asked == ["a", "none", "d"]

    asyncio.run(check())


def test_a_write_is_seen_as_soon_as_it_is_acknowledged() -> None:
    async def check() -> None:
        view = Remembered(Slow()).view
        for revision in range(3):
            await view.put_documents([written("a", b"%d" % revision, revision)])
            assert await view.document(KIND, "a") == written("a", b"%d" % revision, revision + 1)
        await view.put_documents([Document(kind=KIND, key="a", revision=3)])
        assert (await view.document(KIND, "a")).value is None

    asyncio.run(check())


def test_a_read_that_a_write_overtook_is_not_remembered() -> None:
    async def check() -> None:
        store = Slow()
        view = Remembered(store).view
        store.reads.clear()
        reading = asyncio.create_task(view.document(KIND, "a"))
        await asyncio.sleep(0)
        await view.put_documents([written("a", b"1")])
        store.reads.set()
        assert (await reading).value is None
        assert (await view.document(KIND, "a")).value == b"1"

    asyncio.run(check())


def test_a_write_that_nobody_waits_for_any_more_counts_all_the_same() -> None:
    async def check() -> None:
        store = Slow()
        view = Remembered(store).view
        assert (await view.document(KIND, "a")).value is None
        store.writes.clear()
        writing = asyncio.create_task(view.put_documents([written("a", b"1")]))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        store.writes.set()
        while (found := await view.document(KIND, "a")).value is None:
            await asyncio.sleep(0)
        assert found == written("a", b"1", 1)

    asyncio.run(check())


def test_who_was_overtaken_by_another_write_reads_what_stands_there() -> None:
    async def check() -> None:
        store = Slow()
        view = Remembered(store).view
        assert (await view.document(KIND, "a")).revision == 0
        await store.put_documents([written("a", b"1")])  # as nobody does who has the view
        with pytest.raises(Conflict):
            await view.put_documents([written("a", b"2")])
        assert await view.document(KIND, "a") == written("a", b"1", 1)

    asyncio.run(check())


def test_no_more_is_remembered_than_there_is_room_for() -> None:
    async def check() -> None:
        store = Slow()
        view = Remembered(store, room=3000).view
        for key in "abc":
            await view.put_documents([written(key, bytes(1000))])
        for key in "ababca":
            await view.document(KIND, key)
        assert store.asked == ["a", "b", "c", "a"]

    asyncio.run(check())

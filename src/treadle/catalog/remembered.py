"""A view of a store that remembers what every start of an execution asks for: documents and definitions.

Right because a store has one process, and whoever holds this view makes every write of its documents through it. Must
never give what a write that was acknowledged has replaced. Everything else is the store's own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar, cast

from treadle.runtime.ports import Document, Store

K = TypeVar("K")
V = TypeVar("V")

_BESIDE: Final = 500
ROOM: Final = 1 << 24
"""Bytes of documents, and of definitions, that are remembered; those asked for last."""


class Remembered:
    """A store whose documents and definitions are read once. Use it on one event loop."""

    def __init__(self, store: Store, room: int = ROOM) -> None:
        self._store = store
        self._documents = _Shelf[tuple[str, str], Document](room)
        self._definitions = _Shelf[str, str](room)
        self._writes = 0  # a read that was under way during one may have seen what was before it

    @property
    def view(self) -> Store:
        """This view as a store: the methods that are not here are the store's."""
        return cast("Store", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def document(self, kind: str, key: str) -> Document:
        """A document as it is."""
        document = self._documents.get((kind, key))
        if document is None:
            writes = self._writes
            document = await self._store.document(kind, key)
            if writes == self._writes:
                self._documents.put((kind, key), document, len(document.value or b""))
        return document

    async def put_documents(self, documents: Sequence[Document]) -> None:
        """Write documents, all or none."""
        # Cancelled, it may be written all the same: what is remembered goes when the store has answered.
        await asyncio.shield(asyncio.ensure_future(self._written(documents)))

    async def _written(self, documents: Sequence[Document]) -> None:
        try:
            await self._store.put_documents(documents)
        finally:
            self._writes += 1
            for each in documents:
                self._documents.drop((each.kind, each.key))

    async def definition(self, digest: str) -> str:
        """The text of a definition, which never changes."""
        text = self._definitions.get(digest)
        if text is None:
            text = await self._store.definition(digest)
            self._definitions.put(digest, text, len(text))
        return text


class _Shelf(Generic[K, V]):
    """Values by key, as many as there is room for: those used last."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """A value, if it is here."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value of so many bytes, and what it takes beside them."""
        self.drop(key)
        self._values[key] = value, size + _BESIDE
        self._room -= size + _BESIDE
        while self._room < 0:
            self.drop(next(iter(self._values)))

    def drop(self, key: K) -> None:
        """Keep it no longer."""
        _, size = self._values.pop(key, (None, 0))
        self._room += size

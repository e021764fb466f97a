"""A view of a store that tells of what is durable: every commit, every document. Everything else is the store's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from treadle.runtime.ports import Commit, Document, Store


class Watched:
    """A store and who watches its commits and documents. Watchers must neither wait nor raise."""

    def __init__(
        self,
        store: Store,
        watch: Callable[[Commit], None],
        documents: Callable[[Sequence[Document]], None] = lambda written: None,
    ) -> None:
        self._store, self._watch, self._documents = store, watch, documents

    @property
    def view(self) -> Store:
        """This view as a store: the methods that are not here are the store's."""
        return cast("Store", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit_all(self, commits: Sequence[Commit]) -> Sequence[Exception | None]:
        """Write steps, each for itself."""
        outcomes = await self._store.commit_all(commits)
        for commit, error in zip(commits, outcomes, strict=True):
            if error is None:
                self._watch(commit)
        return outcomes

    async def put_documents(self, documents: Sequence[Document]) -> None:
        """Write documents together."""
        await self._store.put_documents(documents)
        self._documents(documents)

"""A view of a store in which some executions leave nothing before they have ended.

EXPRESS children of a map run live in memory: what ends with the process is run again. When one ends, its whole journal
is one commit, so what became of it can be looked up like that of any other child. Owns what such executions have
committed so far; everything else is the store's own. Neighbours: ports.py; engine.py, which works on this view.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from treadle.errors import Conflict, NotFound
from treadle.machine.journal import Entry
from treadle.runtime.ports import Commit, Store, Summary


@dataclass(slots=True)
class _Held:
    """An execution that has not ended. `before` is the length of the journal that its own will replace."""

    before: int
    summary: Summary | None = None
    entries: list[Entry] = field(default_factory=list[Entry])
    ending: Summary | None = None  # what a last commit brings, of which it is not known whether it is written


class Fleeting:
    """The executions named with `add` are held in memory until they end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, _Held] = {}

    @property
    def view(self) -> Store:
        """This view as a store: the methods that are not here are the store's."""
        return cast("Store", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def add(self, arn: str, before: int = 0) -> None:
        """An execution that is about to start is to be held. It replaces one with a journal of `before` entries."""
        self._held[arn] = _Held(before)

    def holds(self, arn: str) -> bool:
        """Whether an execution is held in memory."""
        return arn in self._held

    async def commit_all(self, commits: Sequence[Commit]) -> Sequence[Exception | None]:
        """Write steps, each for itself; the last one of an execution that was held brings all that came before."""
        outcomes: list[Exception | None] = [None] * len(commits)
        written: list[tuple[int, Commit]] = []
        for number, commit in enumerate(commits):
            held = self._held.get(commit.summary.arn)
            if held is None:
                written.append((number, commit))
            elif commit.expected != len(held.entries):
                outcomes[number] = Conflict(f"{commit.summary.arn} is not at entry {commit.expected}")
            elif commit.summary.status == "RUNNING":
                held.entries.extend(commit.entries)
                held.summary = commit.summary
            else:
                held.ending = commit.summary
                entries = [*held.entries, *commit.entries]
                written.append((number, Commit(held.before, entries, commit.summary, anew=held.before > 0)))
        if written:
            errors = await self._store.commit_all([commit for _, commit in written])
            for (number, commit), error in zip(written, errors, strict=True):
                outcomes[number] = error
                if error is None:
                    self._held.pop(commit.summary.arn, None)
        return outcomes

    async def summary(self, arn: str) -> Summary:
        """The summary of an execution."""
        held = self._held.get(arn)
        if held is not None and held.ending is not None and await self._has(held.ending):
            self._held.pop(arn, None)
            held = None
        if held is None:
            return await self._store.summary(arn)
        if held.summary is None:
            raise NotFound(f"There is no execution {arn}")
        return held.summary

    async def journal(self, arn: str) -> list[Entry]:
        """All entries of an execution."""
        held = self._held.get(arn)
        return await self._store.journal(arn) if held is None else list(held.entries)

    async def _has(self, summary: Summary) -> bool:
        """Whether a last commit that failed was written all the same."""
        with suppress(NotFound):
            return await self._store.summary(summary.arn) == summary
        return False

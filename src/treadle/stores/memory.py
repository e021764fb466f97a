"""A store that forgets everything with its process: the reference that every other store behaves like.

Owns nothing but dictionaries. Must never await in the middle of a method: that is what makes its commits atomic.
Neighbours: ports.py, whose Store it is; sqlite.py, its durable sibling.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import msgspec

from treadle.errors import Conflict, NotFound
from treadle.machine.commands import RunTask, Status
from treadle.machine.journal import Entry
from treadle.runtime.ports import Commit, Document, Ends, Page, Summary, WaitRow


@dataclass
class _Execution:
    number: int
    summary: Summary
    journal: list[Entry] = field(default_factory=list[Entry])
    waits: dict[int, WaitRow] = field(default_factory=dict[int, WaitRow])


class MemoryStore:
    """Keeps everything in this process, for tests and for trying things out; on one event loop."""

    def __init__(self) -> None:
        self._executions: dict[str, _Execution] = {}
        self._definitions: dict[str, str] = {}
        self._settings: dict[str, str] = {}
        self._documents: dict[tuple[str, str], Document] = {}
        self._children: defaultdict[str, dict[int, _Execution]] = defaultdict(dict)  # by map run and number
        self._numbers = count()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: opened again, this store has what it had."""

    async def commit_all(self, commits: Sequence[Commit]) -> Sequence[Exception | None]:
        """Write steps, each for itself."""
        return [self._commit(commit) for commit in commits]

    def _commit(self, commit: Commit) -> Conflict | None:
        arn = commit.summary.arn
        execution = self._executions.get(arn)
        # 0 is expected of an execution that does not exist, never of one that does.
        if (commit.expected == 0) != (execution is None) or (execution and len(execution.journal) != commit.expected):
            return Conflict(f"{arn} is not at entry {commit.expected}")
        if execution is None:
            execution = self._executions[arn] = _Execution(next(self._numbers), commit.summary)
            if (member := commit.summary.member) is not None and member.child is not None:
                self._children[member.run][member.child] = execution
        if commit.anew:
            execution.journal.clear()
        execution.journal.extend(commit.entries)
        execution.summary = commit.summary
        for wait in commit.closed:
            execution.waits.pop(wait, None)
        for row in commit.opened:
            execution.waits[row.wait] = row
        return None

    def forget(self, arn: str) -> None:
        """Keep an execution no longer."""
        self._executions.pop(arn, None)

    async def journal(self, arn: str) -> list[Entry]:
        """All entries of an execution."""
        return list(self._find(arn).journal)

    async def pieces(self, arn: str) -> AsyncIterator[list[Entry]]:
        """All entries of an execution, in one piece: it is in memory in any case."""
        yield list(self._find(arn).journal)

    async def summary(self, arn: str) -> Summary:
        """The summary of an execution."""
        return self._find(arn).summary

    async def executions(
        self,
        machine_arn: str | None = None,
        status: Status | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Executions, the newest first."""
        found = [
            each
            for each in self._executions.values()
            if each.summary.member is None
            and machine_arn in (None, each.summary.machine_arn)
            and status in (None, each.summary.status)
        ]
        found.sort(key=_newest)
        if after is not None:
            last = _newest(self._find(after))
            found = [each for each in found if _newest(each) > last]
        return _page(found, limit)

    async def children(
        self, map_run: str, status: Status | None = None, limit: int = 100, after: str | None = None
    ) -> Page:
        """The children of a map run, the last one first."""
        member = None if after is None else self._find(after).summary.member
        found = [
            each
            for child, each in sorted(self._children.get(map_run, {}).items(), reverse=True)
            if status in (None, each.summary.status)
            and (member is None or member.child is None or child < member.child)
        ]
        return _page(found, limit)

    async def results(self, map_run: str, first: int = 0, limit: int = 1000) -> list[Ends]:
        """The children of a map run, in the order of their numbers."""
        children = self._children.get(map_run, {})
        numbers = sorted(child for child in children if child >= first)[:limit]
        return [
            Ends(each.summary, each.journal[0], each.journal[-1]) for each in (children[child] for child in numbers)
        ]

    async def waits(self, arn: str) -> list[WaitRow]:
        """The open waits of an execution, in the order of their numbers."""
        return [row for _, row in sorted(self._find(arn).waits.items())]

    async def wait(self, arn: str, wait: int) -> WaitRow | None:
        """One open wait; None when it is not open."""
        execution = self._executions.get(arn)
        return None if execution is None else execution.waits.get(wait)

    async def due(self, before: float, limit: int = 1000, after: tuple[float, str, int] | None = None) -> list[WaitRow]:
        """Open waits whose moment is at or before another, the earliest first."""

        def due(row: WaitRow) -> bool:
            return row.moment is not None and row.moment <= before

        return self._listed(due, _moment, limit, after)

    async def open_calls(self, after: tuple[str, int] | None = None, limit: int = 1000) -> list[WaitRow]:
        """Open waits that a host must take up again."""

        def call(row: WaitRow) -> bool:
            return row.kind in ("call", "poll", "map_run")

        return self._listed(call, _always, limit, after and (0.0, *after))

    async def open_activities(self, topic: str, limit: int) -> list[WaitRow]:
        """Open waits for this topic that nobody has taken."""

        def offered(row: WaitRow) -> bool:
            return row.kind == "activity" and row.topic == topic and not taken(row)

        return self._listed(offered, _created, limit)

    async def open_callbacks(self, limit: int = 1000, after: tuple[str, int] | None = None) -> list[WaitRow]:
        """Open waits for people to answer."""

        def callback(row: WaitRow) -> bool:
            return row.kind == "callback"

        return self._listed(callback, _always, limit, after and (0.0, *after))

    async def heartbeat(self, arn: str, wait: int, due: float) -> bool:
        """Move a wait's `heartbeat_due`; False when the wait is not open."""
        row = await self.wait(arn, wait)
        if row is not None:
            self._executions[arn].waits[wait] = msgspec.structs.replace(row, heartbeat_due=due)
        return row is not None

    async def put_definition(self, digest: str, text: str) -> None:
        """Keep a definition under its digest."""
        self._definitions.setdefault(digest, text)

    async def definition(self, digest: str) -> str:
        """The text of a definition."""
        if digest not in self._definitions:
            raise NotFound(f"There is no definition {digest}")
        return self._definitions[digest]

    async def setting(self, name: str, initial: str) -> str:
        """A value kept under a name."""
        return self._settings.setdefault(name, initial)

    async def put_documents(self, documents: Sequence[Document]) -> None:
        """Write documents, all or none."""
        for each in documents:
            kept = self._documents.get((each.kind, each.key))
            if (kept.revision if kept else 0) != each.revision:
                raise Conflict(f"{each.kind} {each.key} is not at revision {each.revision}")
        for each in documents:
            if each.value is None:
                self._documents.pop((each.kind, each.key), None)
            else:
                self._documents[each.kind, each.key] = msgspec.structs.replace(each, revision=each.revision + 1)

    async def document(self, kind: str, key: str) -> Document:
        """A document as it is."""
        return self._documents.get((kind, key)) or Document(kind=kind, key=key)

    async def documents(self, kind: str, prefix: str = "", after: str = "", limit: int = 1000) -> list[Document]:
        """Documents of a kind in the order of their keys."""
        found = sorted(
            key for of, key in self._documents if of == kind and key.startswith(prefix) and (not after or key > after)
        )
        return [self._documents[kind, key] for key in found[:limit]]

    async def every(self) -> AsyncIterator[Summary]:
        """Every execution, the oldest first."""
        for execution in list(self._executions.values()):
            yield execution.summary

    def _find(self, arn: str) -> _Execution:
        if arn not in self._executions:
            raise NotFound(f"There is no execution {arn}")
        return self._executions[arn]

    def _listed(
        self,
        wanted: Callable[[WaitRow], bool],
        order: Callable[[WaitRow], float],
        limit: int,
        after: tuple[float, str, int] | None = None,
    ) -> list[WaitRow]:
        """A page of open waits by what `order` gives, then by the age of the execution, then by number."""
        last = after and (after[0], self._find(after[1]).number, after[2])
        found = sorted(
            ((order(row), execution.number, row.wait), row)
            for execution in self._executions.values()
            for row in execution.waits.values()
            if wanted(row)
        )
        return [row for key, row in found if last is None or key > last][:limit]


def _page(found: Sequence[_Execution], limit: int) -> Page:
    shown = [each.summary for each in found[:limit]]
    return Page(shown, shown[-1].arn if len(found) > limit else None)


def taken(row: WaitRow) -> bool:
    """Whether a worker has taken the activity that this row waits for."""
    return isinstance(row.command, RunTask) and row.command.phase != "scheduled"


def _newest(execution: _Execution) -> tuple[float, int]:
    return -execution.summary.started_at, -execution.number


def _moment(row: WaitRow) -> float:
    assert row.moment is not None
    return row.moment


def _created(row: WaitRow) -> float:
    return row.created_at


def _always(row: WaitRow) -> float:
    return 0.0

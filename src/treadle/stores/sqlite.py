"""The store in one SQLite file: durable, for one process at a time.

Owns how the file is opened and which thread does what: one writes, another one reads. Must never touch the disk on an
event loop. The tables are schema.py's, what is read is queries.py's, the rows of a commit are steps.py's, transactions
are group_commit.py's.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from treadle.errors import StoreError, Unavailable
from treadle.machine.commands import Status
from treadle.machine.journal import Entry
from treadle.runtime.ports import Commit, Document, Ends, Page, Summary, WaitRow
from treadle.stores import queries
from treadle.stores.encoding import seal
from treadle.stores.failures import failure
from treadle.stores.files import FileLock, Presence
from treadle.stores.group_commit import GroupCommit, Work
from treadle.stores.schema import migrate
from treadle.stores.steps import Steps, encoded, write_documents

T = TypeVar("T")

_BUSY_SECONDS: Final = 5.0
"""How long to wait for another program that holds the file, such as one that copies it."""

_KEPT_LOG: Final = 64 * 2**20
"""Bytes of write-ahead log that are kept for later when a large commit has made it longer."""

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Files:
    """What an open store works with."""

    steps: Steps
    writer: GroupCommit
    reader: ThreadPoolExecutor
    reading: sqlite3.Connection
    letting_go: ExitStack


class SqliteStore:
    """Keeps everything in the file at `path`, whose folder is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._files: _Files | None = None

    async def open(self) -> None:
        """Make ready, migrating an older schema."""
        assert self._files is None, "the store is open"
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Finish what was begun and let go. A store that is closed may be opened again."""
        files, self._files = self._files, None
        if files is not None:
            await asyncio.to_thread(_close, files)

    async def commit_all(self, commits: Sequence[Commit]) -> Sequence[Exception | None]:
        """Write steps, each for itself. Cancelled, they may be written all the same."""
        files = self._opened()
        works = [partial(files.steps.write, encoded(commit)) for commit in commits]
        return [self._failure(outcome.error) for outcome in await files.writer.do_all(works)]

    def _failure(self, error: Exception | None) -> Exception | None:
        return failure(error, self.path) if isinstance(error, sqlite3.Error) else error

    async def journal(self, arn: str) -> list[Entry]:
        """All entries of an execution."""
        return await self._read(lambda connection: queries.journal(connection, arn))

    async def pieces(self, arn: str) -> AsyncIterator[list[Entry]]:
        """All entries of an execution, as they were committed."""
        first = 0
        while entries := await self._read(lambda connection, first=first: queries.piece(connection, arn, first)):
            yield entries
            first += len(entries)

    async def summary(self, arn: str) -> Summary:
        """The summary of an execution."""
        return await self._read(lambda connection: queries.summary(connection, arn))

    async def executions(
        self,
        machine_arn: str | None = None,
        status: Status | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Executions, the newest first."""
        return await self._read(lambda connection: queries.executions(connection, machine_arn, status, limit, after))

    async def children(
        self, map_run: str, status: Status | None = None, limit: int = 100, after: str | None = None
    ) -> Page:
        """The children of a map run, the last one first."""
        return await self._read(lambda connection: queries.children(connection, map_run, status, limit, after))

    async def results(self, map_run: str, first: int = 0, limit: int = 1000) -> list[Ends]:
        """The children of a map run, in the order of their numbers."""
        return await self._read(lambda connection: queries.results(connection, map_run, first, limit))

    async def waits(self, arn: str) -> list[WaitRow]:
        """The open waits of an execution, in the order of their numbers."""
        return await self._read(lambda connection: queries.waits(connection, arn))

    async def wait(self, arn: str, wait: int) -> WaitRow | None:
        """One open wait; None when it is not open."""
        return await self._read(lambda connection: queries.wait(connection, arn, wait))

    async def due(self, before: float, limit: int = 1000, after: tuple[float, str, int] | None = None) -> list[WaitRow]:
        """Open waits whose moment is at or before `before`, the earliest first."""
        return await self._read(lambda connection: queries.due(connection, before, limit, after))

    async def open_calls(self, after: tuple[str, int] | None = None, limit: int = 1000) -> list[WaitRow]:
        """Open waits that a host must take up again, those of the oldest execution first."""
        return await self._read(lambda connection: queries.calls(connection, limit, after))

    async def open_activities(self, topic: str, limit: int) -> list[WaitRow]:
        """Open waits for this topic that nobody has taken yet, the oldest first."""
        return await self._read(lambda connection: queries.activities(connection, topic, limit))

    async def open_callbacks(self, limit: int = 1000, after: tuple[str, int] | None = None) -> list[WaitRow]:
        """Open waits for people to answer, those of the oldest execution first."""
        return await self._read(lambda connection: queries.callbacks(connection, limit, after))

    async def heartbeat(self, arn: str, wait: int, due: float) -> bool:
        """Move a wait's `heartbeat_due`; False when the wait is not open."""

        def write(connection: sqlite3.Connection) -> bool:
            where = "WHERE execution = (SELECT id FROM executions WHERE arn = ?) AND wait = ?"
            return connection.execute(f"UPDATE waits SET heartbeat_due = ? {where}", (due, arn, wait)).rowcount == 1

        return await self._write(write)

    async def put_definition(self, digest: str, text: str) -> None:
        """Keep a definition under its digest."""
        sealed = seal(text, digest)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO definitions VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, sealed))

        await self._write(write)

    async def definition(self, digest: str) -> str:
        """The text of a definition."""
        return await self._read(lambda connection: queries.definition(connection, digest))

    async def setting(self, name: str, initial: str) -> str:
        """A value kept for good under a name."""

        def write(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT INTO settings VALUES (?, ?) ON CONFLICT DO NOTHING", (name, initial))
            return connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()[0]

        return await self._write(write)

    async def put_documents(self, documents: Sequence[Document]) -> None:
        """Write documents, all or none."""
        sealed = [
            (each, None if each.value is None else seal(each.value, f"{each.kind} {each.key}")) for each in documents
        ]
        await self._write(lambda connection: write_documents(connection, sealed))

    async def document(self, kind: str, key: str) -> Document:
        """A document as it is."""
        return await self._read(lambda connection: queries.document(connection, kind, key))

    async def documents(self, kind: str, prefix: str = "", after: str = "", limit: int = 1000) -> list[Document]:
        """Documents of a kind in the order of their keys."""
        return await self._read(lambda connection: queries.documents(connection, kind, prefix, after, limit))

    async def every(self) -> AsyncIterator[Summary]:
        """Every execution, the oldest first."""
        last = 0
        while page := await self._read(lambda connection, last=last: queries.every(connection, last, _PAGE)):
            for _, summary in page:
                yield summary
            last = page[-1][0]

    # ---- files and threads ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        log, lock = (self.path.with_name(self.path.name + ending) for ending in ("-wal", ".lock"))
        steps = Steps()
        with ExitStack() as undo:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                undo.callback(FileLock(lock).release)
                writing = undo.enter_context(closing(_connect(self.path)))
                self._set_up(writing)
                reading = undo.enter_context(closing(_connect(self.path)))
                reading.execute("PRAGMA query_only = ON")
            except (sqlite3.Error, OSError) as error:
                raise failure(error, self.path) from error
            writer = GroupCommit(writing, Presence(self.path, log).check, steps.forget)
            reader = ThreadPoolExecutor(1, "treadle-store-reader")
            self._files = _Files(steps, writer, reader, reading, undo.pop_all())

    def _set_up(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise Unavailable(f"{self.path}: This file system has no shared memory: put the store on a local disk.")
        # In a write-ahead log, FULL is what makes each transaction survive a power cut.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_KEPT_LOG}")
        try:
            migrate(connection)
        except StoreError as error:
            raise type(error)(f"{self.path}: {error}") from error

    async def _write(self, work: Work) -> Any:
        try:
            return await self._opened().writer.do(work)
        except sqlite3.Error as error:
            raise failure(error, self.path) from error

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        files = self._opened()
        try:
            return await asyncio.get_running_loop().run_in_executor(files.reader, work, files.reading)
        except sqlite3.Error as error:
            raise failure(error, self.path) from error

    def _opened(self) -> _Files:
        if self._files is None:
            raise Unavailable(f"{self.path}: The store is not open.")
        return self._files


def _connect(path: Path) -> sqlite3.Connection:
    """A connection for whichever thread uses it, one at a time, with transactions made by hand."""
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _close(files: _Files) -> None:
    files.writer.close()
    files.reader.shutdown()
    files.letting_go.close()

"""The store in one SQLite file: durable, for one process at a time.

Owns what is read and how the file is opened. The tables are schema.py's, the rows of a commit steps.py's, transactions
group_commit.py's. Must never touch the disk on an event loop: one thread writes, another one reads.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from treadle.errors import Corrupt, NotFound, Unavailable
from treadle.machine.commands import Status
from treadle.machine.journal import Entry
from treadle.runtime.ports import Commit, Page, Summary, WaitRow
from treadle.stores.encoding import seal, unseal
from treadle.stores.failures import failure
from treadle.stores.group_commit import GroupCommit, Work
from treadle.stores.lock import FolderLock
from treadle.stores.schema import CALLBACKS, CALLS, OFFERED, migrate
from treadle.stores.steps import COMMANDS, Steps, command_place, encoded, entries_place

T = TypeVar("T")

_BUSY_SECONDS: Final = 5.0
"""How long to wait for another program that holds the file, such as one that copies it."""

_PAGE: Final = 1000

_WAITS: Final = """
    SELECT arn, wait, kind, topic, created_at, due, heartbeat_due, command
    FROM waits JOIN executions ON executions.id = waits.execution
"""
_DUE: Final = "WHERE moment <= ? AND (moment, execution, wait) > (?, ?, ?) ORDER BY moment, execution, wait LIMIT ?"


@dataclass(frozen=True, slots=True)
class _Files:
    """What an open store holds on to."""

    writer: GroupCommit
    reader: ThreadPoolExecutor
    reading: sqlite3.Connection
    letting_go: ExitStack


class SqliteStore:
    """Keeps everything in the file at `path`, whose folder is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._steps = Steps()
        self._files: _Files | None = None

    async def open(self) -> None:
        """Make ready, migrating the schema where it is older."""
        assert self._files is None, "the store is open"
        self._files = await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Finish what was begun and let go. A store that is closed may be opened again."""
        files, self._files = self._files, None
        if files is not None:
            await asyncio.to_thread(_close, files)

    async def commit(self, commit: Commit) -> None:
        """Write one step. Cancelled, it may be written all the same."""
        step = encoded(commit)
        await self._write(lambda connection: self._steps.write(connection, step))

    async def journal(self, arn: str) -> list[Entry]:
        """All entries of an execution."""
        return await self._read(lambda connection: _journal(connection, arn))

    async def summary(self, arn: str) -> Summary:
        """The summary of an execution."""
        return await self._read(lambda connection: _summary(connection, arn))

    async def executions(
        self,
        machine_arn: str | None = None,
        status: Status | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Executions, the newest first."""
        return await self._read(lambda connection: _executions(connection, machine_arn, status, limit, after))

    async def waits(self, arn: str) -> list[WaitRow]:
        """The open waits of an execution, in the order of their numbers."""

        def read(connection: sqlite3.Connection) -> list[WaitRow]:
            return _wait_rows(connection, "WHERE execution = ? ORDER BY wait", _key(connection, arn))

        return await self._read(read)

    async def wait(self, arn: str, wait: int) -> WaitRow | None:
        """One open wait; None when it is not open."""

        def read(connection: sqlite3.Connection) -> WaitRow | None:
            return next(iter(_wait_rows(connection, "WHERE arn = ? AND wait = ?", arn, wait)), None)

        return await self._read(read)

    async def due(self, before: float, limit: int = 1000, after: tuple[float, str, int] | None = None) -> list[WaitRow]:
        """Open waits whose moment is at or before `before`, the earliest first."""

        def read(connection: sqlite3.Connection) -> list[WaitRow]:
            last = (-math.inf, 0, 0) if after is None else (after[0], _key(connection, after[1]), after[2])
            return _wait_rows(connection, _DUE, before, *last, limit)

        return await self._read(read)

    async def open_calls(self, after: tuple[str, int] | None = None, limit: int = 1000) -> list[WaitRow]:
        """Open waits that a host must take up again, those of the oldest execution first."""
        return await self._read(lambda connection: _kind_of_waits(connection, CALLS, after, limit))

    async def open_activities(self, topic: str, limit: int) -> list[WaitRow]:
        """Open waits for this topic that nobody has taken yet, the oldest first."""

        def read(connection: sqlite3.Connection) -> list[WaitRow]:
            where = f"WHERE {OFFERED} AND topic = ? ORDER BY created_at, execution, wait LIMIT ?"
            return _wait_rows(connection, where, topic, limit)

        return await self._read(read)

    async def open_callbacks(self, limit: int = 1000, after: tuple[str, int] | None = None) -> list[WaitRow]:
        """Open waits for people to answer, those of the oldest execution first."""
        return await self._read(lambda connection: _kind_of_waits(connection, CALLBACKS, after, limit))

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

        def read(connection: sqlite3.Connection) -> str:
            row = connection.execute("SELECT text FROM definitions WHERE digest = ?", (digest,)).fetchone()
            if row is None:
                raise NotFound(f"There is no definition {digest}")
            return _unsealed(str, row[0], digest, f"the definition {digest}")

        return await self._read(read)

    async def setting(self, name: str, initial: str) -> str:
        """A value kept for good under a name."""

        def write(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT INTO settings VALUES (?, ?) ON CONFLICT DO NOTHING", (name, initial))
            return connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()[0]

        return await self._write(write)

    async def every(self) -> AsyncIterator[Summary]:
        """Every execution, the oldest first."""
        last = 0
        while page := await self._read(lambda connection, last=last: _page_of_all(connection, last)):
            for _, summary in page:
                yield summary
            last = page[-1][0]

    # ---- threads -------------------------------------------------------------------------------------------------

    def _open(self) -> _Files:
        with ExitStack() as undo:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                lock = FolderLock(self.path.with_name(self.path.name + ".lock"))
                undo.callback(lock.release)
                writing = undo.enter_context(closing(_connect(self.path)))
                writing.execute("PRAGMA journal_mode = WAL")
                # With WAL, FULL is what makes each transaction survive a power cut.
                writing.execute("PRAGMA synchronous = FULL")
                migrate(writing)
                reading = undo.enter_context(closing(_connect(self.path)))
                reading.execute("PRAGMA query_only = ON")
            except (sqlite3.Error, OSError) as error:
                raise failure(error, self.path) from error
            letting_go = undo.pop_all()
        reader = ThreadPoolExecutor(1, "treadle-store-reader")
        return _Files(GroupCommit(writing, self._steps.forget), reader, reading, letting_go)

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


# ---- reading, in the reader's thread -----------------------------------------------------------------------------


def _unsealed(type_: type[T], blob: bytes, place: str, what: str) -> T:
    try:
        return unseal(type_, blob, place)
    except ValueError as error:
        raise Corrupt(f"The store holds {what} damaged: {error}") from error


def _key(connection: sqlite3.Connection, arn: str) -> int:
    row = connection.execute("SELECT id FROM executions WHERE arn = ?", (arn,)).fetchone()
    if row is None:
        raise NotFound(f"There is no execution {arn}")
    return row[0]


def _summary(connection: sqlite3.Connection, arn: str) -> Summary:
    row = connection.execute("SELECT summary FROM executions WHERE arn = ?", (arn,)).fetchone()
    if row is None:
        raise NotFound(f"There is no execution {arn}")
    return _summary_of(arn, row[0])


def _summary_of(arn: str, blob: bytes) -> Summary:
    return _unsealed(Summary, blob, arn, f"the summary of {arn}")


def _journal(connection: sqlite3.Connection, arn: str) -> list[Entry]:
    # One statement, so that length and rows belong to the same moment.
    rows = connection.execute(
        "SELECT length, journal.rowid, first, count, entries"
        " FROM executions LEFT JOIN journal ON journal.execution = executions.id WHERE arn = ? ORDER BY first",
        (arn,),
    ).fetchall()
    if not rows:
        raise NotFound(f"There is no execution {arn}")
    length = rows[0][0]
    entries: list[Entry] = []
    for _, row, first, count, blob in rows:
        if row is None:
            continue
        what = f"the journal of {arn} in row {row} (entries {first} to {first + count - 1})"
        if first != len(entries):
            raise Corrupt(f"The store lacks entry {len(entries)} of {arn}: the next row is {row}, with entry {first}")
        entries += _unsealed(list[Entry], blob, entries_place(arn, first), what)
        if len(entries) != first + count:
            raise Corrupt(f"The store holds {what} damaged: there are {len(entries) - first}")
    if len(entries) != length:
        raise Corrupt(f"The store lacks the end of {arn}: there are {len(entries)} entries of {length}")
    return entries


def _executions(
    connection: sqlite3.Connection, machine_arn: str | None, status: str | None, limit: int, after: str | None
) -> Page:
    conditions: list[str] = []
    values: list[Any] = []
    if machine_arn is not None:
        conditions.append("machine = (SELECT id FROM machines WHERE arn = ?)")
        values.append(machine_arn)
    if status is not None:
        conditions.append("status = ?")
        values.append(status)
    if after is not None:
        last = connection.execute("SELECT started_at, id FROM executions WHERE arn = ?", (after,)).fetchone()
        if last is None:
            raise NotFound(f"There is no execution {after}")
        conditions.append("(started_at, id) < (?, ?)")
        values += last
    where = "WHERE " + " AND ".join(conditions) if conditions else ""
    rows = connection.execute(
        f"SELECT arn, summary FROM executions {where} ORDER BY started_at DESC, id DESC LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    summaries = [_summary_of(*row) for row in rows[:limit]]
    return Page(summaries, summaries[-1].arn if len(rows) > limit else None)


def _page_of_all(connection: sqlite3.Connection, last: int) -> list[tuple[int, Summary]]:
    rows = connection.execute(
        "SELECT id, arn, summary FROM executions WHERE id > ? ORDER BY id LIMIT ?", (last, _PAGE)
    ).fetchall()
    return [(key, _summary_of(arn, blob)) for key, arn, blob in rows]


def _kind_of_waits(
    connection: sqlite3.Connection, condition: str, after: tuple[str, int] | None, limit: int
) -> list[WaitRow]:
    last = (0, 0) if after is None else (_key(connection, after[0]), after[1])
    where = f"WHERE {condition} AND (execution, wait) > (?, ?) ORDER BY execution, wait LIMIT ?"
    return _wait_rows(connection, where, *last, limit)


def _wait_rows(connection: sqlite3.Connection, where: str, *values: Any) -> list[WaitRow]:
    return [_wait_row(*row) for row in connection.execute(_WAITS + where, values)]


def _wait_row(
    arn: str,
    wait: int,
    kind: Any,
    topic: str | None,
    created_at: float,
    due: float | None,
    heartbeat_due: float | None,
    command: bytes,
) -> WaitRow:
    return WaitRow(
        arn=arn,
        wait=wait,
        kind=kind,
        command=_unsealed(COMMANDS[kind], command, command_place(arn, wait), f"wait {wait} of {arn}"),
        due=due,
        heartbeat_due=heartbeat_due,
        topic=topic,
        created_at=created_at,
    )

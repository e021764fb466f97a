"""What is read from a SQLite store: each query with the rows that it gives.

Owns all SELECTs that give something to a caller. Must never look at rows that it does not give: the conditions of
partial indexes come from schema.py, and a test counts the steps. Neighbours: steps.py, which wrote the rows; sqlite.py.
"""

from __future__ import annotations

import math
import sqlite3
from typing import Any, Final, TypeVar

import msgspec

from treadle.errors import Corrupt, NotFound
from treadle.machine.journal import Entry
from treadle.runtime.ports import Document, Ends, Page, Summary, WaitRow
from treadle.stores.encoding import unseal
from treadle.stores.schema import CALLBACKS, CALLS, CHILDREN, LISTED, OFFERED
from treadle.stores.steps import COMMANDS, LENGTH, command_place, entries_place

T = TypeVar("T")

_WAITS: Final = """
    SELECT arn, wait, kind, topic, created_at, due, heartbeat_due, command
    FROM waits JOIN executions ON executions.id = waits.execution
"""


_OF_RUN: Final = "run = (SELECT id FROM machines WHERE arn = ?)"


def summary(connection: sqlite3.Connection, arn: str) -> Summary:
    """The summary of an execution. Raises NotFound, Corrupt."""
    return _summary(arn, *_execution(connection, f"summary, {LENGTH}", arn))


def journal(connection: sqlite3.Connection, arn: str) -> list[Entry]:
    """All entries of an execution. Raises NotFound, Corrupt."""
    # One statement, so that all belongs to the same moment. The number of a wait is that of the entry that opened it.
    rows = connection.execute(
        "SELECT max(least, ifnull((SELECT max(wait) FROM waits WHERE execution = id), 0)), journal.rowid, first, count,"
        " entries FROM executions LEFT JOIN journal ON journal.execution = executions.id WHERE arn = ? ORDER BY first",
        (arn,),
    ).fetchall()
    if not rows:
        raise NotFound(f"There is no execution {arn}")
    entries: list[Entry] = []
    for _, row, first, count, blob in rows:
        if row is None:
            break
        what = f"row {row} of the journal of {arn} (entry {first}, {count} in all)"
        if first != len(entries):
            raise Corrupt(f"The store lacks entry {len(entries)} of {arn}: next comes {what}")
        entries += _unsealed(list[Entry], blob, entries_place(arn, first), what)
        if len(entries) != first + count:
            raise Corrupt(f"The store holds {what} damaged: there are {len(entries) - first}")
    if len(entries) < rows[0][0]:
        raise Corrupt(f"The store lacks the end of {arn}: there are {len(entries)} entries of {rows[0][0]}")
    return entries


def executions(
    connection: sqlite3.Connection, machine_arn: str | None, status: str | None, limit: int, after: str | None
) -> Page:
    """Executions, the newest first: those that started last, or were committed last at the same moment."""
    conditions: dict[str, tuple[Any, ...]] = {}
    if machine_arn is not None:
        conditions["machine = (SELECT id FROM machines WHERE arn = ?)"] = (machine_arn,)
    if status is not None:
        conditions["status = ?"] = (status,)
    if after is not None:
        conditions["(started_at, id) < (?, ?)"] = _execution(connection, "started_at, id", after)
    return _listed(connection, {LISTED: (), **conditions}, "started_at DESC, id DESC", limit)


def children(connection: sqlite3.Connection, run: str, status: str | None, limit: int, after: str | None) -> Page:
    """The children of a map run, the last one first."""
    conditions: dict[str, tuple[Any, ...]] = {CHILDREN: (), _OF_RUN: (run,)}
    if status is not None:
        conditions["status = ?"] = (status,)
    if after is not None:
        conditions["child < ?"] = _execution(connection, "child", after)
    return _listed(connection, conditions, "child DESC", limit)


def _listed(connection: sqlite3.Connection, conditions: dict[str, tuple[Any, ...]], order: str, limit: int) -> Page:
    rows = connection.execute(
        f"SELECT arn, summary, {LENGTH} FROM executions WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?",
        (*(value for values in conditions.values() for value in values), limit + 1),
    ).fetchall()
    summaries = [_summary(*row) for row in rows[:limit]]
    return Page(summaries, summaries[-1].arn if len(rows) > limit else None)


def results(connection: sqlite3.Connection, run: str, first: int, limit: int) -> list[Ends]:
    """Children of a map run with the ends of their journals, in the order of their numbers. Raises Corrupt."""
    rows = connection.execute(
        "SELECT arn, summary, end.first + end.count, begin.first, begin.entries, end.first, end.entries FROM executions"
        " JOIN journal AS begin ON begin.execution = id AND begin.first = 0"
        " JOIN journal AS end ON end.execution = id"
        " AND end.first = (SELECT max(first) FROM journal WHERE execution = id)"
        f" WHERE {CHILDREN} AND {_OF_RUN} AND child >= ? ORDER BY child LIMIT ?",
        (run, first, limit),
    )
    return [_ends(*row) for row in rows]


def _ends(arn: str, summary: bytes, length: int, begin: int, head: bytes, end: int, tail: bytes) -> Ends:
    entries = _piece(arn, begin, head)
    last = entries[-1] if end == begin else _piece(arn, end, tail)[-1]
    return Ends(_summary(arn, summary, length), entries[0], last)


def piece(connection: sqlite3.Connection, arn: str, first: int) -> list[Entry]:
    """The entries of the commit whose first one is number `first`; none at the end. Raises NotFound, Corrupt."""
    key, length = _execution(connection, f"id, {LENGTH}", arn)
    if first == length:
        return []
    row = connection.execute("SELECT entries FROM journal WHERE execution = ? AND first = ?", (key, first)).fetchone()
    if row is None:
        raise Corrupt(f"The store lacks entry {first} of {arn}, which has {length}")
    return _piece(arn, first, row[0])


def _piece(arn: str, first: int, blob: bytes) -> list[Entry]:
    return _unsealed(list[Entry], blob, entries_place(arn, first), f"the journal of {arn} from entry {first} on")


def every(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, Summary]]:
    """Executions in the order of their keys, with their keys."""
    rows = connection.execute(
        f"SELECT id, arn, summary, {LENGTH} FROM executions WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
    ).fetchall()
    return [(key, _summary(*row)) for key, *row in rows]


def waits(connection: sqlite3.Connection, arn: str) -> list[WaitRow]:
    """The open waits of an execution, in the order of their numbers. Raises NotFound."""
    return _rows(connection, "WHERE execution = ? ORDER BY wait", *_execution(connection, "id", arn))


def wait(connection: sqlite3.Connection, arn: str, wait: int) -> WaitRow | None:
    """One open wait; None when it is not open."""
    return next(iter(_rows(connection, "WHERE arn = ? AND wait = ?", arn, wait)), None)


def due(
    connection: sqlite3.Connection, before: float, limit: int, after: tuple[float, str, int] | None
) -> list[WaitRow]:
    """Open waits whose moment is at or before `before`, the earliest first."""
    last = (-math.inf, 0, 0) if after is None else (after[0], *_execution(connection, "id", after[1]), after[2])
    where = "WHERE moment <= ? AND (moment, execution, wait) > (?, ?, ?) ORDER BY moment, execution, wait LIMIT ?"
    return _rows(connection, where, before, *last, limit)


def calls(connection: sqlite3.Connection, limit: int, after: tuple[str, int] | None) -> list[WaitRow]:
    """Open waits that a host must take up again, those of the oldest execution first."""
    return _page(connection, CALLS, limit, after)


def callbacks(connection: sqlite3.Connection, limit: int, after: tuple[str, int] | None) -> list[WaitRow]:
    """Open waits for people to answer, those of the oldest execution first."""
    return _page(connection, CALLBACKS, limit, after)


def activities(connection: sqlite3.Connection, topic: str, limit: int) -> list[WaitRow]:
    """Open waits for this topic that nobody has taken yet, the oldest first."""
    where = f"WHERE {OFFERED} AND topic = ? ORDER BY created_at, execution, wait LIMIT ?"
    return _rows(connection, where, topic, limit)


def definition(connection: sqlite3.Connection, digest: str) -> str:
    """The text of a definition. Raises NotFound, Corrupt."""
    row = connection.execute("SELECT text FROM definitions WHERE digest = ?", (digest,)).fetchone()
    if row is None:
        raise NotFound(f"There is no definition {digest}")
    return _unsealed(str, row[0], digest, f"the definition {digest}")


def document(connection: sqlite3.Connection, kind: str, key: str) -> Document:
    """A document as it is. Raises Corrupt."""
    row = connection.execute("SELECT value, revision FROM documents WHERE kind = ? AND key = ?", (kind, key)).fetchone()
    return Document(kind=kind, key=key) if row is None else _document(kind, key, *row)


def documents(connection: sqlite3.Connection, kind: str, prefix: str, after: str, limit: int) -> list[Document]:
    """Documents of a kind in the order of their keys, which SQLite compares byte by byte. Raises Corrupt."""
    # Every key with the prefix lies between the prefix and the prefix followed by the last code point.
    rows = connection.execute(
        "SELECT key, value, revision FROM documents WHERE kind = ? AND key >= ? AND key < ? AND key > ?"
        " ORDER BY key LIMIT ?",
        (kind, prefix, prefix + chr(0x10FFFF), after, limit),
    ).fetchall()
    return [_document(kind, *row) for row in rows]


def _document(kind: str, key: str, value: bytes, revision: int) -> Document:
    content = _unsealed(bytes, value, f"{kind} {key}", f"the document {kind} {key}")
    return Document(kind=kind, key=key, value=content, revision=revision)


def _execution(connection: sqlite3.Connection, columns: str, arn: str) -> tuple[Any, ...]:
    row = connection.execute(f"SELECT {columns} FROM executions WHERE arn = ?", (arn,)).fetchone()
    if row is None:
        raise NotFound(f"There is no execution {arn}")
    return row


def _page(connection: sqlite3.Connection, condition: str, limit: int, after: tuple[str, int] | None) -> list[WaitRow]:
    last = (0, 0) if after is None else (*_execution(connection, "id", after[0]), after[1])
    where = f"WHERE {condition} AND (execution, wait) > (?, ?) ORDER BY execution, wait LIMIT ?"
    return _rows(connection, where, *last, limit)


def _rows(connection: sqlite3.Connection, where: str, *values: Any) -> list[WaitRow]:
    return [_row(*row) for row in connection.execute(_WAITS + where, values)]


def _row(
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


def _summary(arn: str, blob: bytes, length: int) -> Summary:
    summary = _unsealed(Summary, blob, arn, f"the summary of {arn}")
    return summary if summary.length == length else msgspec.structs.replace(summary, length=length)


def _unsealed(type_: type[T], blob: bytes, place: str, what: str) -> T:
    try:
        return unseal(type_, blob, place)
    except ValueError as error:
        raise Corrupt(f"The store holds {what} damaged: {error}") from error

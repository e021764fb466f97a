"""A commit as rows: its entries and waits encoded where it is made, its summary only where it is written, by the thread
that writes.

Owns the conditional write that detects conflicts. Must never write anything of a commit that conflicts.
Neighbours: sqlite.py, which reads these rows back; group_commit.py, whose thread calls `Steps.write`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from treadle.errors import Conflict
from treadle.machine.commands import RunTask, StartMapRun, StartTimer, Wait
from treadle.runtime.ports import Commit, Document, Summary, WaitKind, WaitRow
from treadle.stores.encoding import seal

COMMANDS: Final[dict[WaitKind, type[Wait]]] = {
    "call": RunTask,
    "poll": RunTask,
    "callback": RunTask,
    "activity": RunTask,
    "timer": StartTimer,
    "map_run": StartMapRun,
}
"""What is waited for, by kind."""

_REMEMBERED: Final = 10_000
"""How many executions' positions are held in memory: those that are being worked on."""

_INSERT: Final = """
    INSERT INTO executions (arn, machine, status, started_at, least, summary, run, child)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""

LENGTH: Final = "ifnull((SELECT first + count FROM journal WHERE execution = id ORDER BY first DESC LIMIT 1), 0)"
"""How many entries the journal of an execution has; its summary tells how many there were when it was written."""

_OPEN: Final = """
    INSERT OR REPLACE INTO waits (execution, wait, kind, topic, taken, created_at, due, heartbeat_due, command)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

_REPLACE: Final = """
    UPDATE OR REPLACE waits
    SET wait = ?, kind = ?, topic = ?, taken = ?, created_at = ?, due = ?, heartbeat_due = ?, command = ?
    WHERE execution = ? AND wait = ?
"""

_WaitValues: TypeAlias = tuple[int, str, str | None, bool, float, float | None, float | None, bytes]


def entries_place(arn: str, first: int) -> str:
    """What the entries of a commit are sealed with."""
    return f"{arn} entry {first}"


def command_place(arn: str, wait: int) -> str:
    """What the command of a wait is sealed with."""
    return f"{arn} wait {wait}"


class Step(msgspec.Struct, frozen=True, gc=False):
    """A commit, with what is large in it encoded."""

    expected: int
    count: int
    summary: Summary
    sealed_entries: bytes
    opened: Sequence[_WaitValues]
    closed: Sequence[int]
    anew: bool


def encoded(commit: Commit) -> Step:
    """The step that writes this commit."""
    summary, count = commit.summary, len(commit.entries)
    first = 0 if commit.anew else commit.expected
    assert summary.length == first + count, "the summary has another length than the journal"
    return Step(
        commit.expected,
        count,
        summary,
        seal(commit.entries, entries_place(summary.arn, first)),
        [_wait_values(row) for row in commit.opened],
        commit.closed,
        commit.anew,
    )


def _wait_values(row: WaitRow) -> _WaitValues:
    command = row.command
    assert isinstance(command, COMMANDS[row.kind]), f"a {row.kind} does not wait for {command}"
    return (
        row.wait,
        row.kind,
        row.topic,
        isinstance(command, RunTask) and command.phase != "scheduled",
        row.created_at,
        row.due,
        row.heartbeat_due,
        seal(command, command_place(row.arn, row.wait)),
    )


class _Position(msgspec.Struct, frozen=True, gc=False):
    """Where an execution stands: its key, the length of its journal, and its summary as it was written last."""

    key: int
    length: int
    summary: Summary | None = None


class Steps:
    """Writes steps. Remembers positions, since nobody else writes to the store."""

    def __init__(self) -> None:
        self._positions: dict[str, _Position] = {}
        self._machines: dict[str, int] = {}

    def forget(self) -> None:
        """What was written last came to nothing."""
        self._positions.clear()
        self._machines.clear()

    def write(self, step: Step, connection: sqlite3.Connection) -> None:
        """Write one step. Raises Conflict, having written nothing."""
        summary = step.summary
        position = self._position(connection, summary.arn)
        # 0 is expected of an execution that does not exist, never of one that does.
        if (step.expected == 0) != (position is None) or (position and position.length != step.expected):
            raise Conflict(f"{summary.arn} is not at entry {step.expected}")
        if position is None:
            key = self._insert(connection, summary)
            written = summary
        else:
            key, written = position.key, self._update(connection, position, summary)
        if step.anew:
            connection.execute("DELETE FROM journal WHERE execution = ?", (key,))
        if step.count:
            first = 0 if step.anew else step.expected
            connection.execute("INSERT INTO journal VALUES (?, ?, ?, ?)", (key, first, step.count, step.sealed_entries))
        _write_waits(connection, key, step.closed, step.opened)
        self._remember(summary.arn, _Position(key, summary.length, written))

    def _position(self, connection: sqlite3.Connection, arn: str) -> _Position | None:
        if remembered := self._positions.get(arn):
            return remembered
        row = connection.execute(f"SELECT id, {LENGTH} FROM executions WHERE arn = ?", (arn,)).fetchone()
        return row and _Position(*row)

    def _remember(self, arn: str, position: _Position) -> None:
        # The one that was written longest ago goes first.
        self._positions.pop(arn, None)
        self._positions[arn] = position
        if len(self._positions) > _REMEMBERED:
            del self._positions[next(iter(self._positions))]

    def _insert(self, connection: sqlite3.Connection, summary: Summary) -> int:
        machine = self._machine(connection, summary.machine_arn)
        member = summary.member
        place = (None, None) if member is None else (self._machine(connection, member.run), member.child)
        sealed = seal(summary, summary.arn)
        cursor = connection.execute(
            _INSERT, (summary.arn, machine, summary.status, summary.started_at, summary.length, sealed, *place)
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _update(self, connection: sqlite3.Connection, position: _Position, summary: Summary) -> Summary:
        """Write a summary, unless the one that stands there differs in its length only; gives what stands there."""
        length, status, before = summary.length, summary.status, position.summary
        if before is None or before.status != status:
            connection.execute(
                "UPDATE executions SET least = ?, summary = ?, status = ? WHERE id = ?",
                (length, seal(summary, summary.arn), status, position.key),
            )
        elif msgspec.structs.replace(before, length=length) != summary:
            # Not naming the status spares the indexes that have it.
            connection.execute(
                "UPDATE executions SET least = ?, summary = ? WHERE id = ?",
                (length, seal(summary, summary.arn), position.key),
            )
        else:
            return before
        return summary

    def _machine(self, connection: sqlite3.Connection, arn: str) -> int:
        if arn not in self._machines:
            connection.execute("INSERT INTO machines (arn) VALUES (?) ON CONFLICT DO NOTHING", (arn,))
            (self._machines[arn],) = connection.execute("SELECT id FROM machines WHERE arn = ?", (arn,)).fetchone()
        return self._machines[arn]


def _write_waits(
    connection: sqlite3.Connection, key: int, closed: Sequence[int], opened: Sequence[_WaitValues]
) -> None:
    """Write which waits are open."""
    one = len(closed) == len(opened) == 1
    # A task follows a task: one row takes the place of another.
    if one and connection.execute(_REPLACE, (*opened[0], key, closed[0])).rowcount:
        return
    for wait in closed:
        connection.execute("DELETE FROM waits WHERE execution = ? AND wait = ?", (key, wait))
    for values in opened:
        connection.execute(_OPEN, (key, *values))


def write_documents(connection: sqlite3.Connection, sealed: Sequence[tuple[Document, bytes | None]]) -> None:
    """Write documents whose values are sealed. Raises Conflict, having written nothing."""
    for each, _ in sealed:
        row = connection.execute(
            "SELECT revision FROM documents WHERE kind = ? AND key = ?", (each.kind, each.key)
        ).fetchone()
        if (row[0] if row else 0) != each.revision:
            raise Conflict(f"{each.kind} {each.key} is not at revision {each.revision}")
    for each, value in sealed:
        if value is None:
            connection.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (each.kind, each.key))
        else:
            connection.execute(
                "INSERT OR REPLACE INTO documents (kind, key, revision, value) VALUES (?, ?, ?, ?)",
                (each.kind, each.key, each.revision + 1, value),
            )

"""The tables of the SQLite store and how older ones become newer ones.

Owns all DDL. A migration, once released, is never edited: a change of a table is one more migration at the end.
Executions have integer keys inside; ARNs are mapped once. Neighbours: sqlite.py, the only one who queries the tables.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from treadle.errors import Corrupt, StoreError

APPLICATION_ID: Final = 0x7472646C
"""What tells a store's file from any other SQLite database ("trdl")."""

CALLS: Final = "kind IN ('call', 'map_run', 'poll')"
CHILDREN: Final = "child IS NOT NULL"
LISTED: Final = "run IS NULL"
CALLBACKS: Final = "kind = 'callback'"
OFFERED: Final = "kind = 'activity' AND taken = 0"
"""The conditions of partial indexes. SQLite uses such an index only for a query that has the same words."""

_FIRST: Final = (
    # `machine` is a number of `machines`. `summary` is the whole Summary, sealed; the other columns are for finding.
    "CREATE TABLE machines (id INTEGER PRIMARY KEY, arn TEXT NOT NULL UNIQUE)",
    """CREATE TABLE executions (
        id INTEGER PRIMARY KEY,
        arn TEXT NOT NULL UNIQUE,
        machine INTEGER NOT NULL REFERENCES machines,
        status TEXT NOT NULL,
        started_at REAL NOT NULL,
        length INTEGER NOT NULL,
        summary BLOB NOT NULL
    )""",
    "CREATE INDEX executions_by_age ON executions (started_at)",
    "CREATE INDEX executions_by_status ON executions (status, started_at)",
    "CREATE INDEX executions_by_machine ON executions (machine, started_at)",
    "CREATE INDEX executions_by_machine_and_status ON executions (machine, status, started_at)",
    # One row per commit: `count` entries, the first of which is number `first` of its execution, counted from 0.
    # A rowid table: new blobs go to the end of the file, however many executions take turns.
    """CREATE TABLE journal (
        execution INTEGER NOT NULL REFERENCES executions,
        first INTEGER NOT NULL,
        count INTEGER NOT NULL,
        entries BLOB NOT NULL,
        PRIMARY KEY (execution, first)
    )""",
    """CREATE TABLE waits (
        execution INTEGER NOT NULL REFERENCES executions,
        wait INTEGER NOT NULL,
        kind TEXT NOT NULL,
        topic TEXT,
        taken INTEGER NOT NULL,
        created_at REAL NOT NULL,
        due REAL,
        heartbeat_due REAL,
        moment REAL AS (min(ifnull(due, heartbeat_due), ifnull(heartbeat_due, due))),
        command BLOB NOT NULL,
        PRIMARY KEY (execution, wait)
    ) WITHOUT ROWID""",
    "CREATE INDEX waits_due ON waits (moment) WHERE moment IS NOT NULL",
    f"CREATE INDEX waits_calls ON waits (execution, wait) WHERE {CALLS}",
    f"CREATE INDEX waits_callbacks ON waits (execution, wait) WHERE {CALLBACKS}",
    f"CREATE INDEX waits_offered ON waits (topic, created_at) WHERE {OFFERED}",
    "CREATE TABLE definitions (digest TEXT PRIMARY KEY, text BLOB NOT NULL)",
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)

_DOCUMENTS: Final = (
    """CREATE TABLE documents (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        revision INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID""",
)

_MAP_RUNS: Final = (
    # A map run and its children: `run` is the run's number in `machines`, `child` the number of the child.
    "ALTER TABLE executions ADD COLUMN run INTEGER REFERENCES machines",
    "ALTER TABLE executions ADD COLUMN child INTEGER",
    f"CREATE UNIQUE INDEX executions_by_run ON executions (run, child) WHERE {CHILDREN}",
    f"CREATE INDEX executions_by_run_and_status ON executions (run, status, child) WHERE {CHILDREN}",
    # Whoever lists executions does not want to see the hundred thousand children of a map run.
    "DROP INDEX executions_by_age",
    "DROP INDEX executions_by_status",
    "DROP INDEX executions_by_machine",
    "DROP INDEX executions_by_machine_and_status",
    f"CREATE INDEX executions_by_age ON executions (started_at) WHERE {LISTED}",
    f"CREATE INDEX executions_by_status ON executions (status, started_at) WHERE {LISTED}",
    f"CREATE INDEX executions_by_machine ON executions (machine, started_at) WHERE {LISTED}",
    f"CREATE INDEX executions_by_machine_and_status ON executions (machine, status, started_at) WHERE {LISTED}",
)

_SUMMARIES: Final = (
    # A summary is written when it says something new; that the journal has grown, the journal itself says.
    "ALTER TABLE executions RENAME COLUMN length TO least",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_FIRST, _DOCUMENTS, _MAP_RUNS, _SUMMARIES)
"""MIGRATIONS[n] makes a schema of version n one of version n + 1."""


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Bring the schema up to date, in one transaction. Raises StoreError for a newer one or a foreign file."""
    # Even where nothing is to be done this shows whether the file can be written at all.
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        for statements in migrations[_version(connection, len(migrations)) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def _version(connection: sqlite3.Connection, newest: int) -> int:
    version = _pragma(connection, "user_version")
    empty = connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
    if not empty and (version == 0 or _pragma(connection, "application_id") != APPLICATION_ID):
        raise Corrupt("This is a database, but not a store of treadle: give the store a file of its own.")
    if version > newest:
        raise StoreError(
            f"The store has schema {version}, this treadle knows schemas up to {newest}: "
            "use the treadle that wrote it, or a newer one."
        )
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from treadle.errors import Corrupt, StoreError
from treadle.stores.schema import MIGRATIONS, migrate

MORE = (*MIGRATIONS, ("CREATE TABLE more (id INTEGER)", "INSERT INTO more VALUES (1)"))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as connection:
        yield connection


def schema(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def test_an_older_schema_is_brought_forward_with_what_it_holds(connection: sqlite3.Connection) -> None:
    migrate(connection)
    connection.execute("INSERT INTO settings VALUES ('seed', '7')")
    migrate(connection, MORE)
    assert version(connection) == len(MORE)
    assert connection.execute("SELECT value, id FROM settings, more").fetchall() == [("7", 1)]


def test_a_schema_that_is_up_to_date_is_left_alone(connection: sqlite3.Connection) -> None:
    migrate(connection)
    before = schema(connection)
    migrate(connection)
    assert schema(connection) == before
    assert version(connection) == len(MIGRATIONS)


def test_a_migration_that_fails_changes_nothing(connection: sqlite3.Connection) -> None:
    migrate(connection)
    before = schema(connection)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, (*MORE, ("CREATE TABLE fine (id INTEGER)", "CREATE TABLE more (again INTEGER)")))
    assert schema(connection) == before
    assert version(connection) == len(MIGRATIONS)
    assert not connection.in_transaction


def test_a_newer_schema_is_refused_and_left_alone(connection: sqlite3.Connection) -> None:
    migrate(connection, MORE)
    before = schema(connection)
    with pytest.raises(StoreError, match=f"schema {len(MORE)}, this treadle knows schemas up to {len(MIGRATIONS)}"):
        migrate(connection)
    assert schema(connection) == before


@pytest.mark.parametrize(
    "statements", [["CREATE TABLE mine (id)"], ["CREATE TABLE mine (id)", "PRAGMA user_version=1"]]
)
def test_a_database_of_another_program_is_refused_and_left_alone(
    connection: sqlite3.Connection, statements: list[str]
) -> None:
    for statement in statements:
        connection.execute(statement)
    before = schema(connection)
    with pytest.raises(Corrupt, match="not a store of treadle"):
        migrate(connection)
    assert schema(connection) == before

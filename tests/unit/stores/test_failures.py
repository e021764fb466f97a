from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from treadle.errors import Corrupt, StoreError, Unavailable
from treadle.stores.failures import failure


def full(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (b)")
        connection.execute("PRAGMA max_page_count = 10")
        connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")


def read_only(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("CREATE TABLE t (b)")


def nowhere(path: Path) -> None:
    with closing(sqlite3.connect(path / "missing" / "x.db")):
        pass


def busy(path: Path) -> None:
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path, timeout=0)) as other:
        one.execute("BEGIN EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")


def no_database(path: Path) -> None:
    path.write_bytes(b"something else entirely" * 100)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT 1 FROM sqlite_schema")


def damaged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (b)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 100,)] * 1000)
        connection.commit()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(b) FROM t").fetchall()


def too_large(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT zeroblob(3000000000)").fetchall()


@pytest.mark.parametrize(
    ("cause", "kind", "remedy"),
    [
        (full, Unavailable, "The disk is full: make room"),
        (read_only, Unavailable, "read-only: give this user the right to write"),
        (nowhere, Unavailable, "cannot be opened: give this user the right"),
        (busy, Unavailable, "Another program is writing to the file: stop it"),
        (no_database, Corrupt, "no database: give the store a file of its own"),
        (damaged, Corrupt, "damaged: restore it from a copy"),
        (too_large, Unavailable, "larger than SQLite's limit"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_failure_names_the_file_and_the_remedy(
    cause: Callable[[Path], None], kind: type[StoreError], remedy: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.db"
    with pytest.raises(sqlite3.Error) as caught:
        cause(path)
    told = failure(caught.value, path)
    assert type(told) is kind
    assert str(path) in str(told)
    assert remedy in str(told)


def test_a_failure_of_the_file_system_names_the_file_and_the_remedy(tmp_path: Path) -> None:
    told = failure(PermissionError(13, "Permission denied"), tmp_path)
    assert type(told) is Unavailable
    assert str(tmp_path) in str(told)
    assert "the right to write" in str(told)

"""What SQLite and the file system complain of, as the StoreError that says what to do.

Owns one table. Neighbour: sqlite.py.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from treadle.errors import Corrupt, StoreError, Unavailable

_FAILURES: Final[dict[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_FULL: (Unavailable, "The disk is full: make room; nothing need be started again."),
    sqlite3.SQLITE_IOERR: (Unavailable, "The disk cannot be read or written: look at its space, quota and health."),
    sqlite3.SQLITE_READONLY: (Unavailable, "The file is read-only: give this user the right to write it."),
    sqlite3.SQLITE_CANTOPEN: (Unavailable, "The file cannot be opened: give this user the right to write its folder."),
    sqlite3.SQLITE_PERM: (Unavailable, "The file cannot be opened: give this user the right to write its folder."),
    sqlite3.SQLITE_NOMEM: (Unavailable, "There is not enough memory."),
    sqlite3.SQLITE_BUSY: (Unavailable, "Another program is writing to the file: stop it."),
    sqlite3.SQLITE_LOCKED: (Unavailable, "Another program is writing to the file: stop it."),
    sqlite3.SQLITE_CORRUPT: (Corrupt, "The file is damaged: restore it from a copy."),
    sqlite3.SQLITE_NOTADB: (Corrupt, "The file is no database: give the store a file of its own."),
    sqlite3.SQLITE_TOOBIG: (Unavailable, "A commit is larger than SQLite's limit of a gigabyte."),
}
"""By primary result code of SQLite."""

_UNKNOWN: Final = (Unavailable, "The file cannot be used.")


def failure(error: sqlite3.Error | OSError, path: Path) -> StoreError:
    """The StoreError for an error of SQLite or of the file system."""
    if isinstance(error, OSError):
        return Unavailable(f"{path}: Give this user the right to write the folder. ({error.strerror})")
    code: int | None = getattr(error, "sqlite_errorcode", None)
    # The lowest byte is the primary code, the rest tells more than a remedy needs.
    kind, remedy = _UNKNOWN if code is None else _FAILURES.get(code & 0xFF, _UNKNOWN)
    return kind(f"{path}: {remedy} ({error})")

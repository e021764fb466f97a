"""Where executions are kept: in memory, or in one SQLite file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from treadle.errors import StoreError
from treadle.runtime.ports import Store
from treadle.stores.memory import MemoryStore
from treadle.stores.sqlite import SqliteStore

__all__ = ["FILE_NAME", "MemoryStore", "SqliteStore", "open_store"]

FILE_NAME = "treadle.db"
"""The name of the store's file in a folder that is given alone."""


def open_store(url: str) -> Store:
    """The store at a URL, not yet opened: `memory:`, `sqlite:///path/to/file.db`, or the bare path of a file or folder.

    As in every URL, the path after `sqlite://` is absolute. Raises StoreError for a URL of any other kind.
    """
    if url == "memory:":
        return MemoryStore()
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path and not parts.netloc:
        return SqliteStore(_file("/" + unquote(parts.path).lstrip("/")))
    if "://" in url or not url:
        raise StoreError(f"No store is known for {url!r}: use memory:, sqlite:///path/to/file.db or a folder's path.")
    return SqliteStore(_file(url))


def _file(text: str) -> Path:
    path = Path(text)
    return path / FILE_NAME if path.is_dir() or not path.suffix or text.endswith("/") else path

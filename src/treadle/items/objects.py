"""What a bucket is to readers and writers, whatever keeps it: objects to read, to list and to write.

All methods block and are called in threads. What cannot be done is a Fault, in words that name the object; reader.py
and writer.py make errors of the workflow of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol


class Fault(Exception):
    """Something cannot be read or written; the message names it and, where there is one, the line."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing names it. `modified` is in seconds since the epoch, `size` in bytes."""

    key: str
    etag: str
    modified: float
    size: int
    storage_class: str


class Object(Protocol):
    """An object that is being read. `source` is what Map.Item.Source says of its items; `size` is in bytes, and so is
    `stride`, as much as is best read at once by who reads all of it."""

    @property
    def source(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def stride(self) -> int: ...

    def read(self, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start` on. Raises Fault."""
        ...


class Upload(Protocol):
    """An object that is being written: it appears as a whole when `finish` returns, and not before."""

    def write(self, part: bytes) -> None:
        """The next part, at least PART bytes long."""
        ...

    def finish(self, last: bytes) -> None:
        """The last part, of any length; the object is there for good."""
        ...

    def abort(self) -> None:
        """Leave nothing behind."""
        ...


class Bucket(Protocol):
    """Where objects lie."""

    @property
    def source(self) -> str: ...

    def open(self, key: str, version: str | None = None) -> AbstractContextManager[Object]:
        """An object to read. Raises Fault."""
        ...

    def listing(self, prefix: str) -> Iterator[Sequence[Listed]]:
        """All objects whose key begins with `prefix`, in the order of their keys in UTF-8. Raises Fault."""
        ...

    def create(self, key: str, content_type: str) -> Upload:
        """An object to write, in place of one that may be there. Raises Fault."""
        ...


PART: Final = 8 * 1024 * 1024
"""How much one request to S3 writes: it takes parts of 5 MiB or more, and at most 10,000 of them."""

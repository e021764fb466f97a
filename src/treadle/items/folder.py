"""A folder of this machine as a bucket: `file:///some/folder`, its keys being paths below it.

Nothing outside the folder can be reached: neither by `..` nor by a link that points away.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from treadle.items.objects import Fault, Listed

PAGE: Final = 1000


def folder_of(url: str) -> Path:
    """The folder that a `file:` URL names. Raises Fault for a URL that names a host or no absolute path."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path or parts.query:
        raise Fault(f"{url}: write file:///path/to/folder, with three slashes and an absolute path")
    return Path(path)


class Folder:
    """The files below a folder as objects."""

    def __init__(self, url: str) -> None:
        self._root = folder_of(url).resolve()
        self.source = self._root.as_uri()

    @contextmanager
    def open(self, key: str, version: str | None = None) -> Generator[_File]:
        """The file at `key`. Raises Fault."""
        path = self._path(key)
        if version is not None:
            raise Fault(f"{self._named(key)}: files have no versions; leave VersionId out")
        try:
            # A pipe or a device would block for ever, or never end.
            if not stat.S_ISREG(path.stat().st_mode):
                raise Fault(f"{self._named(key)}: is not a file")
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise Fault(f"{self._named(key)}: {error.strerror}") from None
        try:
            yield _File(descriptor, os.fstat(descriptor).st_size, self._named(key))
        finally:
            os.close(descriptor)

    def listing(self, prefix: str) -> Iterator[Sequence[Listed]]:
        """The files below the folder whose path begins with `prefix`. Raises Fault."""
        if not self._root.is_dir():
            raise Fault(f"{self.source}: is not a folder")
        files = self._below(self._root, "", prefix)
        try:
            while page := list(islice(files, PAGE)):
                yield page
        except OSError as error:
            raise Fault(f"{self.source}: {error.strerror}: {error.filename}") from None

    def create(self, key: str, content_type: str) -> _FileUpload:
        """A file that will stand at `key`; the folders on its way are made. Raises Fault."""
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _FileUpload(path, self._named(key))
        except OSError as error:
            raise Fault(f"{self._named(key)}: {error.strerror}") from None

    def _below(self, folder: Path, key: str, prefix: str) -> Iterator[Listed]:
        with os.scandir(folder) as found:
            entries = [(f"{each.name}/" if each.is_dir(follow_symlinks=False) else each.name, each) for each in found]
        for name, entry in sorted(entries, key=lambda each: os.fsencode(each[0])):
            path = key + name
            if name.endswith("/"):
                # Only folders that may hold such a key, or that lie below one.
                if path.startswith(prefix) or prefix.startswith(path):
                    yield from self._below(folder / entry.name, path, prefix)
            elif path.startswith(prefix) and entry.is_file(follow_symlinks=False):
                told = entry.stat(follow_symlinks=False)
                etag = f'"{told.st_mtime_ns:x}-{told.st_size:x}"'
                yield Listed(path, etag, told.st_mtime, told.st_size, "STANDARD")

    def _path(self, key: str) -> Path:
        path = self._root / key
        if not key or "\0" in key or ".." in Path(key).parts or not path.resolve().is_relative_to(self._root):
            raise Fault(f"{self.source}: the key {key!r} is no path of a file below this folder")
        return path

    def _named(self, key: str) -> str:
        return f"{self.source}/{key}"


@dataclass(frozen=True, slots=True)
class _File:
    descriptor: int
    size: int
    source: str
    stride = 256 * 1024

    def read(self, start: int, length: int) -> bytes:
        parts: list[bytes] = []
        while length:
            try:
                part = os.pread(self.descriptor, length, start)
            except OSError as error:
                raise Fault(f"{self.source}: {error.strerror}") from None
            if not part:
                raise Fault(f"{self.source}: was cut off while it was read")
            parts.append(part)
            start, length = start + len(part), length - len(part)
        return b"".join(parts)


class _FileUpload:
    """Written beside its place, flushed, then moved there: whoever looks finds the old file or the new one."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        # The same name each time: what a crash left behind is overwritten by the next attempt.
        self._beside = path.with_name(f".{path.name}.part")
        # A link in its place would lead away.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self._beside, flags, 0o666), "wb")

    def write(self, part: bytes) -> None:
        try:
            self._file.write(part)
        except OSError as error:
            raise Fault(f"{self._name}: {error.strerror}") from None

    def finish(self, last: bytes) -> None:
        self.write(last)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._beside.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Fault(f"{self._name}: {error.strerror}") from None

    def abort(self) -> None:
        try:
            self._beside.unlink(missing_ok=True)
            self._file.close()
        except OSError as error:
            raise Fault(f"{self._name}: {error.strerror}") from None

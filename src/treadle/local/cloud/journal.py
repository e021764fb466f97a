"""The journal of the local cloud: every request that changed something, in the order in which it did.

Owns the file: append, flush to the disk, read back, write anew without what is superfluous. A record counts once `sync`
has returned; a record that was cut off by a crash was never acknowledged, and is cut off. Large bodies stand in files
of their own, named by their content. Holds whatever was written to the cloud, secrets too: only the owner may read it.

One record: 4 bytes of length, 4 bytes of CRC-32, the record in MessagePack.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from treadle.errors import Corrupt

_HEADER: Final = struct.Struct(">II")
_MAGIC: Final = b"treadle-cloud-1\n"
_APART: Final = 64 * 1024
"""Bytes of a body from which on it stands in a file of its own."""


class Request(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One request as it came, and what its outcome depends on besides: the time and a seed.

    `environ` is its WSGI environment, of text alone. `apart` names the file of a large body. `told` is what must be
    known of the answer to see later what the request did.
    """

    at: float
    seed: int
    environ: Mapping[str, str]
    preserved: Mapping[str, str]
    body: bytes = b""
    apart: str | None = None
    told: tuple[str, ...] = ()


class Journal:
    """The journal in a folder. Not for two processes at once: raises BlockingIOError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._bodies = folder / "bodies"
        self._bodies.mkdir(exist_ok=True, mode=0o700)
        self.path = folder / "requests.log"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(self._file).st_size < len(_MAGIC):
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, _MAGIC, 0)
            os.fsync(self._file)
            _sync_folder(folder)
        self._end = len(_MAGIC)
        self._synced = self._end
        self._syncing = threading.Lock()
        self._decoder = msgspec.msgpack.Decoder(Request)
        self._encoder = msgspec.msgpack.Encoder()

    def requests(self) -> Iterator[Request]:
        """Everything that was acknowledged, from the beginning. To be read to its end before the first `append`.

        Raises Corrupt when something in the middle cannot be read: what follows it was acknowledged, and is not
        thrown away.
        """
        for _, request in self._records():
            yield self._whole(request)
        os.ftruncate(self._file, self._end)
        self._synced = self._end

    def compact(self, kept: Callable[[Iterator[Request]], Sequence[int]], *, least: int = 100) -> int:
        """Leave out requests that the state does not depend on; gives how many. To be called before `requests`.

        `kept` is given every request, without its body if that is large, and gives the numbers of those that stay in
        the order in which they are repeated. Fewer than `least`, or than a quarter, are not worth it. The new file is
        on the disk before it takes the place of the old one: a kill leaves one of them, whole.
        """
        frames: list[int] = []

        def read() -> Iterator[Request]:
            for start, request in self._records():
                frames.append(start)
                yield request

        staying = kept(read())
        dropped = len(frames) - len(staying)
        if dropped < least or (dropped * 4 < len(frames) and least > 1):
            return 0
        path = self.path.with_suffix(".new")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        # Whoever opens it once it has its name finds it locked.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        named: set[str] = set()
        with os.fdopen(os.dup(file), "wb") as written:
            written.write(_MAGIC)
            for number in staying:
                header = os.pread(self._file, _HEADER.size, frames[number])
                record = os.pread(self._file, _HEADER.unpack(header)[0], frames[number] + _HEADER.size)
                apart = self._decoder.decode(record).apart
                if apart is not None:
                    named.add(apart)
                written.write(header + record)
            written.flush()
            os.fsync(file)
        path.rename(self.path)
        _sync_folder(self.path.parent)
        os.close(self._file)
        self._file = file
        for body in self._bodies.iterdir():
            if body.name not in named:
                body.unlink()
        return dropped

    def _records(self) -> Iterator[tuple[int, Request]]:
        """Where each record begins, and its request."""
        self._end = len(_MAGIC)
        with self.path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise Corrupt(f"{self.path}: this is no journal of a local cloud that this version can read.")
            size = os.fstat(file.fileno()).st_size
            while header := file.read(_HEADER.size):
                length, checksum = _HEADER.unpack(header) if len(header) == _HEADER.size else (size, 0)
                record = file.read(min(length, size))
                if len(record) < length or zlib.crc32(record) != checksum:
                    if file.tell() < size:
                        raise Corrupt(f"{self.path}: byte {self._end}: a record was damaged, and others follow it.")
                    break
                start, self._end = self._end, file.tell()
                yield start, self._decoder.decode(record)

    def append(self, request: Request) -> int:
        """Write a request; gives the position that `sync` must reach for it to count. Not for two threads at once."""
        if len(request.body) >= _APART:
            name = hashlib.sha256(request.body).hexdigest()
            self._keep(name, request.body)
            request = msgspec.structs.replace(request, body=b"", apart=name)
        record = self._encoder.encode(request)
        frame = _HEADER.pack(len(record), zlib.crc32(record)) + record
        written = os.pwrite(self._file, frame, self._end)
        if written < len(frame):
            os.ftruncate(self._file, self._end)
            raise OSError(28, "the disk is full", str(self.path))
        self._end += len(frame)
        return self._end

    def sync(self, position: int) -> None:
        """Return when everything up to a position is on the disk. Threads that come together share one flush."""
        with self._syncing:
            if self._synced < position:
                end = self._end
                os.fdatasync(self._file)
                self._synced = end

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _keep(self, name: str, body: bytes) -> None:
        path = self._bodies / name
        if path.exists():
            return
        unfinished = path.with_suffix(f".{threading.get_ident()}")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
        _sync_folder(self._bodies)

    def _whole(self, request: Request) -> Request:
        if request.apart is None:
            return request
        path = self._bodies / request.apart
        try:
            return msgspec.structs.replace(request, body=path.read_bytes(), apart=None)
        except OSError as error:
            raise Corrupt(f"{path}: a body that the journal names cannot be read: {error.strerror}.") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

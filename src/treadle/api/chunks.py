"""Bodies in chunks that are signed one by one (`aws-chunked`), as SDKs of S3 send what they stream.

Owns taking such a body apart as it comes, the signature of each chunk and of the trailer, and the trailer's checksum.
It reads from nobody and keeps no content. Neighbour: `signatures` has the signature that the chain begins with.
Source: S3 'Transferring payload in multiple chunks', 'Including trailing headers'.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from treadle.api.signatures import (
    SIGNED_CHUNKS,
    SIGNED_TRAILER,
    UNSIGNED_TRAILER,
    BadSignature,
    Signature,
    scope_of,
    signing_key,
)

KINDS: Final = frozenset([SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER])
"""What `x-amz-content-sha256` may say of such a body."""

_NOTHING: Final = hashlib.sha256().hexdigest()
_LINE: Final = 1024
_TRAILER: Final = 16 * 1024
_HEAD: Final = re.compile(rb"([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?")

_Part: TypeAlias = Literal["head", "data", "after data", "trailer", "end", "over"]
"""What comes next: the first line of a chunk, data, a line end, trailing headers, the last line end, nothing."""


class Chunks:
    """Checks a body that is fed to it. `length` is what `x-amz-decoded-content-length` says, `trailers` the names in
    `x-amz-trailer`. Raises BadSignature: chunks, mismatch, checksum."""

    def __init__(
        self, kind: str, signature: Signature, secret: str, *, length: str | None, trailers: str | None
    ) -> None:
        self._kind, self._signature, self._key = kind, signature, signing_key(signature, secret)
        self._wanted = int(length) if length is not None and re.fullmatch(r"\d{1,13}", length) else None
        self._announced = {each.strip().lower() for each in (trailers or "").split(",") if each.strip()}
        self._previous = signature.value
        self._buffer = bytearray()
        self._next: _Part = "head"
        self._left = self._total = 0
        self._told = b""
        self._hash = hashlib.sha256()
        self._trailers: dict[str, str] = {}
        self._checksums = {name: _CHECKSUMS[name]() for name in self._announced & _CHECKSUMS.keys()}

    def feed(self, part: bytes) -> None:
        """Take the next bytes as they were on the wire."""
        self._buffer += part
        while self._step():
            continue

    def end(self) -> None:
        """The body is over: whether it was whole."""
        if self._next != "over" or self._buffer:
            raise _broken("it ends within a chunk")
        if self._wanted is None or self._wanted != self._total:
            raise _broken("x-amz-decoded-content-length is not the number of its bytes")
        if lacking := sorted(self._announced - self._trailers.keys()):
            raise _broken(f"the trailer lacks {', '.join(lacking)}")
        for name, checksum in self._checksums.items():
            if base64.b64encode(checksum.digest()).decode() != self._trailers[name]:
                wrong = name.removeprefix("x-amz-checksum-").upper()
                raise BadSignature("checksum", f"The {wrong} you specified did not match the calculated checksum.")

    def _step(self) -> bool:
        """Take one part further; False where more bytes are needed."""
        match self._next:
            case "head":
                return self._head()
            case "data":
                return self._data()
            case "after data":
                if len(self._buffer) < 2:
                    return False
                self._line_end()
                self._check_chunk()
                self._next = "head"
                return True
            case "end":
                if len(self._buffer) < 2:
                    return False
                self._line_end()
                self._next = "over"
                return True
            case "trailer":
                return self._trailing()
            case "over":
                if self._buffer:
                    raise _broken("something follows its end")
                return False

    def _head(self) -> bool:
        line = self._line()
        if line is None:
            return False
        found = _HEAD.fullmatch(line)
        if found is None or (self._kind != UNSIGNED_TRAILER and found[2] is None):
            raise _broken("a chunk begins with its size and its signature")
        self._left, self._told, self._hash = int(found[1], 16), found[2] or b"", hashlib.sha256()
        self._next = "data"
        if self._left == 0:
            self._check_chunk()
            self._next = "end" if self._kind == SIGNED_CHUNKS else "trailer"
        return True

    def _data(self) -> bool:
        piece = bytes(self._buffer[: self._left])
        if not piece:
            return False
        del self._buffer[: len(piece)]
        self._hash.update(piece)
        for checksum in self._checksums.values():
            checksum.update(piece)
        self._left -= len(piece)
        self._total += len(piece)
        if self._wanted is not None and self._total > self._wanted:
            raise _broken("it has more bytes than x-amz-decoded-content-length says")
        if self._left == 0:
            self._next = "after data"
        return True

    def _trailing(self) -> bool:
        line = self._line()
        if line is None:
            return False
        text = line.decode("latin-1").strip()
        if text:
            name, colon, value = text.partition(":")
            if not colon or sum(map(len, self._trailers.values())) > _TRAILER:
                raise _broken("its trailer is no list of headers")
            self._trailers[name.strip().lower()] = value.strip()
            return True
        signed = self._trailers.pop("x-amz-trailer-signature", "")
        if self._kind == SIGNED_TRAILER:
            canonical = "".join(f"{name}:{self._trailers[name]}\n" for name in sorted(self._trailers))
            hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
            self._check("AWS4-HMAC-SHA256-TRAILER", (hashed,), signed.encode("latin-1"))
        self._next = "over"
        return True

    def _check_chunk(self) -> None:
        if self._kind != UNSIGNED_TRAILER:
            self._check("AWS4-HMAC-SHA256-PAYLOAD", (_NOTHING, self._hash.hexdigest()), self._told)

    def _check(self, algorithm: str, hashes: tuple[str, ...], told: bytes) -> None:
        signature = self._signature
        text = "\n".join((algorithm, signature.date, scope_of(signature), self._previous, *hashes))
        right = hmac.new(self._key, text.encode("latin-1"), "sha256").hexdigest()
        if not hmac.compare_digest(right.encode(), told):
            raise BadSignature("mismatch", "The signature of a chunk or of the trailer is not that of its content.")
        self._previous = right

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", 0, _LINE)
        if end < 0:
            if len(self._buffer) >= _LINE:
                raise _broken("a line in it is too long")
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _line_end(self) -> None:
        if not self._buffer.startswith(b"\r\n"):
            raise _broken("a chunk is longer than it says")
        del self._buffer[:2]


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, piece: bytes) -> None:
        self._value = zlib.crc32(piece, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_CHECKSUMS: Final[dict[str, Callable[[], _Crc32 | hashlib._Hash]]] = {  # pyright: ignore[reportPrivateUsage]
    "x-amz-checksum-crc32": _Crc32,
    "x-amz-checksum-sha1": hashlib.sha1,
    "x-amz-checksum-sha256": hashlib.sha256,
}
"""CRC-32C and CRC-64 are left to the service."""


def _broken(why: str) -> BadSignature:
    return BadSignature("chunks", f"The body is not in chunks as aws-chunked has them: {why}.")

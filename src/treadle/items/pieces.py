"""An object as a stream of bytes, uncompressed: small pieces, each of which is forgotten once the next is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from treadle.items.objects import Fault, Object

PIECE: Final = 256 * 1024
"""How many bytes a decoder gets at once: what it makes of them stands in memory."""

ITEM_LIMIT: Final = 8 * 1024 * 1024
"""AWS quota: the size of one item, in bytes."""

_MARK: Final = b"\xef\xbb\xbf"
_SIP: Final = 4096


def pieces(object: Object) -> Iterator[bytes]:
    """The content, uncompressed where the name ends in `.gz`, `.zst` or `.zstd`, without a byte order mark.

    Raises Fault for content that is no such compression, or that ends in its middle.
    """
    name = object.source.lower()
    read = _pieces(object)
    if name.endswith((".gz", ".gzip")):
        read = _gunzipped(read, object.source)
    elif name.endswith((".zst", ".zstd")):
        read = _unzstd(read, object.source)
    return _unmarked(read)


def _pieces(object: Object) -> Iterator[bytes]:
    for start in range(0, object.size, object.stride):
        stride = object.read(start, min(object.stride, object.size - start))
        for at in range(0, len(stride), PIECE):
            yield stride[at : at + PIECE]


def _unmarked(read: Iterator[bytes]) -> Iterator[bytes]:
    first = b""
    for piece in read:
        first += piece
        if len(first) >= len(_MARK):
            break
    yield first.removeprefix(_MARK)
    yield from read


def _gunzipped(read: Iterator[bytes], source: str) -> Iterator[bytes]:
    """The members of a gzip file one after the other. Each step gives at most one piece, however small its source."""
    member = None
    rest = b""
    for piece in read:
        rest += piece
        while rest:
            if member is None:
                # AWS writes no padding; tar does, and gzip itself skips zeros between members.
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                yield member.decompress(rest, PIECE)
            except zlib.error as error:
                raise Fault(f"{source}: is no gzip file, or a damaged one: {error}") from None
            rest = member.unconsumed_tail
            if member.eof:
                rest, member = member.unused_data, None
        # All input may be taken while its output is not: that comes with the next input, or here at the end.
    while member is not None and not member.eof:
        tail = member.decompress(b"", PIECE)
        if not tail and not member.eof:
            raise Fault(f"{source}: the gzip file ends in its middle")
        yield tail


def _unzstd(read: Iterator[bytes], source: str) -> Iterator[bytes]:
    import zstandard

    frame = None
    gathered = bytearray()
    for piece in read:
        # In sips: a frame gives all that its source holds, and four bytes may hold 128 KiB.
        for at in range(0, len(piece), _SIP):
            rest = piece[at : at + _SIP]
            while rest:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                try:
                    gathered += frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise Fault(f"{source}: is no zstd file, or a damaged one: {error}") from None
                rest = frame.unused_data
                if frame.eof:
                    frame = None
                else:
                    rest = b""
            while len(gathered) >= PIECE:
                yield bytes(gathered[:PIECE])
                del gathered[:PIECE]
    if frame is not None:
        raise Fault(f"{source}: the zstd file ends in its middle")
    yield bytes(gathered)

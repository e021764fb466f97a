"""Parquet, row group by row group, in batches of rows: a file is never read as a whole.

Types that JSON lacks become text: times in ISO 8601, decimals in digits, bytes in base 64; a number that is none
becomes null.
"""

# pyarrow comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from treadle.items.blocks import PAGE, Block
from treadle.items.objects import Fault, Object
from treadle.items.pieces import ITEM_LIMIT
from treadle.language.scope import Json

MIB: Final = 1024 * 1024
ROW_GROUP_LIMIT: Final = 256 * MIB
FOOTER_LIMIT: Final = 5 * MIB
"""AWS quotas: the size of a row group and of the footer."""

_ENCODER: Final = msgspec.json.Encoder()
_TRAILER: Final = 8


def parquet_blocks(object: Object) -> Iterator[Block]:
    """The rows as items, one block per row group. Raises Fault, a block that is decoded too."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    _check_footer(object)
    try:
        file: Any = ParquetFile(_Seekable(object), pre_buffer=False, coerce_int96_timestamp_unit="us")
    except (ArrowException, OSError) as error:
        raise Fault(f"{object.source}: is no Parquet file, or a damaged one: {error}") from None
    with file:
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            if group.total_byte_size > ROW_GROUP_LIMIT:
                raise Fault(f"{object.source}: row group {number} is larger than {ROW_GROUP_LIMIT // MIB} MiB")
            yield Block(object.source, group.num_rows, partial(_items, object.source, file, number))


def _check_footer(object: Object) -> None:
    trailer = object.read(object.size - _TRAILER, _TRAILER) if object.size > _TRAILER else b""
    if trailer[4:] not in (b"PAR1", b"PARE"):
        raise Fault(f"{object.source}: is no Parquet file, or is cut off")
    if int.from_bytes(trailer[:4], "little") > FOOTER_LIMIT:
        raise Fault(f"{object.source}: its footer is larger than {FOOTER_LIMIT // MIB} MiB")


def _items(source: str, file: Any, group: int) -> Iterator[Json]:
    from pyarrow import ArrowException

    try:
        # This is a thread already, and what threads of pyarrow hold would come on top.
        for batch in file.iter_batches(batch_size=PAGE, row_groups=[group], use_threads=False):
            rows: list[Json] = _in_microseconds(batch).to_pylist()
            if batch.nbytes > ITEM_LIMIT and any(len(_ENCODER.encode(row)) > ITEM_LIMIT for row in rows):
                raise Fault(f"{source}: row group {group} has an item larger than {ITEM_LIMIT} bytes")
            yield from msgspec.json.decode(_ENCODER.encode(rows))
    except (ArrowException, OSError, UnicodeDecodeError, OverflowError, TypeError) as error:
        raise Fault(f"{source}: row group {group} cannot be read: {error}") from None


def _in_microseconds(batch: Any) -> Any:
    """Python's times have no nanoseconds."""
    from pyarrow import duration, schema, timestamp, types

    def plain(type: Any) -> Any:
        if types.is_timestamp(type) and type.unit == "ns":
            return timestamp("us", type.tz)
        return duration("us") if types.is_duration(type) and type.unit == "ns" else type

    fields = [each.with_type(plain(each.type)) for each in batch.schema]
    wanted = schema(fields)
    return batch if wanted.equals(batch.schema) else batch.cast(wanted, safe=False)


class _Seekable(io.RawIOBase):
    """The object as a file that pyarrow may seek in: of the columns it reads what it needs."""

    def __init__(self, object: Object) -> None:
        self._object = object
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._object.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        length = max(min(len(view), self._object.size - self._at), 0)
        if length:
            view[:length] = self._object.read(self._at, length)
        self._at += length
        return length

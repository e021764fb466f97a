"""Values as bytes and back, exactly: MessagePack, a checksum, and a slower way for what MessagePack cannot hold.

Owns the bytes of everything that a store on disk keeps as a blob. Must never change a value: an integer beyond 64 bits,
half of a surrogate pair or a list nested a hundred thousand deep comes back as it went in. JSON would be no choice: it
is twice as slow to write, a third longer, and turns NaN into null without a word. Neighbours: steps.py and sqlite.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec

from treadle.language.scope import Json
from treadle.language.values import is_object

T = TypeVar("T")

_PACKED: Final = b"\x01"
_FLAT: Final = b"\x02"
_HEAD: Final = 5
"""One byte for the way of encoding, four for the checksum."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Any).decode


def seal(value: Any, place: str) -> bytes:
    """The value as bytes that `unseal` reads at the same place only: elsewhere the checksum is wrong."""
    try:
        kind, content = _PACKED, _pack(value)
    except (OverflowError, RecursionError, UnicodeEncodeError):
        kind, content = _FLAT, _pack(_flat(value))
    return kind + _checksum(kind, content, place) + content


def unseal(type_: type[T], blob: bytes, place: str) -> T:
    """The value in a blob. Raises ValueError when these are not the bytes that were sealed at this place."""
    kind, content = blob[:1], memoryview(blob)[_HEAD:]
    if blob[1:_HEAD] != _checksum(kind, content, place):
        raise ValueError("the checksum is wrong")
    if kind == _PACKED:
        return _decoder(type_).decode(content)
    return msgspec.convert(_nested(_unpack(content)), type_)


def _checksum(kind: bytes, content: bytes | memoryview, place: str) -> bytes:
    return zlib.crc32(content, zlib.crc32(kind + place.encode())).to_bytes(4, "big")


@cache
def _decoder(type_: type[T]) -> msgspec.msgpack.Decoder[T]:
    return msgspec.msgpack.Decoder(type_)


# ---- values that MessagePack or the stack cannot hold ------------------------------------------------------------


def _flat(value: Any) -> list[Json]:
    """A value as a flat list: a container is `[brackets, size]`, and what is inside it follows.

    Integers of more than 64 bits are written as `["0x", digits]`, texts with half of a surrogate pair as bytes.
    """
    tokens: list[Json] = []
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, msgspec.Struct):
            item = _fields(item)
        if is_object(item):
            tokens.append(["{}", len(item)])
            for member in reversed(item.items()):
                todo.extend(reversed(member))
        elif isinstance(item, list | tuple):
            items = cast("Sequence[Any]", item)
            tokens.append(["[]", len(items)])
            todo.extend(reversed(items))
        else:
            tokens.append(_scalar(item))
    return tokens


def _fields(struct: msgspec.Struct) -> dict[str, Any] | tuple[Any, ...]:
    return msgspec.structs.astuple(struct) if struct.__struct_config__.array_like else msgspec.structs.asdict(struct)


def _scalar(item: Json) -> Json:
    if isinstance(item, int) and not -(2**63) <= item < 2**64:
        # Decimal digits are limited in number by sys.set_int_max_str_digits.
        return ["0x", hex(item)]
    if isinstance(item, str) and not item.isascii():
        return item.encode("utf-8", "surrogatepass")
    return item


def _nested(tokens: list[Json]) -> Any:
    """The value of a flat list, built from its end, where every container finds its contents on the stack."""
    stack: list[Any] = []
    for token in reversed(tokens):
        match token:
            case ["{}", size]:
                stack.append({stack.pop(): stack.pop() for _ in range(size)})
            case ["[]", size]:
                stack.append([stack.pop() for _ in range(size)])
            case ["0x", digits]:
                stack.append(int(digits, 16))
            case bytes():
                stack.append(token.decode("utf-8", "surrogatepass"))
            case _:
                stack.append(token)
    return stack.pop()

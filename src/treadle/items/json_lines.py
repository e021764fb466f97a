"""JSON Lines: one item per line, blank lines apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from treadle.items.blocks import Block
from treadle.items.json_items import what_is_wrong
from treadle.items.objects import Fault, Object
from treadle.items.pieces import ITEM_LIMIT, pieces
from treadle.language.scope import Json

_DECODE: Final = msgspec.json.Decoder().decode


def json_lines_blocks(object: Object) -> Iterator[Block]:
    """The lines as items, one block per piece. Raises Fault, a block that is decoded too."""
    line, rest = 1, b""
    for piece in pieces(object):
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        yield _block(object.source, lines, line)
        line += len(lines)
        if len(rest) > ITEM_LIMIT:
            raise _too_large(object.source, line)
    yield _block(object.source, [rest], line)


def _block(source: str, lines: Sequence[bytes], first: int) -> Block:
    numbered = [(number, line) for number, line in enumerate(lines, first) if line and not line.isspace()]
    return Block(source, len(numbered), partial(_items, source, numbered))


def _items(source: str, lines: Sequence[tuple[int, bytes]]) -> Iterator[Json]:
    for number, line in lines:
        if len(line) > ITEM_LIMIT:
            raise _too_large(source, number)
        try:
            yield _DECODE(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Fault(f"{source}: line {number}: {what_is_wrong(line, error)[0]}") from None


def _too_large(source: str, line: int) -> Fault:
    return Fault(f"{source}: line {line}: the item is larger than {ITEM_LIMIT} bytes")

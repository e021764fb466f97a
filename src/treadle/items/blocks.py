"""Blocks of items, and how they become pages.

A block is as many items as lie in one piece of an object, counted before they are decoded. What a restart skips is
therefore read, yet not decoded, and a row group of Parquet is not even read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from treadle.language.scope import Json
from treadle.runtime.ports import ItemPage

PAGE: Final = 1000
"""How many items a page has at most. Fewer where a block ends: a page never holds more than one block."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some items in order: where they are from, how many they are, and what decodes them.

    Where `keyed`, they are members of an object: pairs of a key and a value.
    """

    source: str
    count: int
    items: Callable[[], Iterable[Json]]
    keyed: bool = False


def paged(blocks: Iterator[Block], skip: int, most: int | None) -> Generator[ItemPage | None, None, None]:
    """Pages of what follows the first `skip` items, up to `most` items in all, the skipped included.

    None stands for a block that was skipped: whoever waits for pages may turn to something else.
    """
    left = None if most is None else max(most - skip, 0)
    for block in blocks:
        if left == 0:
            return
        if skip >= block.count:
            skip -= block.count
            yield None
            continue
        items = islice(block.items(), skip, None)
        skip = 0
        while page := list(islice(items, PAGE if left is None else min(PAGE, left))):
            yield _page(page, block)
            if left is not None:
                left -= len(page)


def _page(items: list[Json], block: Block) -> ItemPage:
    if not block.keyed:
        return ItemPage(items, block.source)
    return ItemPage([value for _, value in items], block.source, [key for key, _ in items])

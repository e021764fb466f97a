"""Where each field and item of a parsed text stands.

Filled in by the readers (`json_text`, `yaml_text`), asked by `Definition`. Knows nothing of state machines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TypeAlias, cast

from treadle.language.scope import Json

Path: TypeAlias = tuple[str | int, ...]
"""Field names and array indices from the root of a document: `("States", "Pay", "Catch", 0, "Next")`."""

Holder: TypeAlias = dict[str, Json] | list[Json]


def entries(value: Json) -> Iterable[tuple[str | int, Json]]:
    """The fields of an object or the items of an array, each with its key; nothing of any other value."""
    if isinstance(value, dict):
        return cast("dict[str, Json]", value).items()
    return enumerate(cast("list[Json]", value)) if isinstance(value, list) else ()


def leaves(value: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    """Every value within a value, itself included, with its path; in the order of the text."""
    yield path, value
    unfinished = [(path, iter(entries(value)))]
    while unfinished:
        holder, rest = unfinished[-1]
        for key, inner in rest:
            here = (*holder, key)
            yield here, inner
            unfinished.append((here, iter(entries(inner))))
            break
        else:
            unfinished.pop()


class Places:
    """The place of every field name and array item of one text, by the object or array that holds it."""

    def __init__(self, text: str) -> None:
        self.repeated: list[tuple[Holder, str, int]] = []
        """Field names that an object has more than once: the object, the name, the offset of the later one."""
        self._line_starts = [0]
        self._line_starts.extend(index + 1 for index, character in enumerate(text) if character == "\n")
        self._offsets: dict[tuple[int, str | int], int] = {}
        self._start = len(text) - len(text.lstrip())
        # Holders are known by identity, so each must live as long as its entry.
        self._holders: list[Holder] = []

    def open(self, holder: Holder) -> None:
        """Announce an object or array whose entries will be noted."""
        self._holders.append(holder)

    def note(self, holder: Holder, key: str | int, offset: int) -> None:
        """Record that an entry of an announced holder begins at this offset of the text."""
        if isinstance(key, str) and (id(holder), key) in self._offsets:
            self.repeated.append((holder, key, offset))
        self._offsets[id(holder), key] = offset

    def offset(self, root: Json, path: Path) -> int:
        """The offset of the last part of a path that stands in the text."""
        found, node = self._start, root
        for key in path:
            offset = self._offsets.get((id(node), key))
            if offset is None:
                break
            found, node = offset, node[key]
        return found

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

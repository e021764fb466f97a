"""The items of a map run that no child has yet, and what is made of them: inputs of children, one item each or a batch.

Owns ItemSelector, ItemBatcher and the order of the items. Must never decide when a child starts: map_run.py does, whose
journal alone changes what is here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import repeat
from typing import Any

from treadle.errors import StatesError
from treadle.language.plan import MapPlan
from treadle.language.scope import Json, Scope
from treadle.machine.interpreter import Moment
from treadle.machine.journal import NOTHING, json_text
from treadle.machine.limits import Limits


class Backlog:
    """What was read and not yet given to a child, in order."""

    def __init__(self, plan: MapPlan, limits: Limits | None = None) -> None:
        self._plan, self._limits = plan, limits or Limits()
        self._selector = plan.selector
        # Each with its source and, where it was a member of an object, its key.
        self._items: deque[tuple[Json, str, str | None]] = deque()
        self.read = 0  # items read so far
        self.taken = 0  # items given to children so far
        self.more = False  # whether the reader has more
        self.starved = False  # whether what is in hand was found to be too little for a batch

    def __len__(self) -> int:
        return len(self._items)

    def copy(self) -> Backlog:
        """Another one that has the same."""
        other = Backlog(self._plan, self._limits)
        other._items = self._items.copy()
        other.read, other.taken, other.more = self.read, self.taken, self.more
        return other

    def add(self, items: list[Json], source: str, keys: list[str] | None, *, more: bool) -> None:
        """More was read; `more` tells whether that was not all."""
        self._items.extend((item, source, key) for item, key in zip(items, keys or repeat(None), strict=False))
        self.read += len(items)
        self.more, self.starved = more, False

    def next(self, settings: Mapping[str, Json], moment: Moment) -> dict[str, Json] | None:
        """What the next child gets, as far as it is not simply the next item; None when more must be read first.

        Raises StatesError where ItemSelector does, and States.DataLimitExceeded for more than an input may have.
        """
        if not self._items or self.starved:
            return None
        if settings.get("batcher") is not None:
            note = self._batch(settings, moment)
            self.starved = note is None
        else:
            note = NOTHING if self._selector is None else {"input": self._selected(0, settings, moment)}
        if note is not None:
            self._check(note["input"] if "input" in note else self._items[0][0])
        return note

    def _check(self, input: Json) -> None:
        # AWS 'ItemReader': an item of a data set may have 8 MB, the input of its child no more than any other.
        size, most = len(json_text(input).encode("utf-8", "surrogatepass")), self._limits.payload_bytes
        if size > most:
            told = f"The input of the child that begins with item {self.taken} of '{self._plan.name}' has {size} bytes"
            raise StatesError("States.DataLimitExceeded", f"{told}, more than the maximum of {most}.")

    def take(self, note: Mapping[str, Any]) -> tuple[Json, dict[str, Json] | None, int]:
        """The next items are a child's: its input, the `Map` part of its context object and how many they are."""
        size: int = note.get("size", 1)
        item = None if "size" in note else self._item(0)
        input: Json = note["input"] if "input" in note else self._items[0][0]
        for _ in range(size):
            self._items.popleft()
        self.taken += size
        return input, item, size

    def drain(self, settings: Mapping[str, Json], moment: Moment) -> Iterator[tuple[Json, int]]:
        """The inputs of children that nobody will start, and how many items each takes; the items are gone then.

        What ItemSelector cannot take is a child's input as it was read.
        """
        while self._items:
            try:
                note = self.next(settings, moment)
            except StatesError:
                note = {"input": self._items[0][0]}
            if note is None:
                return
            input, _, size = self.take(note)
            yield input, size

    def children(self, settings: Mapping[str, Json], started: int) -> int:
        """How many children the items in hand will make, `started` having been made so far.

        Batches bounded by bytes are taken to be as large as those before.
        """
        batcher = settings.get("batcher")
        if batcher is None or not self._items:
            return len(self._items)
        if started:
            return -(-len(self._items) * started // self.taken)
        return -(-len(self._items) // (batcher["maxItems"] or len(self._items)))

    def _batch(self, settings: Mapping[str, Json], moment: Moment) -> dict[str, Json] | None:
        batcher: Mapping[str, Json] = settings["batcher"]
        extra = {} if batcher["input"] is None else {"BatchInput": batcher["input"]}
        most: int | None = batcher["maxItems"]
        room: int | None = batcher["maxBytes"]
        items: list[Json] = []
        size = len(json_text({"Items": [], **extra}).encode())
        full = False
        while not full and len(items) < len(self._items):
            item = self._selected(len(items), settings, moment)
            if room is not None:
                size += len(json_text(item).encode()) + (1 if items else 0)
                # AWS 'ItemBatcher': when both limits are set the smaller batch wins; a single item always fits.
                if items and size > room:
                    full = True
                    break
            items.append(item)
            full = len(items) == most
        if self.more and not full:
            return None
        return {"input": {**extra, "Items": items}, "size": len(items)}

    def _selected(self, index: int, settings: Mapping[str, Json], moment: Moment) -> Json:
        if self._selector is None:
            return self._items[index][0]
        context = {**settings["context"], "Map": self._item(index)}
        scope = Scope(settings["taken"], settings["variables"], lambda: context, moment.now, moment.random)
        scope.input = settings["input"]
        return self._selector(scope)

    def _item(self, index: int) -> dict[str, Json]:
        value, source, key = self._items[index]
        item: dict[str, Json] = {"Index": self.taken + index, "Value": value, "Source": source}
        if key is not None:
            item["Key"] = key
        return {"Item": item}

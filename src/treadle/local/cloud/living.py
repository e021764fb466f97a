"""Which requests of a journal the state still depends on: what was overwritten or taken away need not be repeated.

Owns the rules, and is careful: a request that is not known in every detail stays, and so does what it might have read.
Pure: it sees requests one after the other and keeps no bodies. Neighbours: `journal` rewrites its file by what `kept`
gives, `traces` says what a request does.

* A later `PutObject` or `DeleteObject` of an object, `PutItem` or `DeleteItem` of an item takes the place of everything
  that concerned this one alone. It moves to where that stood, so that items keep their order.
* A message of a queue that was deleted is dropped with all that concerned it, if everything it was received together
  with is gone too: the rest of the queue then is as it was.
* What happened to the items of a table is dropped when the table is deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from treadle.local.cloud.journal import Request
from treadle.local.cloud.traces import (
    Apart,
    Begins,
    Ends,
    Everything,
    Messages,
    Nothing,
    Of,
    Scope,
    Trace,
    Traces,
    Within,
)


@dataclass
class _Place:
    """A table or a bucket: what became of its items since something last touched them all."""

    runs: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    whole: list[int] = field(default_factory=list[int])
    """Every request that concerned this place alone, but for its beginning."""
    known: bool = True
    """Whether every item in it was made by a request of its own."""


def kept(requests: Iterable[Request]) -> list[int]:
    """The numbers of the requests that stay, counted from 0, in the order in which they are repeated."""
    traces, living = Traces(), Living()
    for request in requests:
        living.see(traces.of(request))
    return living.kept() if traces.sure else list(range(living.seen))


class Living:
    """Sees every request in its order, then tells which stay and in which order."""

    def __init__(self) -> None:
        self._order: list[int | None] = []
        self._places: dict[Scope, _Place] = {}
        self._groups = _Groups()
        self._origin: set[str] = set()
        self._gone: set[str] = set()
        self._handles: dict[str, str] = {}
        self._queues: defaultdict[str, set[str]] = defaultdict(set)

    @property
    def seen(self) -> int:
        """How many requests that were."""
        return len(self._order)

    def see(self, trace: Trace) -> None:
        """Take the next request."""
        number = len(self._order)
        self._order.append(number)
        match trace:
            case Nothing():
                pass
            case Everything():
                for place in self._places.values():
                    place.runs.clear()
                    place.known = False
            case Begins(scope):
                self._places[scope] = _Place()
            case Ends(scope, takes_all):
                place = self._places.pop(scope, None)
                if place is not None and takes_all:
                    self._drop(place.whole)
            case Within(scopes):
                for scope in scopes:
                    if place := self._places.get(scope):
                        place.runs.clear()
                        place.known = False
                        if len(scopes) == 1:
                            place.whole.append(number)
            case Apart(scope):
                self._places.pop(scope, None)
            case Of():
                self._item(trace, number)
            case Messages():
                self._messages(trace, number)
            case _:
                assert_never(trace)

    def kept(self) -> list[int]:
        """The numbers of the requests that stay, counted from 0, in the order in which they are repeated."""
        self._drop(self._groups.over(self._origin & self._gone))
        return [number for number in self._order if number is not None]

    def _drop(self, numbers: list[int]) -> None:
        dropped = set(numbers)
        self._order = [None if number in dropped else number for number in self._order]

    def _item(self, trace: Of, number: int) -> None:
        place = self._places.get(trace.scope)
        if place is None:
            return
        place.whole.append(number)
        run = place.runs.setdefault(trace.item, [])
        match trace.does:
            case "replaces":
                if run:
                    # It stands where the item came to be; the others have nothing to say any more.
                    self._order[run[0]] = number
                    for each in (*run[1:], number):
                        self._order[each] = None
                    place.runs[trace.item] = [run[0]]
                else:
                    run.append(number)
            case "removes":
                for each in run:
                    self._order[each] = None
                if place.known:
                    # It was not there before.
                    self._order[number] = None
                    del place.runs[trace.item]
                else:
                    place.runs[trace.item] = []
            case "changes":
                run.append(number)
            case "pins":
                place.runs[trace.item] = []
                place.known = False
            case _:
                assert_never(trace.does)

    def _messages(self, trace: Messages, number: int) -> None:
        for message, handle in trace.received:
            self._handles[handle] = message
        ids = [*trace.sent, *(message for message, _ in trace.received)]
        ids += [self._handles.get(handle, f"handle {handle}") for handle in trace.touched]
        self._groups.join(ids, None if trace.ends_queue else number)
        self._origin.update(trace.sent)
        self._queues[trace.queue].update(trace.sent)
        self._gone.update(self._handles.get(handle, "") for handle in trace.deleted)
        if trace.ends_queue:
            self._gone.update(self._queues.pop(trace.queue, ()))


class _Groups:
    """Messages that requests have in common, with these requests."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}
        self._numbers: defaultdict[str, list[int]] = defaultdict(list)

    def join(self, ids: list[str], number: int | None) -> None:
        """A request concerned these messages."""
        if not ids:
            return
        first = self._top(ids[0])
        for each in ids[1:]:
            other = self._top(each)
            if other != first:
                self._above[other] = first
                self._numbers[first] += self._numbers.pop(other, [])
        if number is not None:
            self._numbers[first].append(number)

    def over(self, gone: set[str]) -> list[int]:
        """The requests of groups all of whose messages are gone."""
        alive = {self._top(each) for each in list(self._above) if each not in gone}
        return [number for top, numbers in self._numbers.items() if top not in alive for number in numbers]

    def _top(self, id: str) -> str:
        self._above.setdefault(id, id)
        while self._above[id] != id:
            self._above[id] = self._above[self._above[id]]
            id = self._above[id]
        return id

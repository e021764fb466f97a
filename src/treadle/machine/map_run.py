"""A map run: the children of one distributed Map, decided one event at a time.

The same shape as the interpreter and independent of it: an event goes in, journal entries and commands come out, and
`apply` is the only thing that changes a run. Children are executions of their own; reading items and writing results
are the host's. Owns which item is started when, batches, tolerated failures and the result. The parent knows only the
one wait that `StartMapRun` opened, and is told by `MapRunClosed`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from treadle.errors import StatesError
from treadle.language.plan import MapPlan
from treadle.language.scope import Json, Scope
from treadle.machine.commands import Cancel
from treadle.machine.interpreter import Moment
from treadle.machine.journal import Entry, json_text

MAX_CONCURRENCY: Final = 10_000
"""AWS quota: children of one map run at the same time."""

ChildStatus: TypeAlias = Literal["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"]


# ---- events ----


class RunRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The parent started the run. `items` is None where a reader gives them; `keys` for an object's members."""

    settings: dict[str, Json]
    items: list[Json] | None = None
    keys: list[str] | None = None
    source: str = "STATE_DATA"


class ItemsRead(msgspec.Struct, frozen=True):
    """The reader gave the next page. `more` tells whether another follows, `source` where it came from."""

    wait: int
    items: list[Json]
    more: bool
    source: str = "STATE_DATA"


class ChildClosed(msgspec.Struct, frozen=True):
    """A child execution ended. `record` is what describes it in a result file."""

    wait: int
    status: ChildStatus
    output: Json = None
    error: str | None = None
    cause: str | None = None
    record: dict[str, Json] | None = None


class ResultsWritten(msgspec.Struct, frozen=True):
    """The result writer is through; `output` becomes the Map's."""

    wait: int
    output: Json


class EffectFailed(msgspec.Struct, frozen=True):
    """Reading or writing failed."""

    wait: int
    error: str
    cause: str | None = None


class RunUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """UpdateMapRun: None leaves a setting as it is."""

    concurrency: int | None = None
    tolerated_count: int | None = None
    tolerated_percentage: float | None = None


class RunStopped(msgspec.Struct, frozen=True):
    """The parent does not wait any more."""


class RunRedriven(msgspec.Struct, frozen=True):
    """The parent was redriven: children that did not succeed run again."""


RunEvent: TypeAlias = (
    RunRequested | ItemsRead | ChildClosed | ResultsWritten | EffectFailed | RunUpdated | RunStopped | RunRedriven
)


# ---- commands ----


class ReadItems(msgspec.Struct, frozen=True, kw_only=True):
    """Read the next page of items, after the first `skip`."""

    wait: int
    reader: dict[str, Json]
    skip: int


class StartChild(msgspec.Struct, frozen=True, kw_only=True):
    """Run a child execution; `redrive` when it ran before. `item` is the `Map` part of its context object."""

    wait: int
    index: int
    input: Json
    item: dict[str, Json] | None = None
    redrive: bool = False


class WriteResults(msgspec.Struct, frozen=True, kw_only=True):
    """Write the records of all children, as `writer` says."""

    wait: int
    writer: dict[str, Json]


class CloseRun(msgspec.Struct, frozen=True):
    """The run has ended; tell the parent."""

    status: Literal["SUCCEEDED", "FAILED", "ABORTED"]
    output: Json = None
    error: str | None = None
    cause: str | None = None


RunCommand: TypeAlias = ReadItems | StartChild | WriteResults | Cancel | CloseRun


class Child(msgspec.Struct):
    """One child execution as the run sees it. `size` is the number of items in its batch."""

    input: Json
    size: int
    item: dict[str, Json] | None = None
    status: Literal["RUNNING", "SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT", "PENDING"] = "RUNNING"
    output: Json = None
    record: dict[str, Json] | None = None
    redriven: bool = False


class MapRun:
    """Where a map run stands, and what it does next."""

    def __init__(self, plan: MapPlan) -> None:
        assert plan.distribution is not None
        self.plan = plan
        self.status: Literal["RUNNING", "SUCCEEDED", "FAILED", "ABORTED"] | None = None
        self.settings: dict[str, Json] = {}
        self.items: list[Json] = []  # read and not yet given to a child
        self.keys: list[str] | None = None
        self.source = "STATE_DATA"
        self.read = 0  # items read so far
        self.taken = 0  # items given to children so far
        self.more = False  # whether the reader has more
        self.children: list[Child] = []
        self.pending: list[int] = []  # children to be started again
        self.live: dict[int, int] = {}  # child by wait
        self.failures = 0  # items whose child did not succeed
        self.effect: ReadItems | WriteResults | None = None
        self.redrives = 0
        self.seq = 0
        self.journal: list[Entry] = []
        self.opened: dict[int, StartChild | ReadItems | WriteResults] = {}
        self.closed: list[int] = []
        self.close: CloseRun | None = None
        self.now = 0.0

    # ---- event in, entries and commands out ----

    def handle(self, event: RunEvent, moment: Moment) -> tuple[list[Entry], list[RunCommand]]:
        """Take one event as far as it goes. What fits no open wait changes nothing."""
        self.journal = []
        self.now = moment.now
        self._take(event)
        while self.status == "RUNNING" and self._step(moment):
            pass
        commands: list[RunCommand] = [*self.opened.values(), *(Cancel(wait) for wait in self.closed)]
        if self.journal and self.close is not None:
            commands.append(self.close)
        self.opened, self.closed = {}, []
        return self.journal, commands

    def waits(self) -> dict[int, StartChild | ReadItems | WriteResults]:
        """All open waits, by number."""
        waits: dict[int, StartChild | ReadItems | WriteResults] = {
            wait: self._start_command(wait, index) for wait, index in self.live.items()
        }
        if self.effect is not None:
            waits[self.effect.wait] = self.effect
        return waits

    def counts(self) -> dict[str, int]:
        """How many children are in which status, as DescribeMapRun counts executions."""
        counts: dict[str, int] = dict.fromkeys(("pending", "running", "succeeded", "failed", "timedOut", "aborted"), 0)
        for child in self.children:
            counts["timedOut" if child.status == "TIMED_OUT" else child.status.lower()] += 1
        return {**counts, "total": len(self.children)}

    def _take(self, event: RunEvent) -> None:
        running = self.status == "RUNNING"
        match event:
            case RunRequested():
                if self.status is None:
                    self._record("RunStarted", msgspec.to_builtins(event))
            case ItemsRead(wait, items, more, source):
                if isinstance(self.effect, ReadItems) and self.effect.wait == wait:
                    self._record("ItemsRead", {"items": items, "more": more, "source": source})
            case ChildClosed(wait):
                if wait in self.live:
                    self._record("ChildClosed", msgspec.to_builtins(event))
            case ResultsWritten(wait, output):
                if isinstance(self.effect, WriteResults) and self.effect.wait == wait:
                    self._record("RunClosed", {"status": "SUCCEEDED", "output": output})
            case EffectFailed(wait, error, cause):
                if self.effect is not None and self.effect.wait == wait:
                    self._fail(error, cause)
            case RunUpdated():
                if running:
                    self._record("RunUpdated", msgspec.to_builtins(event))
            case RunStopped():
                if running:
                    self._record("RunClosed", {"status": "ABORTED"})
            case RunRedriven():
                if self.status in ("FAILED", "ABORTED"):
                    self._record("RunRedriven", {})

    def _step(self, moment: Moment) -> bool:
        """One decision further; False when the world must move first."""
        if self._exceeded():
            self._fail(
                "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
            )
            return True
        room = len(self.live) < (min(self.settings["concurrency"] or MAX_CONCURRENCY, MAX_CONCURRENCY))
        if room and self.pending:
            self._record("ChildRestarted", {"index": self.pending[0]})
            return True
        if room and self.items and self._enough():
            return self._start_batch(moment)
        if self.more and self.effect is None and not self._enough():
            self._record("ReadRequested", {})
            return True
        if not self.live and not self.items and not self.more and self.effect is None:
            self._end()
            return True
        return False

    def _enough(self) -> bool:
        """Whether the next batch is complete: all of it is read, or there is no more."""
        batcher: dict[str, int] = self.settings.get("batcher") or {}
        most = batcher.get("maxItems") or 1
        return bool(self.items) and (not self.more or len(self.items) > most)

    def _exceeded(self) -> bool:
        count, percentage = self.settings["toleratedCount"], self.settings["toleratedPercentage"]
        if count is None and percentage is None:
            count = 0
        if count is not None and self.failures > count:
            return True
        # A share is only known when the number of items is.
        return percentage is not None and not self.more and self.failures * 100 > percentage * self.read

    def _start_batch(self, moment: Moment) -> bool:
        try:
            batch = self._batch(moment)
        except StatesError as error:
            self._fail(error.name or "States.Runtime", error.cause)
            return True
        self._record("ChildStarted", batch)
        return True

    def _batch(self, moment: Moment) -> dict[str, Json]:
        """The input of the next child, and how many items it takes."""
        batcher = self.settings.get("batcher")
        if batcher is None:
            return {"input": self._selected(0, moment), "size": 1, "item": self._item(0)}
        extra = {} if batcher["input"] is None else {"BatchInput": batcher["input"]}
        most = batcher["maxItems"] or len(self.items)
        items: list[Json] = []
        size = len(json_text({"Items": [], **extra}).encode())
        for index in range(min(most, len(self.items))):
            item = self._selected(index, moment)
            size += len(json_text(item).encode()) + (1 if items else 0)
            # AWS 'ItemBatcher': when both limits are set the smaller batch wins; a single item always fits.
            if items and batcher["maxBytes"] is not None and size > batcher["maxBytes"]:
                break
            items.append(item)
        return {"input": {**extra, "Items": items}, "size": len(items), "item": None}

    def _selected(self, index: int, moment: Moment) -> Json:
        if self.plan.selector is None:
            return self.items[index]
        context = {**self.settings["context"], "Map": self._item(index)}
        scope = Scope(self.settings["taken"], self.settings["variables"], lambda: context, moment.now, moment.random)
        scope.input = self.settings["input"]
        return self.plan.selector(scope)

    def _item(self, index: int) -> dict[str, Json]:
        item: dict[str, Json] = {"Index": self.taken + index, "Value": self.items[index], "Source": self.source}
        if self.keys is not None:
            item["Key"] = self.keys[self.taken + index]
        return {"Item": item}

    def _end(self) -> None:
        writer = self.settings.get("writer")
        if writer is not None and writer["resource"] is not None:
            self._record("WriteRequested", {})
        else:
            self._record("RunClosed", {"status": "SUCCEEDED", "output": self._results(writer)})

    def _results(self, writer: dict[str, Json] | None) -> list[Json]:
        """The children's outputs in the order of the items. AWS 'WriterConfig': COMPACT unless told otherwise."""
        transformation = "COMPACT" if writer is None else writer["transformation"]
        if transformation == "NONE":
            return [child.record for child in self.children]
        outputs = [child.output for child in self.children if child.status == "SUCCEEDED"]
        if transformation == "FLATTEN":
            lists: list[list[Json]] = [output if isinstance(output, list) else [output] for output in outputs]
            return [each for flat in lists for each in flat]
        return outputs

    def _fail(self, error: str, cause: str | None) -> None:
        self._record("RunClosed", {"status": "FAILED", "error": error, "cause": cause})

    # ---- the journal ----

    def _record(self, type: str, note: dict[str, Json]) -> None:
        entry = Entry(type, 0, 0, (), self.now, {}, note)
        self.apply(entry)
        self.journal.append(entry)

    def apply(self, entry: Entry) -> None:
        """Take one entry of the journal: the only thing that changes a run."""
        self.seq += 1
        note: dict[str, Any] = entry.note
        match entry.type:
            case "RunStarted":
                self.status = "RUNNING"
                self.settings, self.source = note["settings"], note["source"]
                self.more = note["items"] is None
                self._add(note["items"] or [], note["keys"])
            case "ReadRequested":
                self._open(ReadItems(wait=self.seq, reader=self.settings["reader"], skip=self.read))
            case "WriteRequested":
                self._open(WriteResults(wait=self.seq, writer=self.settings["writer"]))
            case "ItemsRead":
                self._settle_effect()
                self.more, self.source = note["more"], note["source"]
                self._add(note["items"], None)
            case "ChildStarted":
                self.children.append(Child(note["input"], note["size"], note["item"]))
                del self.items[: note["size"]]
                self.taken += note["size"]
                self._start(len(self.children) - 1)
            case "ChildRestarted":
                self.pending.remove(note["index"])
                again: int = note["index"]
                self.children[again].status, self.children[again].redriven = "RUNNING", True
                self._start(again)
            case "ChildClosed":
                index = self.live.pop(note["wait"])
                self._forget(note["wait"])
                child = self.children[index]
                child.status, child.output, child.record = note["status"], note["output"], note["record"]
                if child.status != "SUCCEEDED":
                    self.failures += child.size
            case "RunUpdated":
                for key, setting in _UPDATES.items():
                    if note[key] is not None:
                        self.settings = {**self.settings, setting: note[key]}
            case "RunRedriven":
                self.status, self.close, self.failures = "RUNNING", None, 0
                self.redrives += 1
                self.pending = [index for index, child in enumerate(self.children) if child.status != "SUCCEEDED"]
                for index in self.pending:
                    self.children[index].status = "PENDING"
            case "RunClosed":
                self._close(note)
            case other:
                raise AssertionError(f"{other} is no entry of a map run")

    def _add(self, items: list[Json], keys: list[str] | None) -> None:
        self.items.extend(items)
        self.keys = keys
        self.read += len(items)

    def _start(self, index: int) -> None:
        self.live[self.seq] = index
        self.opened[self.seq] = self._start_command(self.seq, index)

    def _start_command(self, wait: int, index: int) -> StartChild:
        child = self.children[index]
        return StartChild(wait=wait, index=index, input=child.input, item=child.item, redrive=child.redriven)

    def _open(self, effect: ReadItems | WriteResults) -> None:
        self.effect = effect
        self.opened[effect.wait] = effect

    def _settle_effect(self) -> None:
        if self.effect is not None:
            self._forget(self.effect.wait)
            self.effect = None

    def _forget(self, wait: int) -> None:
        if self.opened.pop(wait, None) is None:
            self.closed.append(wait)

    def _close(self, note: dict[str, Json]) -> None:
        self.status = note["status"]
        self.close = CloseRun(note["status"], note.get("output"), note.get("error"), note.get("cause"))
        self._settle_effect()
        for wait, index in self.live.items():
            self._forget(wait)
            self.children[index].status = "ABORTED"
        self.live = {}


_UPDATES: Final = {
    "concurrency": "concurrency",
    "tolerated_count": "toleratedCount",
    "tolerated_percentage": "toleratedPercentage",
}


def recover_run(plan: MapPlan, journal: Iterable[Entry]) -> MapRun:
    """The map run after these entries. The host knows its open waits already."""
    run = MapRun(plan)
    for entry in journal:
        run.apply(entry)
    run.opened, run.closed = {}, []
    return run

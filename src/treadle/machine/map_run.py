"""A map run: the children of one distributed Map, decided one event at a time.

The same shape as the interpreter and independent of it: an event goes in, journal entries and commands come out, and
`apply` is the only thing that changes a run. Children are executions of their own; reading items and writing results
are the host's. Owns which item is started when, batches, tolerated failures and the end. The parent knows only the
one wait that `StartMapRun` opened, and is told by `MapRunClosed`.

A run may have a million items, so of a child nothing stays in memory but its status and the number of its items: what
it got and what it brought stands in its own journal.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from itertools import repeat
from typing import Any, Final

import msgspec

from treadle.errors import StatesError
from treadle.language.plan import MapPlan
from treadle.language.scope import Json, Scope
from treadle.machine.commands import Cancel
from treadle.machine.interpreter import Moment
from treadle.machine.journal import NOTHING, Entry, json_text
from treadle.machine.map_events import (
    ChildClosed,
    CloseRun,
    Counts,
    EffectFailed,
    ItemsRead,
    Progress,
    ReadItems,
    ResultsWritten,
    RunCommand,
    RunEvent,
    RunRedriven,
    RunRequested,
    RunStatus,
    RunStopped,
    RunUpdated,
    StartChild,
    WriteResults,
)

MAX_CONCURRENCY: Final = 10_000
"""AWS quota: children of one map run at the same time."""
MAX_REDRIVES: Final = 1_000
"""AWS quota: redrives of one map run."""
LOOK_AHEAD: Final = 1_000
"""Items that are read before there is room for their children: reading goes on while children run."""

_STATUSES: Final = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING")
_CODES: Final = {status: code for code, status in enumerate(_STATUSES)}
_PENDING: Final = _CODES["PENDING"]
_SUCCEEDED: Final = _CODES["SUCCEEDED"]


class MapRun:
    """Where a map run stands, and what it does next."""

    def __init__(self, plan: MapPlan) -> None:
        assert plan.distribution is not None
        self.plan = plan
        self.status: RunStatus | None = None
        self.settings: dict[str, Json] = {}
        # Read and not yet given to a child, each with its source and, where it was a member of an object, its key.
        self.items: deque[tuple[Json, str, str | None]] = deque()
        self.read = 0  # items read so far
        self.taken = 0  # items given to children so far
        self.more = False  # whether the reader has more
        self.statuses = bytearray()  # by child
        self.sizes = array("L")  # items, by child
        self.tally = [[0, 0] for _ in _STATUSES]  # children and items, by status
        self.pending: deque[int] = deque()  # children to be started again
        self.restarts: dict[int, int] = {}  # by child
        self.live: dict[int, int] = {}  # child by wait
        # What children got, until the host tells that it stands in their own journals.
        self.inputs: dict[int, tuple[Json, dict[str, Json] | None]] = {}
        self.starved = False  # whether what is in hand was found to be too little for a batch
        self.failures = 0  # items whose child did not succeed
        self.failing: CloseRun | None = None  # how the run will end once its results are written
        self.effect: ReadItems | WriteResults | None = None
        self.written = False
        self.redrives = 0
        self.seq = 0
        self.journal: list[Entry] = []
        self.opened: dict[int, StartChild | ReadItems | WriteResults] = {}
        self.closed: list[int] = []
        self.close: CloseRun | None = None
        self.now = 0.0

    # ---- event in, entries and commands out ----

    def handle(
        self, event: RunEvent | None, moment: Moment, starts: int = MAX_CONCURRENCY
    ) -> tuple[list[Entry], list[RunCommand]]:
        """Take one event as far as it goes, starting at most so many children. What fits no open wait changes nothing.

        None goes on where `starts` was too few.
        """
        self.journal = []
        self.now = moment.now
        if event is not None:
            self._take(event)
        most = len(self.live) + starts
        while self.status == "RUNNING" and self._step(moment, most):
            pass
        commands: list[RunCommand] = [*self.opened.values(), *(Cancel(wait) for wait in self.closed)]
        if self.journal and self.close is not None:
            commands.append(self.close)
        self.known()
        return self.journal, commands

    def waits(self) -> dict[int, StartChild | ReadItems | WriteResults]:
        """All open waits, by number."""
        waits: dict[int, StartChild | ReadItems | WriteResults] = {
            wait: self._start_command(wait, index) for wait, index in self.live.items()
        }
        if self.effect is not None:
            waits[self.effect.wait] = self.effect
        return waits

    def known(self) -> None:
        """The host knows the waits that are open."""
        self.opened, self.closed = {}, []

    def child(self, index: int) -> str | None:
        """The status of a child; None where none was started. PENDING is one that a redrive will start anew."""
        return _STATUSES[self.statuses[index]] if index < len(self.statuses) else None

    def begun(self, index: int) -> None:
        """A child's own journal has its input now: it need not be kept here. Changes nothing else."""
        self.inputs.pop(index, None)

    def progress(self) -> Progress:
        """How far the run has come, as DescribeMapRun shows it."""
        waiting = self.read - self.taken
        batched = self.settings.get("batcher") is not None
        count, percentage = self.settings["toleratedCount"], self.settings["toleratedPercentage"]
        return Progress(
            concurrency=self.settings["concurrency"] or 0,
            tolerated_count=count or 0,
            tolerated_percentage=percentage or 0.0,
            items=self._counts(1, waiting),
            # How many children the items in hand will make is only known without batches.
            children=self._counts(0, 0 if batched else waiting),
        )

    def _counts(self, which: int, waiting: int) -> Counts:
        running, succeeded, failed, timed_out, aborted, again = (tally[which] for tally in self.tally)
        ended = succeeded + failed + timed_out + aborted
        return Counts(
            pending=waiting,
            running=running,
            succeeded=succeeded,
            failed=failed,
            timed_out=timed_out,
            aborted=aborted,
            total=ended + running + waiting + again,
            results_written=ended if self.written else 0,
            pending_redrive=again,
        )

    def _take(self, event: RunEvent) -> None:
        running = self.status == "RUNNING"
        match event:
            case RunRequested():
                if self.status is None:
                    self._record("RunStarted", msgspec.to_builtins(event))
            case ItemsRead(wait, items, more, source, keys):
                if isinstance(self.effect, ReadItems) and self.effect.wait == wait:
                    told = {"items": items, "more": more, "source": source}
                    self._record("ItemsRead", told if keys is None else {**told, "keys": keys})
            case ChildClosed(wait, status):
                if wait in self.live:
                    self._record("ChildClosed", {"wait": wait, "status": status})
            case ResultsWritten(wait, output):
                if isinstance(self.effect, WriteResults) and self.effect.wait == wait:
                    self._record("RunClosed", {"status": "SUCCEEDED", "output": output, "written": True})
            case EffectFailed(wait, error, cause):
                if self.effect is not None and self.effect.wait == wait:
                    self._record("RunClosed", {"status": "FAILED", "error": error, "cause": cause})
            case RunUpdated():
                if running:
                    self._record("RunUpdated", msgspec.to_builtins(event))
            case RunStopped():
                if running:
                    self._record("RunClosed", {"status": "ABORTED"})
            case RunRedriven():
                if self.status in ("FAILED", "ABORTED"):
                    self._redrive()

    def _redrive(self) -> None:
        allowed = self.redrives < MAX_REDRIVES
        self._record("RunRedriven")
        if not allowed:
            self._record(
                "RunClosed",
                {"status": "FAILED", "error": "States.Runtime", "cause": "The map run was redriven too often."},
            )

    def _step(self, moment: Moment, most: int) -> bool:
        """One decision further; False when the world must move first. No more than `most` children may run."""
        if self.failing is not None:
            return self.effect is None and self._write()
        if self._exceeded():
            self._fail(
                "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
            )
            return True
        if len(self.live) < min(self.settings["concurrency"] or MAX_CONCURRENCY, MAX_CONCURRENCY, most):
            if self.pending:
                self._record("ChildRestarted", {"index": self.pending[0]})
                return True
            if self.items and not self.starved:
                if self._start_next(moment):
                    return True
                self.starved = True
        if self.more and self.effect is None and (self.starved or len(self.items) < LOOK_AHEAD):
            self._record("ReadRequested")
            return True
        if self.live or self.items or self.pending or self.more or self.effect is not None:
            return False
        return self._write()

    def _exceeded(self) -> bool:
        count, percentage = self.settings["toleratedCount"], self.settings["toleratedPercentage"]
        if count is None and percentage is None:
            count = 0
        if count is not None and self.failures > count:
            return True
        # A share is only known when the number of items is.
        return percentage is not None and not self.more and self.failures * 100 > percentage * self.read

    def _start_next(self, moment: Moment) -> bool:
        """Start the next child, unless its batch is not complete before more is read."""
        try:
            note = self._batch(moment)
        except StatesError as error:
            self._fail(error.name or "States.Runtime", error.cause)
            return True
        if note is not None:
            self._record("ChildStarted", note)
        return note is not None

    def _batch(self, moment: Moment) -> dict[str, Json] | None:
        """What the next child gets, as far as it is not simply the next item; None when more must be read first."""
        batcher = self.settings.get("batcher")
        if batcher is None:
            return NOTHING if self.plan.selector is None else {"input": self._selected(0, moment)}
        extra = {} if batcher["input"] is None else {"BatchInput": batcher["input"]}
        most: int | None = batcher["maxItems"]
        room: int | None = batcher["maxBytes"]
        items: list[Json] = []
        size = len(json_text({"Items": [], **extra}).encode())
        full = False
        while not full and len(items) < len(self.items):
            item = self._selected(len(items), moment)
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

    def _selected(self, index: int, moment: Moment) -> Json:
        if self.plan.selector is None:
            return self.items[index][0]
        context = {**self.settings["context"], "Map": self._item(index)}
        scope = Scope(self.settings["taken"], self.settings["variables"], lambda: context, moment.now, moment.random)
        scope.input = self.settings["input"]
        return self.plan.selector(scope)

    def _item(self, index: int) -> dict[str, Json]:
        value, source, key = self.items[index]
        item: dict[str, Json] = {"Index": self.taken + index, "Value": value, "Source": source}
        if key is not None:
            item["Key"] = key
        return {"Item": item}

    def _write(self) -> bool:
        self._record("WriteRequested")
        return True

    def _fail(self, error: str, cause: str | None) -> None:
        writer = self.settings.get("writer")
        exports = writer is not None and writer["resource"] is not None
        # AWS 'ResultWriter': a run that fails leaves the results of its children all the same.
        self._record("RunFailed" if exports else "RunClosed", {"status": "FAILED", "error": error, "cause": cause})

    # ---- the journal ----

    def _record(self, type: str, note: dict[str, Json] = NOTHING) -> None:
        entry = Entry(type, 0, 0, (), self.now, NOTHING, note)
        self.apply(entry)
        self.journal.append(entry)

    def apply(self, entry: Entry) -> None:
        """Take one entry of the journal: the only thing that changes a run."""
        self.seq += 1
        note: dict[str, Any] = entry.note
        match entry.type:
            case "RunStarted":
                self.status, self.redrives = "RUNNING", note["redrives"]
                self.settings, self.more = note["settings"], note["items"] is None
                self._add(note["items"] or [], note["source"], note["keys"])
            case "ReadRequested":
                self._open(ReadItems(wait=self.seq, reader=self.settings["reader"], skip=self.read))
            case "WriteRequested":
                self._open(WriteResults(wait=self.seq, writer=self.settings.get("writer")))
            case "ItemsRead":
                self._settle_effect()
                self.more = note["more"]
                self._add(note["items"], note["source"], note.get("keys"))
            case "ChildStarted":
                self._started(note)
            case "ChildRestarted":
                assert self.pending.popleft() == note["index"]
                self._mark(note["index"], "RUNNING")
                self._start(note["index"])
            case "ChildClosed":
                index = self.live.pop(note["wait"])
                self._forget(note["wait"])
                self.inputs.pop(index, None)
                self._mark(index, note["status"])
                if note["status"] != "SUCCEEDED":
                    self.failures += self.sizes[index]
            case "RunUpdated":
                for key, setting in _UPDATES.items():
                    if note[key] is not None:
                        self.settings = {**self.settings, setting: note[key]}
            case "RunRedriven":
                self._redriven()
            case "RunFailed":
                self.failing = CloseRun("FAILED", None, note["error"], note["cause"])
                self._drop_all()
            case "RunClosed":
                self._closed(note)
            case other:
                raise AssertionError(f"{other} is no entry of a map run")

    def _add(self, items: list[Json], source: str, keys: list[str] | None) -> None:
        self.items.extend((item, source, key) for item, key in zip(items, keys or repeat(None), strict=False))
        self.read += len(items)
        self.starved = False

    def _started(self, note: dict[str, Json]) -> None:
        """A child takes the next items: one as it is, or what the note says."""
        index, size = len(self.statuses), note.get("size", 1)
        alone = "size" not in note
        item = self._item(0) if alone else None
        self.inputs[index] = note["input"] if "input" in note else self.items[0][0], item
        for _ in range(size):
            self.items.popleft()
        self.taken += size
        self.statuses.append(_CODES["RUNNING"])
        self.sizes.append(size)
        self.tally[_CODES["RUNNING"]][0] += 1
        self.tally[_CODES["RUNNING"]][1] += size
        self._start(index)

    def _mark(self, index: int, status: str) -> None:
        code, size = _CODES[status], self.sizes[index]
        for tally, change in ((self.tally[self.statuses[index]], -1), (self.tally[code], 1)):
            tally[0] += change
            tally[1] += change * size
        self.statuses[index] = code

    def _redriven(self) -> None:
        self.status, self.close, self.failing, self.failures = "RUNNING", None, None, 0
        self.written = False
        self.redrives += 1
        self.pending = deque(index for index, code in enumerate(self.statuses) if code != _SUCCEEDED)
        for index in self.pending:
            self._mark(index, "PENDING")
            self.restarts[index] = self.restarts.get(index, 0) + 1

    def _start(self, index: int) -> None:
        self.live[self.seq] = index
        self.opened[self.seq] = self._start_command(self.seq, index)

    def _start_command(self, wait: int, index: int) -> StartChild:
        input, item = self.inputs.get(index, (None, None))
        return StartChild(
            wait=wait,
            index=index,
            input=input,
            items=self.sizes[index],
            item=item,
            redrive=self.restarts.get(index, 0),
        )

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

    def _drop_all(self) -> None:
        """Nothing is waited for any more, and the children are stopped."""
        self._settle_effect()
        for wait, index in self.live.items():
            self._forget(wait)
            self._mark(index, "ABORTED")
        self.live = {}

    def _closed(self, note: dict[str, Json]) -> None:
        self._drop_all()
        self.written = note.get("written", False)
        self.close = CloseRun(note["status"], note.get("output"), note.get("error"), note.get("cause"))
        if self.failing is not None and self.close.status != "ABORTED":
            self.close = self.failing
        self.status = self.close.status


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
    run.known()
    return run

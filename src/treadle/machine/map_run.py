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
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from treadle.errors import StatesError
from treadle.language.plan import MapPlan
from treadle.language.scope import Json
from treadle.machine.commands import Cancel
from treadle.machine.interpreter import Moment
from treadle.machine.journal import NOTHING, Entry
from treadle.machine.limits import Limits
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
from treadle.machine.map_items import Backlog

MAX_CONCURRENCY: Final = 10_000
"""AWS quota: children of one map run at the same time."""
MAX_REDRIVES: Final = 1_000
"""AWS quota: redrives of one map run."""
LOOK_AHEAD: Final = 1_000
"""Items that are read before there is room for their children: reading goes on while children run."""

_EXCEEDED: Final = (
    "States.ExceedToleratedFailureThreshold",
    "The specified tolerated failure threshold was exceeded",
)

_STATUSES: Final = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", *["PENDING_REDRIVE"] * 3)
_CODES: Final = {status: code for code, status in enumerate(_STATUSES[:5])}
_RUNNING: Final = _CODES["RUNNING"]
_SUCCEEDED: Final = _CODES["SUCCEEDED"]
_WAITING: Final = 3
"""Added to the code of FAILED, TIMED_OUT and ABORTED: of a child that a redrive will start anew."""


class MapRun:
    """Where a map run stands, and what it does next."""

    def __init__(self, plan: MapPlan, limits: Limits | None = None) -> None:
        assert plan.distribution is not None
        self.plan = plan
        self.status: RunStatus | None = None
        self.settings: dict[str, Json] = {}
        self.backlog = Backlog(plan, limits)
        self.statuses = bytearray()  # by child
        self.sizes = array("L")  # items, by child
        self.tally = [[0, 0] for _ in _STATUSES]  # children and items, by status
        self.pending: deque[int] = deque()  # children to be started again
        self.restarts: dict[int, int] = {}  # by child
        self.live: dict[int, int] = {}  # child by wait
        # What children got, until the host tells that it stands in their own journals.
        self.inputs: dict[int, tuple[Json, dict[str, Json] | None]] = {}
        self.failures = 0  # items whose child did not succeed since the run was started or redriven
        self.lost: set[int] = set()  # children that did not succeed and cannot be redriven
        self.given_up = 0  # their items, as far as they were lost before the last redrive
        # Children that will not be started, and their items, as the writer of the results found them.
        self.unstarted: tuple[int, int] | None = None
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
        """The status of a child; None where none was started. PENDING_REDRIVE is one that is about to start anew."""
        return _STATUSES[self.statuses[index]] if index < len(self.statuses) else None

    def numbers(self, status: str | None = None, before: int | None = None) -> Iterator[int]:
        """The children with a status, or all, the last one first; only those before a number, if it is given."""
        codes = [code for code, each in enumerate(_STATUSES) if status in (None, each)]
        end = len(self.statuses) if before is None else before
        while (end := max(self.statuses.rfind(code, 0, end) for code in codes)) >= 0:
            yield end

    def begun(self, index: int) -> None:
        """A child's own journal has its input now: it need not be kept here. Changes nothing else."""
        self.inputs.pop(index, None)

    def progress(self) -> Progress:
        """How far the run has come, as DescribeMapRun shows it."""
        count, percentage = self.settings["toleratedCount"], self.settings["toleratedPercentage"]
        started = len(self.statuses)
        waiting = self.unstarted or (self.backlog.children(self.settings, started), len(self.backlog))
        return Progress(
            concurrency=self.settings["concurrency"] or 0,
            tolerated_count=count or 0,
            tolerated_percentage=percentage or 0.0,
            items=self._counts(1, waiting[1]),
            children=self._counts(0, waiting[0]),
        )

    def _counts(self, which: int, waiting: int) -> Counts:
        running, succeeded, failed, timed_out, aborted, *again = (tally[which] for tally in self.tally)
        ended = succeeded + failed + timed_out + aborted
        return Counts(
            pending=waiting,
            running=running,
            succeeded=succeeded,
            failed=failed,
            timed_out=timed_out,
            aborted=aborted,
            total=ended + running + waiting + sum(again),
            results_written=ended if self.written else 0,
            failures_not_redrivable=sum(self.sizes[index] if which else 1 for index in self.lost),
            pending_redrive=sum(again),
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
            case ChildClosed(wait, status, lost):
                if wait in self.live:
                    told = {"wait": wait, "status": status}
                    self._record("ChildClosed", {**told, "lost": True} if lost else told)
            case ResultsWritten(wait, output, unstarted):
                if isinstance(self.effect, WriteResults) and self.effect.wait == wait:
                    told = {"status": "SUCCEEDED", "output": output, "written": True}
                    self._record("RunClosed", {**told, "unstarted": list(unstarted)} if any(unstarted) else told)
            case EffectFailed(wait, error, cause):
                if self.effect is None or self.effect.wait != wait:
                    return
                if isinstance(self.effect, ReadItems) and self.statuses:
                    self._fail("FAILED", error, cause)
                else:
                    self._record("RunClosed", {"status": "FAILED", "error": error, "cause": cause})
            case RunUpdated():
                if running:
                    self._record("RunUpdated", msgspec.to_builtins(event))
            case RunStopped():
                if running and self.failing is None:
                    self._fail("ABORTED")
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
        if self._exceeded(self.failures):
            self._fail("FAILED", *_EXCEEDED)
            return True
        if len(self.live) < min(self.settings["concurrency"] or MAX_CONCURRENCY, MAX_CONCURRENCY, most):
            if self.pending:
                self._record("ChildRestarted", {"index": self.pending[0]})
                return True
            if self._start_next(moment):
                return True
        backlog = self.backlog
        if backlog.more and self.effect is None and (backlog.starved or len(backlog) < LOOK_AHEAD):
            self._record("ReadRequested")
            return True
        if self.live or backlog or self.pending or backlog.more or self.effect is not None:
            return False
        # Only now, so that a redrive runs again whatever it can.
        if self._exceeded(self.failures + self.given_up):
            self._fail("FAILED", *_EXCEEDED)
            return True
        return self._write()

    def _exceeded(self, failures: int) -> bool:
        count, percentage = self.settings["toleratedCount"], self.settings["toleratedPercentage"]
        if count is None and percentage is None:
            count = 0
        if count is not None and failures > count:
            return True
        # A share is only known when the number of items is.
        return percentage is not None and not self.backlog.more and failures * 100 > percentage * self.backlog.read

    def _start_next(self, moment: Moment) -> bool:
        """Start the next child, unless there is none before more is read."""
        try:
            note = self.backlog.next(self.settings, moment)
        except StatesError as error:
            self._fail("FAILED", error.name or "States.Runtime", error.cause)
            return True
        if note is not None:
            self._record("ChildStarted", note)
        return note is not None

    def _write(self) -> bool:
        self._record("WriteRequested")
        return True

    def _fail(self, status: Literal["FAILED", "ABORTED"], error: str | None = None, cause: str | None = None) -> None:
        writer = self.settings.get("writer")
        exports = writer is not None and writer["resource"] is not None
        # AWS 'ResultWriter': a run that fails or is stopped leaves the results of its children all the same, and what
        # was never started.
        self._record("RunFailed" if exports else "RunClosed", {"status": status, "error": error, "cause": cause})

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
                self.settings = note["settings"]
                items: list[Json] | None = note["items"]
                self.backlog.add(items or [], note["source"], note["keys"], more=items is None)
            case "ReadRequested":
                self._open(ReadItems(wait=self.seq, reader=self.settings["reader"], skip=self.backlog.read))
            case "WriteRequested":
                self._open(WriteResults(wait=self.seq, writer=self.settings.get("writer")))
            case "ItemsRead":
                self._settle_effect()
                self.backlog.add(note["items"], note["source"], note.get("keys"), more=note["more"])
            case "ChildStarted":
                self._started(note)
            case "ChildRestarted":
                index = self.pending.popleft()
                assert index == note["index"]
                self._mark(index, _RUNNING)
                self.restarts[index] = self.restarts.get(index, 0) + 1
                self._start(index)
            case "ChildClosed":
                index = self.live.pop(note["wait"])
                self._forget(note["wait"])
                self.inputs.pop(index, None)
                self._mark(index, _CODES[note["status"]])
                if note["status"] != "SUCCEEDED":
                    self.failures += self.sizes[index]
                if "lost" in note:
                    self.lost.add(index)
            case "RunUpdated":
                for key, setting in _UPDATES.items():
                    if note[key] is not None:
                        self.settings = {**self.settings, setting: note[key]}
            case "RunRedriven":
                self._redriven()
            case "RunFailed":
                self.failing = CloseRun(note["status"], None, note["error"], note["cause"])
                self._drop_all()
            case "RunClosed":
                self._closed(note)
            case other:
                raise AssertionError(f"{other} is no entry of a map run")

    def _started(self, note: dict[str, Json]) -> None:
        index = len(self.statuses)
        input, item, size = self.backlog.take(note)
        self.inputs[index] = input, item
        self.statuses.append(_RUNNING)
        self.sizes.append(size)
        self.tally[_RUNNING][0] += 1
        self.tally[_RUNNING][1] += size
        self._start(index)

    def _mark(self, index: int, code: int) -> None:
        size = self.sizes[index]
        for tally, change in ((self.tally[self.statuses[index]], -1), (self.tally[code], 1)):
            tally[0] += change
            tally[1] += change * size
        self.statuses[index] = code

    def _redriven(self) -> None:
        self.status, self.close, self.failing, self.failures = "RUNNING", None, None, 0
        self.written, self.unstarted = False, None
        self.redrives += 1
        # What cannot be redriven stays failed. AWS 'Redrive Map Runs'.
        self.given_up = sum(self.sizes[index] for index in self.lost)
        self.pending = deque(
            index for index, code in enumerate(self.statuses) if code != _SUCCEEDED and index not in self.lost
        )
        for index in self.pending:
            self._mark(index, self.statuses[index] + _WAITING)

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
            self._mark(index, _CODES["ABORTED"])
        self.live = {}
        for index in self.pending:
            self._mark(index, self.statuses[index] - _WAITING)
        self.pending.clear()

    def _closed(self, note: dict[str, Json]) -> None:
        self._drop_all()
        self.written = note.get("written", False)
        if (unstarted := note.get("unstarted")) is not None:
            self.unstarted = unstarted[0], unstarted[1]
        self.close = CloseRun(note["status"], note.get("output"), note.get("error"), note.get("cause"))
        if self.failing is not None:
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

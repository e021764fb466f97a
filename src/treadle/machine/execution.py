"""Where one execution stands, and the only function that changes it.

Owns frames, open waits and the status. `Execution.apply` takes the entries of the journal one by one, live and in
recovery alike, and evaluates nothing (changes.py has a function per type of entry). It must never decide what comes
next (interpreter.py does) and never read a clock.
"""

from __future__ import annotations

from collections.abc import Iterable

from treadle.language.plan import Plan
from treadle.language.scope import Json
from treadle.machine.changes import CHANGES
from treadle.machine.commands import StartTimer, Status, Wait
from treadle.machine.events import Identity
from treadle.machine.frame import WAIT, Frame, child
from treadle.machine.journal import KEEPS_PREVIOUS, Entry, FramePath


class Execution:
    """Where one execution stands. Plain data; only `apply` changes it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.root = Frame(plan, None, (), {})
        self.status: Status | None = None
        self.identity: Identity | None = None
        self.input: Json = None
        self.input_text: str | None = None  # the input as it was written, where that differs from `json_text`
        self.output: Json = None
        self.error: str | None = None
        self.cause: str | None = None
        self.started_at = 0.0
        self.redrives = 0
        self.redriven_at: float | None = None
        self.seq = 0  # entries applied so far; a wait is named by the entry that opened it
        self.known = 0  # waits up to here are known to the host
        self.events = 0  # the last history event id
        self.time_limit: StartTimer | None = None
        self.waiting: dict[int, Frame] = {}
        # What has changed since these were last taken; together they are the difference of open waits.
        self.opened: dict[int, Wait] = {}
        self.closed: list[int] = []

    def waits(self) -> dict[int, Wait]:
        """All open waits, by number."""
        waits: dict[int, Wait] = {seq: frame.wait for seq, frame in self.waiting.items() if frame.wait is not None}
        if self.time_limit is not None:
            waits[self.time_limit.wait] = self.time_limit
        return waits

    def frame(self, path: FramePath) -> Frame:
        """The frame at a path."""
        frame = self.root
        for index in path:
            frame = frame.children[index]
        return frame

    def apply(self, entry: Entry) -> Frame:
        """Take one entry of the journal; gives the frame it was about."""
        frame = self.root
        for index in entry.frame:
            frame = child(frame, index)
        self.change(frame, entry)
        return frame

    def change(self, frame: Frame, entry: Entry) -> None:
        """Apply an entry to its frame, where the caller has the frame at hand."""
        self.seq += 1
        if entry.id:
            self.events = entry.id
            if entry.type not in KEEPS_PREVIOUS:
                frame.previous = entry.id
        CHANGES[entry.type](self, frame, entry)

    def take_difference(self) -> tuple[list[Wait], list[int]]:
        """The waits opened, and the numbers of those closed, since the last time."""
        opened, closed = list(self.opened.values()), self.closed
        self.opened, self.closed, self.known = {}, [], self.seq
        return opened, closed

    def open(self, frame: Frame, wait: Wait) -> None:
        """The frame waits for the world from now on."""
        frame.wait = wait
        frame.todo = WAIT
        self.waiting[wait.wait] = frame
        self.opened[wait.wait] = wait

    def settle(self, frame: Frame) -> None:
        """The frame waits no longer."""
        wait = frame.wait
        if wait is not None:
            frame.wait = None
            del self.waiting[wait.wait]
            self._forget(wait.wait)

    def end(self, status: Status) -> None:
        """The execution is over: nothing is waited for any more. Its frames stay, for a redrive."""
        self.status = status
        for frame in list(self.waiting.values()):
            self.settle(frame)
        if self.time_limit is not None:
            self._forget(self.time_limit.wait)
            self.time_limit = None

    def limit_time(self, since: float) -> None:
        """Start the clock of the machine's own TimeoutSeconds, or of the host's bound where that is shorter."""
        assert self.identity is not None
        bounds = [bound for bound in (self.plan.timeout, self.identity.longest) if bound is not None]
        if bounds:
            self.time_limit = StartTimer(self.seq, since + min(bounds))
            self.opened[self.seq] = self.time_limit

    def _forget(self, seq: int) -> None:
        self.opened.pop(seq, None)
        if seq <= self.known:
            self.closed.append(seq)


def recover(plan: Plan, journal: Iterable[Entry]) -> Execution:
    """The execution after these entries: all that crash recovery is. The host knows its open waits already."""
    execution = Execution(plan)
    apply = execution.apply
    for entry in journal:
        apply(entry)
    execution.take_difference()
    return execution

"""Crash anywhere: whatever a host forgets but the journal, and whenever, the execution goes on as if nothing had been.

Random programs meet a random world. The same events are then given to hosts that forget everything but the journal after
every commit, or after every event: journals must be equal, entry for entry, and open waits equal to the outbox always.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import ACTIVITY, LAMBDA, Program, programs

from treadle.language.plan import Plan
from treadle.machine.commands import Cancel, Close, Command, RunTask, StartMapRun, StartTimer, Wait
from treadle.machine.events import (
    Event,
    ForkRequested,
    JobAccepted,
    MapRunClosed,
    RedriveRequested,
    StartRequested,
    StopRequested,
    TaskErred,
    TaskPickedUp,
    TaskReturned,
    TimerDue,
)
from treadle.machine.execution import Execution, recover
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.journal import HIDDEN, Entry
from treadle.testing.checker import check_journal
from treadle.testing.world import START, identity_of

DEEP = os.environ.get("TREADLE_DEEP") == "1"
PROGRAMS = 2_000 * (20 if DEEP else 1)
THOROUGH = settings(
    max_examples=PROGRAMS,
    deadline=None,
    database=None,
    derandomize=not DEEP,
    suppress_health_check=list(HealthCheck),
)
WHOLE = 1_000_000
MOST_EVENTS = 150
MOST_REDRIVES = 2

JSON = msgspec.json.Decoder(list[Entry])
MSGPACK = msgspec.msgpack.Decoder(list[Entry])


class ByPosition:
    """Random numbers that depend on the place in the journal alone, so that every host draws the same."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.drawn = (0, 0)

    def getrandbits(self, k: int, /) -> int:
        seq, count = self.drawn
        self.drawn = (self.execution.seq, count + 1 if seq == self.execution.seq else 0)
        return int.from_bytes(hashlib.blake2b(repr(self.drawn).encode()).digest()) >> (512 - k)

    def random(self) -> float:
        return self.getrandbits(53) / 2**53


@dataclass
class Host:
    """Keeps a journal and an outbox, as every host of the machine does, and forgets the rest when told to.

    `page` is the size of a commit; `forgets` tells whether the execution is rebuilt from the journal before each call.
    """

    plan: Plan
    program: Program
    journal: list[Entry] = field(default_factory=list)
    page: int = WHOLE
    forgets: bool = False
    packed: bool = False
    outbox: dict[int, Wait] = field(default_factory=dict)
    closings: list[Close] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.recover()

    @property
    def execution(self) -> Execution:
        return self.interpreter.execution

    def recover(self) -> None:
        self.interpreter = Interpreter(recover(self.plan, self.journal), self.program.limits)
        self.random = ByPosition(self.execution)

    def give(self, event: Event, now: float) -> None:
        """One event and all that follows from it, page by page."""
        following: Event | None = event
        while True:
            entries = self.handle(following, now)
            following = None
            if len(entries) < self.page:
                break

    def handle(self, event: Event | None, now: float) -> list[Entry]:
        if self.forgets:
            self.recover()
        entries, commands = self.interpreter.handle(event, Moment(now, self.random, "token-{}".format), self.page)
        self.journal += stored(entries, self.packed) if self.forgets else entries
        for command in commands:
            self.take(command)
        assert self.execution.waits() == self.outbox, "the outbox is what the frames wait for"
        self.calls += 1
        return entries

    def take(self, command: Command) -> None:
        match command:
            case Cancel(wait):
                self.outbox.pop(wait, None)
            case Close():
                self.closings.append(command)
                assert self.execution.status == command.status
            case _:
                self.outbox[command.wait] = command


def stored(entries: list[Entry], packed: bool) -> list[Entry]:
    """The entries as they come back from a store."""
    if packed:
        return MSGPACK.decode(msgspec.msgpack.encode(entries))
    return JSON.decode(msgspec.json.encode(entries))


# ---- the world ---------------------------------------------------------------------------------------------------


class World:
    """Decides what happens next. Every decision takes a byte of `luck`; when there are no more, all goes well."""

    def __init__(self, luck: bytes) -> None:
        self.luck = iter(luck)

    def draw(self, below: int) -> int:
        return next(self.luck, 0) % below

    def next(self, host: Host, now: float) -> tuple[Event, float]:
        """The next event and its moment."""
        waits = sorted(host.outbox)
        if self.draw(50) == 49 or not waits:
            return StopRequested("Stopped", "by hand"), now
        wait = host.outbox[waits[self.draw(len(waits))]]
        now += self.draw(3) / 8
        match wait:
            case StartTimer(number, at):
                return TimerDue(number), max(now, at)
            case StartMapRun(wait=number):
                failed = self.draw(3) == 2
                return MapRunClosed(number, None if failed else [1], "States.ItemReaderFailed" if failed else None), now
            case RunTask():
                return self.task(wait, now)

    def task(self, task: RunTask, now: float) -> tuple[Event, float]:
        number = task.wait
        if task.phase == "scheduled":
            return (TaskErred(number, "Gone", None, "schedule") if self.draw(12) == 11 else TaskPickedUp(number, "w")), now
        if task.phase == "started" and not self.at_once(task):
            if self.draw(8) == 7:
                return TaskErred(number, "Refused", "no", "submit"), now
            return JobAccepted(number, {"job": number}), now
        match self.draw(9):
            case 5:
                return TaskErred(number, "Boom", "it failed"), now
            case 6:
                return TaskErred(number), now
            case 7 if task.deadline is not None:
                return TimerDue(number, "timeout"), max(now, task.deadline)
            case 7 if task.heartbeat is not None:
                return TimerDue(number, "heartbeat"), now
            case 8:
                return TaskReturned(number, "y" * 300), now
            case _:
                return TaskReturned(number, {"ok": number}), now

    def at_once(self, task: RunTask) -> bool:
        return task.resource in (LAMBDA, ACTIVITY) or "." not in task.resource.rsplit(":", 1)[-1].replace("sync:2", "")


Script = list[tuple[Event, float]]


def live(host: Host, luck: bytes, first: Event) -> Script:
    """Run to the end in a random world; gives the events that happened."""
    world = World(luck)
    now = START
    script: Script = []

    def happen(event: Event, at: float) -> None:
        script.append((event, at))
        host.give(event, at)
        assert host.handle(None, at) == [], "an event is taken as far as it goes"
        if not isinstance(event, ForkRequested | RedriveRequested):
            before = len(host.closings)
            assert host.interpreter.handle(event, Moment(at, host.random, str)) == ([], []), "events may be repeated"
            assert len(host.closings) == before

    happen(first, now)
    while True:
        if host.execution.status == "RUNNING":
            event, now = (StopRequested(), now) if len(script) > MOST_EVENTS else world.next(host, now)
            happen(event, now)
        else:
            assert not host.outbox, "nothing is waited for after the end"
            redriven = sum(isinstance(event, RedriveRequested) for event, _ in script)
            if host.execution.status == "SUCCEEDED" or redriven == MOST_REDRIVES or world.draw(4) != 3:
                return script
            happen(RedriveRequested(), now + 1)


def replayed(program: Program, plan: Plan, script: Script, journal: Sequence[Entry] = (), **how: object) -> Host:
    """What a host with other habits makes of the same events."""
    host = Host(plan, program, list(journal), **how)
    for event, now in script:
        host.give(event, now)
    return host


def check(program: Program, plan: Plan, luck: bytes, first: Event, journal: Sequence[Entry] = ()) -> Host:
    """Run once, then with every way of forgetting; gives the first run."""
    host = Host(plan, program, list(journal))
    script = live(host, luck, first)
    check_journal(host.journal)
    visible = [entry for entry in host.journal if entry.type not in HIDDEN]
    assert [entry.id for entry in visible] == list(range(1, len(visible) + 1))
    assert len(visible) <= program.limits.history_events + host.execution.redrives * 2
    assert stored(host.journal, packed=True) == stored(host.journal, packed=False) == host.journal
    for how in (
        {"page": 1, "forgets": True},
        {"page": WHOLE, "forgets": True, "packed": True},
        {"page": 3},
    ):
        other = replayed(program, plan, script, journal, **how)
        assert other.journal == host.journal, how
        assert other.closings == host.closings, how
    return host


def test_a_host_may_forget_everything_but_the_journal_at_any_point() -> None:
    seen: Counter[str] = Counter()

    @THOROUGH
    @given(programs(), st.binary(max_size=120))
    def holds(program: Program, luck: bytes) -> None:
        plan = program.plan
        start = StartRequested(program.input, identity_of())
        host = check(program, plan, luck, start)
        seen.update(entry.type for entry in host.journal)
        seen.update([str(host.execution.status), "programs"])
        seen.update(entries=len(host.journal))

    holds()
    print(dict(seen))

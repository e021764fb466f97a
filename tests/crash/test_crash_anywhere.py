"""Crash anywhere: whatever a host forgets but the journal, and whenever, the execution goes on as if nothing had been.

Random programs meet a random world. The same events are then given to hosts that forget everything but the journal
after every commit, or after every event: journals must be equal, entry for entry, and open waits equal to the outbox
always.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import ACTIVITY, LAMBDA, Program, lucks, programs

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
from treadle.machine.journal import DETAILS, ENTERED, HIDDEN, Entry
from treadle.runtime.clock import START
from treadle.testing.checker import check_journal
from treadle.testing.world import identity_of

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
    A `hasty` host gives the next event although the last one may not have been taken as far as it goes.
    """

    program: Program
    plan: Plan
    journal: list[Entry] = field(default_factory=list)
    page: int = WHOLE
    forgets: bool = False
    packed: bool = False
    hasty: bool = False
    outbox: dict[int, Wait] = field(default_factory=dict)
    closings: list[Close] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recover()

    @property
    def execution(self) -> Execution:
        return self.interpreter.execution

    def recover(self) -> None:
        self.interpreter = Interpreter(recover(self.plan, self.journal), self.program.limits)
        self.random = ByPosition(self.execution)

    def moment(self, now: float) -> Moment:
        return Moment(now, self.random, "token-{}".format)

    def give(self, event: Event | None, now: float) -> None:
        """One event and all that follows from it, page by page."""
        entries = self.handle(event, now)
        while len(entries) >= self.page and not self.hasty:
            entries = self.handle(None, now)

    def handle(self, event: Event | None, now: float) -> list[Entry]:
        if self.forgets:
            self.recover()
        entries, commands = self.interpreter.handle(event, self.moment(now), self.page)
        self.journal += stored(entries, self.packed) if self.forgets else entries
        for command in commands:
            self.take(command)
        assert self.execution.waits() == self.outbox, "the outbox is what the frames wait for"
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
        if self.draw(80) == 79 or not waits:
            return StopRequested("Stopped", "by hand"), now
        wait = host.outbox[waits[self.draw(len(waits))]]
        now += self.draw(3) / 8
        match wait:
            case StartTimer(number, at):
                return TimerDue(number), max(now, at)
            case StartMapRun(wait=number):
                failed = self.draw(2) == 1
                return MapRunClosed(number, None if failed else [1], "States.ItemReaderFailed" if failed else None), now
            case RunTask():
                return self.task(wait, now)

    def task(self, task: RunTask, now: float) -> tuple[Event, float]:
        number = task.wait
        if task.phase == "scheduled":
            gone = self.draw(6) == 5
            return TaskErred(number, "Gone", None, "schedule") if gone else TaskPickedUp(number, "w"), now
        if task.phase == "started" and not self.at_once(task):
            if self.draw(8) == 7:
                return TaskErred(number, "Refused", "no", "submit"), now
            return JobAccepted(number, {"job": number}), now
        if task.phase == "started" and self.draw(8) == 7:
            return TaskErred(number, "Refused", "no", ("schedule", "start")[self.draw(2)]), now
        match self.draw(9):
            case 4 | 5:
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


Script = list[tuple[Event | None, float]]


def live(host: Host, luck: bytes, first: Event) -> Script:
    """Run to the end in a random world; gives what was given to the host."""
    world = World(luck)
    now = host.journal[-1].at if host.journal else START
    script: Script = []

    def happen(event: Event | None) -> None:
        script.append((event, now))
        host.give(event, now)
        if not host.hasty:
            assert_repeatable(host, event, now)

    happen(first)
    while True:
        if host.execution.status == "RUNNING":
            if host.hasty and (not host.outbox or world.draw(2)):
                happen(None)
            elif len(script) > MOST_EVENTS:
                happen(StopRequested())
            else:
                event, now = world.next(host, now)
                happen(event)
        else:
            assert not host.outbox, "nothing is waited for after the end"
            redriven = sum(isinstance(event, RedriveRequested) for event, _ in script)
            if host.execution.status == "SUCCEEDED" or redriven == MOST_REDRIVES or world.draw(2) == 0:
                return script
            now += 1
            happen(RedriveRequested())


def assert_repeatable(host: Host, event: Event | None, now: float) -> None:
    """An event is taken as far as it goes, and a second delivery changes nothing."""
    repeated = None if isinstance(event, ForkRequested | RedriveRequested) else event
    for again in (None, repeated):
        assert host.interpreter.handle(again, host.moment(now)) == ([], [])


def assert_any_prefix_goes_on(host: Host, script: Script) -> None:
    """Whatever entry was the last to be kept, the machine goes on from there as it did."""
    again = Host(host.program, host.plan)
    for event, now in script:
        start = len(again.journal)
        again.give(event, now)
        whole = again.journal
        for cut in range(start + 1, len(whole)):
            kept = Host(host.program, host.plan, whole[:cut])
            entries, _ = kept.interpreter.handle(None, kept.moment(now))
            assert entries == whole[cut:], f"cut after {whole[cut - 1].type}"


def check(program: Program, luck: bytes, first: Event, journal: Sequence[Entry] = (), **habits: Any) -> Host:
    """Run once, then with every way of forgetting; gives the first run."""
    plan = program.plan
    host = Host(program, plan, list(journal), **habits)
    script = live(host, luck, first)
    check_journal(host.journal, plan)
    visible = [entry for entry in host.journal if entry.type not in HIDDEN]
    assert [entry.id for entry in visible] == list(range(1, len(visible) + 1))
    assert len(visible) <= program.limits.history_events
    assert stored(host.journal, packed=True) == stored(host.journal, packed=False) == host.journal
    if not journal and not host.hasty:
        assert_any_prefix_goes_on(host, script)
    for way in FORGETFUL if not host.hasty else ({"forgets": True},):
        other = Host(program, plan, list(journal), **{**habits, **way})
        for event, now in script:
            other.give(event, now)
        assert other.journal == host.journal, way
        assert other.closings == host.closings, way
    return host


FORGETFUL: tuple[dict[str, Any], ...] = (
    {"page": 1, "forgets": True},
    {"page": WHOLE, "forgets": True, "packed": True},
    {"page": 3},
)


NOT_REACHED = {"ExecutionForked"}
"""A fork is another test's; a map run is aborted only with all that is around it."""


def test_a_host_may_forget_everything_but_the_journal_at_any_point() -> None:
    seen: Counter[str] = Counter()

    @THOROUGH
    @given(programs(), lucks())
    def holds(program: Program, luck: bytes) -> None:
        host = check(program, luck, StartRequested(program.input, identity_of()))
        seen.update(entry.type for entry in host.journal)

    holds()
    assert {*DETAILS, *HIDDEN} - set(seen) <= NOT_REACHED


def test_a_host_may_give_events_between_two_pages() -> None:
    @settings(THOROUGH, max_examples=PROGRAMS // 4)
    @given(programs(), lucks(), st.integers(1, 4))
    def holds(program: Program, luck: bytes, page: int) -> None:
        check(program, luck, StartRequested(program.input, identity_of()), page=page, hasty=True)

    holds()


def test_a_fork_goes_on_like_an_execution_of_its_own() -> None:
    @settings(THOROUGH, max_examples=PROGRAMS // 4)
    @given(programs(), lucks(), lucks(), st.data())
    def holds(program: Program, luck: bytes, other: bytes, data: st.DataObject) -> None:
        original = Host(program, program.plan)
        live(original, luck, StartRequested(program.input, identity_of()))
        entered = [index for index, entry in enumerate(original.journal) if entry.type in ENTERED.values()]
        cut = data.draw(st.sampled_from(entered))
        edits = data.draw(st.sampled_from(({}, {"input": {"n": 5}}, {"variables": {"v0": "forked"}})))
        fork = check(program, other, ForkRequested(original.journal[cut].frame, **edits), original.journal[:cut])
        entry = next(each for each in fork.journal[cut:] if each.frame == original.journal[cut].frame and each.id)
        assert entry.details["name"] == original.journal[cut].details["name"]
        assert entry.details["input"] == edits.get("input", original.journal[cut].details["input"])

    holds()

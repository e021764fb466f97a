"""One execution in memory: what has come in -> handle -> one commit -> dispatch.

Events of one execution are taken one after another. While a commit is being flushed further events gather, and the next
turn takes them all, so a wide Map costs few flushes. Nothing is dispatched, and nobody is answered, before the commit
that it follows from is durable. Whose turn it is, and the commit itself, are rounds.py's.

When a commit fails, what is in memory has run ahead of the store, and nobody can say whether the commit was written all
the same. So the execution is read back: a commit that turns out to be there is followed up, and the events are taken
again, which changes nothing where they had been taken.

After a full page more is to come although no wait says so. A timer of number 0, which no entry has, stands in the store
meanwhile: it brings the execution back after a crash.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from treadle.errors import Conflict, NotFound, StoreError, Unavailable
from treadle.language.plan import Plan
from treadle.machine.commands import Cancel, Close, Command, RunTask, StartMapRun, StartTimer, Wait
from treadle.machine.events import Event
from treadle.machine.execution import Execution, recover
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.journal import Entry
from treadle.machine.limits import Limits
from treadle.runtime.ports import Clock, Commit, Store, Summary, WaitRow

log = logging.getLogger("treadle.runtime")

PAGE: Final = 10_000
"""Entries per commit at the most: an endless loop still lets others live."""
_RETRY_SECONDS: Final = 1.0
MORE: Final = 0
"""The number of the timer that stands for the rest of a full page."""


class Host(Protocol):
    """What a live execution needs of the engine."""

    store: Store
    clock: Clock
    limits: Limits
    seed: str

    def token(self, arn: str, wait: int) -> str:
        """The task token of a wait."""
        ...

    def row(self, arn: str, command: Wait) -> WaitRow:
        """The row of an open wait."""
        ...

    def opened(self, row: WaitRow) -> None:
        """A wait stands in the store: do what it needs."""
        ...

    def dropped(self, arn: str, wait: int) -> None:
        """A wait is gone."""
        ...

    def closed(self, summary: Summary) -> None:
        """The execution has ended."""
        ...

    def rested(self, live: Live) -> None:
        """Nothing is happening in the execution any more."""
        ...

    def broken(self, arn: str, events: Sequence[Event]) -> None:
        """The execution cannot go on as it is in memory; these events have not been taken yet."""
        ...

    def enter(self, live: Live) -> None:
        """Something has come in: the execution wants a turn."""
        ...

    def known(self, live: Live) -> None:
        """The execution stands in the store, and goes on."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the engine's task group."""
        ...


class Draws:
    """Random numbers from a seed; most steps draw none, so the generator is made when one does."""

    __slots__ = ("_generator", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._generator: random.Random | None = None

    def random(self) -> float:
        """A float in [0, 1)."""
        return self._made().random()

    def getrandbits(self, k: int, /) -> int:
        """An integer of k random bits."""
        return self._made().getrandbits(k)

    def _made(self) -> random.Random:
        if self._generator is None:
            digest = hashlib.blake2b(self._seed.encode(), digest_size=8).digest()
            self._generator = random.Random(int.from_bytes(digest))
        return self._generator


class _Step(msgspec.Struct, frozen=True, gc=False):
    """A commit, and what is to be done once it is durable."""

    commit: Commit
    opened: Sequence[WaitRow]
    closes: bool


_Ask: TypeAlias = tuple[Event | None, asyncio.Future[int] | None]
"""An event and who asked for it. No event: go on where the journal ends."""


class Live:
    """An execution that this process holds. `latest` is the time of its last entry."""

    def __init__(self, host: Host, summary: Summary, plan: Plan, execution: Execution, latest: float = 0.0) -> None:
        self.host = host
        self.summary = summary
        self.plan = plan
        self.interpreter = Interpreter(execution, host.limits)
        self.inherited: list[Entry] = []  # a fork's copy of what came before, written with its first commit
        self.inbox: list[_Ask] = []
        self.idle = True  # nothing is happening, so it may be forgotten: all that it is stands in the store
        self._latest = latest
        self._batch: list[_Ask] = []  # what the turn under way took
        self._written: list[int] = []  # how many entries each of these led to
        self._fault: Exception | None = None  # why they could not be handled
        self._unfinished = bool(self.interpreter.heap)  # the timer for the rest of a page may stand in the store
        self._attempt: _Step | None = None  # what the turn under way commits

    @property
    def arn(self) -> str:
        """The execution's ARN."""
        return self.summary.arn

    @property
    def execution(self) -> Execution:
        """Where it stands: ahead of the store while a commit is under way."""
        return self.interpreter.execution

    def post(self, event: Event) -> None:
        """Have an event taken."""
        self._put((event, None))

    async def send(self, event: Event) -> int:
        """Have an event taken; returns, durably, how many entries it and what came with it led to."""
        return await self.ask(event)

    def ask(self, event: Event) -> asyncio.Future[int]:
        """What `send` will give."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put((event, answer))
        return answer

    def carry_on(self) -> None:
        """Go on where a full page ended, if one did."""
        if self.interpreter.heap:
            self._put((None, None))

    def abandon(self, error: Exception) -> None:
        """Nothing more will be taken, and what is under way is not followed up."""
        asks, self._batch, self.inbox = [*self._batch, *self.inbox], [], []
        _refuse(asks, error)

    def _put(self, ask: _Ask) -> None:
        self.inbox.append(ask)
        if self.idle:
            self.idle = False
            self.host.enter(self)

    # ---- a turn: see rounds.py ----

    def take(self) -> Commit | None:
        """Handle what has come in, or a page of it; gives what must be durable before anything follows from it."""
        self._batch, self.inbox = self.inbox, []
        self._written, self._attempt, self._fault = [], None, None
        try:
            self._attempt = self._handled()
        except Exception as error:
            self._fault = error
        return None if self._attempt is None else self._attempt.commit

    def settle(self, error: Exception | None) -> None:
        """End the turn. The commit is durable, or `error` tells why nobody knows that."""
        error = self._fault or error
        if isinstance(error, Conflict | Unavailable):
            self.host.spawn(self._start_over(error))
            return
        if error is None:
            try:
                self._follow_up()
            except Exception as fault:
                error = fault
        if error is None:
            self._end_turn()
        else:
            self._break(error)

    def _handled(self) -> _Step | None:
        moment = self._moment()
        entries: list[Entry] = []
        commands: list[Command] = []
        for number, (event, _) in enumerate(self._batch, 1):
            more, wanted = self.interpreter.handle(event, moment, PAGE)
            self._written.append(len(more))
            entries += more
            commands += wanted
            if len(more) >= PAGE:
                # What has come in goes first, or an endless loop could not be stopped.
                self.inbox = [*self._batch[number:], (None, None)]
                del self._batch[number:]
                break
        return self._step(entries, commands) if entries else None

    def _end_turn(self) -> None:
        self._batch = []
        if self.inbox:
            self.host.known(self)
            self.host.enter(self)
        else:
            self.idle = True
            self.host.rested(self)

    def _break(self, error: Exception) -> None:
        """A fault of ours in one execution must not take the others with it. Its journal stands as it was."""
        log.error("execution %s cannot go on", self.arn, exc_info=error)
        rest, self.inbox = self.inbox, []
        _refuse([*self._batch, *rest], error)
        self._batch = []
        self.idle = True
        self.host.broken(self.arn, [event for event, answer in rest if event is not None and answer is None])

    def _moment(self) -> Moment:
        """The randomness depends on the place in the journal alone, so a repeated step is the same step."""
        # The clock of a machine may be set back; a journal never runs backwards.
        self._latest = max(self._latest, self.host.clock.now())
        return Moment(
            self._latest,
            Draws(f"{self.host.seed}:{self.arn}:{self.execution.seq}"),
            lambda wait: self.host.token(self.arn, wait),
        )

    def _step(self, entries: list[Entry], commands: list[Command]) -> _Step:
        before = self.summary
        entries, self.inherited = self.inherited + entries, []
        opened: dict[int, WaitRow] = {}
        closed: list[int] = []
        closes = False
        for command in commands:
            match command:
                case RunTask() | StartTimer() | StartMapRun():
                    opened[command.wait] = self.host.row(self.arn, command)
                case Cancel(wait):
                    if wait not in opened or wait <= before.length:
                        closed.append(wait)
                    opened.pop(wait, None)
                case Close():
                    closes = True
        execution = self.execution
        summary = msgspec.structs.replace(
            before,
            length=before.length + len(entries),
            status=execution.status or "RUNNING",
            started_at=execution.started_at,
            stopped_at=entries[-1].at if closes else None,
            error=execution.error,
            cause=execution.cause,
            redrives=execution.redrives,
            redriven_at=execution.redriven_at,
        )
        rows = list(opened.values())
        if self.interpreter.heap:
            rest = [self.host.row(self.arn, StartTimer(MORE, entries[-1].at))]
        else:
            rest = []
            if self._unfinished:
                closed.append(MORE)
        return _Step(Commit(before.length, entries, summary, (*rows, *rest), closed), rows, closes)

    def _follow_up(self) -> None:
        """The commit is durable: now, and not before, the world may hear of it."""
        if self._attempt is not None:
            self._dispatch(self._attempt)
        for (_, answer), entries in zip(self._batch, self._written, strict=True):
            if answer is not None and not answer.done():
                answer.set_result(entries)

    def _dispatch(self, step: _Step) -> None:
        self.summary = step.commit.summary
        self._unfinished = len(step.commit.opened) > len(step.opened)
        for wait in step.commit.closed:
            self.host.dropped(self.arn, wait)
        for row in step.opened:
            self.host.opened(row)
        if step.closes:
            self.host.closed(self.summary)

    # ---- when a commit fails ----

    async def _start_over(self, error: StoreError) -> None:
        """The store did not take a commit, or did not say so: back to what it holds.

        Who asked is told, and may ask again; what happened by itself (results, timers) is taken again. Repeating is
        safe: an event whose wait is settled changes nothing.
        """
        log.warning("execution %s goes back to its journal: %s", self.arn, error)
        _refuse(self._batch, error)
        with self.host.clock.busy():
            try:
                await self._go_back(error)
            except Exception as fault:
                self._break(fault)
            else:
                self._end_turn()

    async def _go_back(self, error: StoreError) -> None:
        known = self.summary.length > 0
        if isinstance(error, Conflict) and not known:
            return self.abandon(error)
        try:
            summary, journal = await self._read_back()
        except NotFound:
            if known:
                raise
            return self.abandon(error)
        attempt = self._attempt
        if attempt is not None and summary == attempt.commit.summary:
            self._dispatch(attempt)
        elif not known:
            return self.abandon(error)
        self.summary = summary
        self.interpreter = Interpreter(recover(self.plan, journal), self.host.limits)
        self._unfinished = True
        own = [each for each in self._batch if each[1] is None]
        self.inbox = [(None, None), *own, *self.inbox]
        return None

    async def _read_back(self) -> tuple[Summary, list[Entry]]:
        clock = self.host.clock
        while True:
            with clock.idle():
                await clock.sleep_until(clock.now() + _RETRY_SECONDS)
            try:
                return await self.host.store.summary(self.arn), await self.host.store.journal(self.arn)
            except Unavailable as error:
                log.warning("execution %s cannot be read back now: %s", self.arn, error)


def closing() -> Unavailable:
    """What is told to whoever waits when the engine is closed."""
    return Unavailable("The engine was closed before this was done.")


def _refuse(batch: Sequence[_Ask], error: Exception) -> None:
    for _, answer in batch:
        if answer is not None and not answer.done():
            answer.set_exception(error)

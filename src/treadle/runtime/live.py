"""One execution in memory: event -> handle -> one commit -> dispatch.

Events of one execution are taken one after another. While a commit is being flushed further events gather, and the next
commit takes them all, so a wide Map costs few flushes. Nothing is dispatched, and nobody is answered, before the commit
that it follows from is durable.

When a commit fails, what is in memory has run ahead of the store: it is thrown away, read back from the journal, and
the events are taken again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Coroutine
from typing import Any, Final, Protocol

import msgspec

from treadle.errors import Conflict, Unavailable
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


class Host(Protocol):
    """What a live execution needs of the engine."""

    store: Store
    clock: Clock
    limits: Limits

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

    def broken(self, arn: str) -> None:
        """The execution cannot go on in this process."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the engine's task group."""
        ...


class Draws:
    """Random numbers from a seed; most steps draw none, so the generator is made when one does."""

    __slots__ = ("_generator", "_seed")

    def __init__(self, seed: int) -> None:
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
            self._generator = random.Random(self._seed)
        return self._generator


class Live:
    """An execution that this process holds."""

    def __init__(self, host: Host, summary: Summary, plan: Plan, execution: Execution, seed: str) -> None:
        self.host = host
        self.summary = summary
        self.plan = plan
        self.seed = seed
        self.interpreter = Interpreter(execution, host.limits)
        self.inherited: list[Entry] = []  # a fork's copy of what came before, written with its first commit
        self.inbox: list[tuple[Event, asyncio.Future[int] | None]] = []
        self.pumping = False

    @property
    def arn(self) -> str:
        """The execution's ARN."""
        return self.summary.arn

    @property
    def execution(self) -> Execution:
        """Where it stands: ahead of the store while a commit is under way."""
        return self.interpreter.execution

    @property
    def idle(self) -> bool:
        """Whether it may be forgotten: all that it is stands in the store."""
        return not self.pumping and not self.inbox

    def post(self, event: Event) -> None:
        """Have an event taken."""
        self._put(event, None)

    async def send(self, event: Event) -> int:
        """Have an event taken; returns, durably, how many entries it and what came with it led to."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put(event, answer)
        return await answer

    def _put(self, event: Event, answer: asyncio.Future[int] | None) -> None:
        self.inbox.append((event, answer))
        if not self.pumping:
            self.pumping = True
            self.host.spawn(self._pump())

    async def _pump(self) -> None:
        with self.host.clock.busy():
            try:
                while self.inbox:
                    await self._turn()
            finally:
                self.pumping = False

    async def _turn(self) -> None:
        batch, self.inbox = self.inbox, []
        try:
            written = await self._take([event for event, _ in batch])
        except (Conflict, Unavailable) as error:
            await self._start_over(batch, error)
        except Exception as error:
            # A fault of ours in one execution must not take the others with it. Its journal stands as it was.
            log.exception("execution %s cannot go on", self.arn)
            _refuse(batch, error)
            self.host.broken(self.arn)
        else:
            for (_, answer), entries in zip(batch, written, strict=True):
                if answer is not None and not answer.done():
                    answer.set_result(entries)

    async def _take(self, events: list[Event]) -> list[int]:
        """Handle events and commit what they lead to, a page at a time; gives the number of entries of each event."""
        written: list[int] = []
        moment = self._moment()
        entries: list[Entry] = []
        commands: list[Command] = []
        for event in events:
            more, wanted = self.interpreter.handle(event, moment, PAGE)
            written.append(len(more))
            entries += more
            commands += wanted
            while len(more) >= PAGE:
                await self._commit(entries, commands)
                moment = self._moment()
                more, commands = self.interpreter.handle(None, moment, PAGE)
                entries = list(more)
        await self._commit(entries, commands)
        return written

    def _moment(self) -> Moment:
        """The randomness depends on the place in the journal alone, so a repeated step is the same step."""
        position = self.execution.seq
        digest = hashlib.blake2b(f"{self.seed}:{self.arn}:{position}".encode(), digest_size=8).digest()
        return Moment(
            self.host.clock.now(),
            Draws(int.from_bytes(digest)),
            lambda wait: self.host.token(self.arn, wait),
        )

    async def _commit(self, entries: list[Entry], commands: list[Command]) -> None:
        if not entries:
            return
        before = self.summary
        entries, self.inherited = self.inherited + entries, []
        opened: dict[int, WaitRow] = {}
        closed: list[int] = []
        close: Close | None = None
        for command in commands:
            match command:
                case RunTask() | StartTimer() | StartMapRun():
                    opened[command.wait] = self.host.row(self.arn, command)
                case Cancel(wait):
                    if wait not in opened or wait <= before.length:
                        closed.append(wait)
                    opened.pop(wait, None)
                case Close():
                    close = command
        execution = self.execution
        summary = msgspec.structs.replace(
            before,
            length=before.length + len(entries),
            status=execution.status or "RUNNING",
            started_at=execution.started_at,
            stopped_at=entries[-1].at if close else None,
            error=execution.error,
            cause=execution.cause,
            redrives=execution.redrives,
            redriven_at=execution.redriven_at,
        )
        await self.host.store.commit(Commit(before.length, entries, summary, tuple(opened.values()), tuple(closed)))
        self.summary = summary
        for wait in closed:
            self.host.dropped(self.arn, wait)
        for row in opened.values():
            self.host.opened(row)
        if close is not None:
            self.host.closed(summary)

    async def _start_over(self, batch: list[tuple[Event, asyncio.Future[int] | None]], error: Exception) -> None:
        """The store did not take a commit: back to what it holds.

        Who asked is told, and may ask again; what happened by itself (results, timers) is taken again later. Repeating
        is safe: an event whose wait is settled changes nothing.
        """
        log.warning("execution %s goes back to its journal: %s", self.arn, error)
        _refuse(batch, error)
        own = [each for each in batch if each[1] is None]
        if self.summary.length == 0:
            return
        while isinstance(error, Unavailable):
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                await self._read_back()
            except Unavailable as again:
                error = again
            else:
                break
        else:
            await self._read_back()
        self.inbox = own + self.inbox

    async def _read_back(self) -> None:
        journal = await self.host.store.journal(self.arn)
        self.summary = await self.host.store.summary(self.arn)
        self.interpreter = Interpreter(recover(self.plan, journal), self.host.limits)


def _refuse(batch: list[tuple[Event, asyncio.Future[int] | None]], error: Exception) -> None:
    for _, answer in batch:
        if answer is not None and not answer.done():
            answer.set_exception(error)

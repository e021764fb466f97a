"""One map run in memory: event -> handle -> one commit -> dispatch, as live.py does for an execution.

While a commit is being flushed further events gather, and the next commit takes them all: a run over a hundred
thousand items has few commits of its own. Nothing is started, and nobody is told, before the commit that it follows
from is durable.

A run needs no rows for what it waits for: its journal says which children are open, and starting one of them again
finds the one that was started before. One row, number 0, stands in the store from its beginning until all its children
are at rest, so that after a crash the run is taken up again even where its parent does not want it any more.

When the store fails, the run is thrown away and read back. Neighbours: map_runs.py, which has the runs; children.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, assert_never

import msgspec

from treadle.errors import NotFound, StatesError, StoreError
from treadle.language.plan import MapPlan
from treadle.machine.commands import Cancel, StartMapRun
from treadle.machine.events import MapRunClosed
from treadle.machine.interpreter import Moment
from treadle.machine.journal import Entry
from treadle.machine.map_events import (
    ChildClosed,
    CloseRun,
    EffectFailed,
    ReadItems,
    RunCommand,
    RunEvent,
    RunRedriven,
    RunRequested,
    RunStopped,
    StartChild,
    WriteResults,
)
from treadle.machine.map_run import MapRun
from treadle.runtime.children import Children, labelled
from treadle.runtime.fleeting import Fleeting
from treadle.runtime.live import Draws, Host, Live, closing
from treadle.runtime.lives import Lives
from treadle.runtime.machines import Plans
from treadle.runtime.ports import Commit, ItemReader, Member, ResultWriter, Summary, WaitRow
from treadle.runtime.redrivable import obstacle
from treadle.runtime.run_data import RunData
from treadle.runtime.trace_context import passed_on

log = logging.getLogger("treadle.runtime")

STARTS: Final = 500
"""Children whose start is under way at the same time. Until it is durable their input is held in memory."""
_UNDER_WAY: Final = 0
"""The number of the row that says that the run is under way."""
_RETRY_SECONDS: Final = 1.0

_Ask: TypeAlias = tuple[RunEvent | None, asyncio.Future[int] | None]


@dataclass(frozen=True, slots=True)
class Household:
    """What a map run needs of its engine."""

    host: Host
    lives: Lives
    plans: Plans
    fleeting: Fleeting
    reader: ItemReader | None
    writer: ResultWriter | None
    run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


@dataclass(slots=True)
class _State:
    """What is in memory of a run, until it ends or the store fails."""

    run: MapRun
    summary: Summary
    children: Children
    data: RunData
    under_way: bool  # whether the row that says so stands in the store
    waits: dict[int, int] = field(default_factory=dict[int, int])  # wait by child, until it ends
    starts: set[asyncio.Future[Any]] = field(default_factory=set[asyncio.Future[Any]])
    effects: dict[int, asyncio.Task[None]] = field(default_factory=dict[int, asyncio.Task[None]])


class LiveRun:
    """A map run that this process works on. `left` is called when there is nothing more to be done."""

    def __init__(self, household: Household, arn: str, left: Callable[[str], None]) -> None:
        self.arn = arn
        self._household, self._left = household, left
        self._host = household.host
        self._wanted: WaitRow | None = None
        self._inbox: list[_Ask] = []
        self._news = asyncio.Event()
        self._broken: BaseException | None = None
        self._state: _State | None = None
        self.still = asyncio.Event()
        """Set when its children have been stopped; its results may still have to be written."""

    # ---- what happens to it ----

    def want(self, row: WaitRow) -> None:
        """An execution waits for the run, or waits for it again."""
        self._wanted = row
        self._news.set()

    def unwant(self, row: WaitRow) -> None:
        """The execution does not wait any more."""
        if self._wanted is row:
            self._wanted = None
            self._news.set()

    @property
    def members(self) -> tuple[MapRun, Children] | None:
        """The run and its children, as far as they are known now."""
        return None if self._state is None else (self._state.run, self._state.children)

    @property
    def wanted(self) -> bool:
        """Whether an execution waits for the run."""
        return self._wanted is not None

    def ask(self, event: RunEvent) -> asyncio.Future[int]:
        """Have an event taken; gives, durably, how many entries it led to. Raises StoreError."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._put((event, answer))
        return answer

    def child_closed(self, number: int, summary: Summary) -> None:
        """A child ended."""
        state = self._state
        wait = None if state is None else state.waits.pop(number, None)
        if wait is not None:
            assert summary.status != "RUNNING", "a child that ended does not run"
            lost = obstacle(summary, self._host.clock.now(), self._host.limits) is not None
            self._put((ChildClosed(wait, summary.status, lost and summary.status != "SUCCEEDED"), None))

    def _put(self, ask: _Ask) -> None:
        self._inbox.append(ask)
        self._news.set()

    # ---- its life ----

    async def live(self) -> None:
        """Go on until the run has ended, its children are at rest and its parent knows."""
        with self._host.clock.busy():
            while True:
                try:
                    await self._one_life()
                    return
                except StoreError as error:
                    log.warning("map run %s goes back to its journal: %s", self.arn, error)
                except Exception:
                    # A fault of ours in one run must not take the others with it. Its journal stands as it was.
                    log.exception("map run %s cannot go on", self.arn)
                    self._left(self.arn)
                    return
                finally:
                    await self._end_life()
                with self._host.clock.idle():
                    await self._host.clock.sleep_until(self._host.clock.now() + _RETRY_SECONDS)

    async def _end_life(self) -> None:
        state, self._state, self._broken = self._state, None, None
        asks, self._inbox = self._inbox, []
        for _, answer in asks:
            if answer is not None and not answer.done():
                answer.set_exception(closing())
        if state is not None:
            # A start that is under way is let end: whether it was made will be seen when the run is read.
            under_way = [*state.starts, *state.effects.values()]
            for effect in state.effects.values():
                effect.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            await state.data.close()

    async def _one_life(self) -> None:
        state = self._state = await self._read()
        if state is None:
            self._left(self.arn)
            return
        run = state.run
        while True:
            asks, self._inbox = self._inbox, []
            if run.status == "RUNNING":
                if self._wanted is None or self._redrive > run.redrives:
                    asks.append((RunStopped(), None))
                await self._take(state, asks)
                if run.status == "RUNNING":
                    await self._hear(state)
                continue
            await self._take(state, asks)
            await self._come_to_rest(state)
            if run.status != "SUCCEEDED" and self._wanted is not None and self._redrive > run.redrives:
                await self._take(state, [(RunRedriven(), None)])
            elif not self._inbox:
                self._tell(state)
                return

    @property
    def _redrive(self) -> int:
        command = None if self._wanted is None else self._wanted.command
        return command.redrive if isinstance(command, StartMapRun) else 0

    async def _hear(self, state: _State) -> None:
        with self._host.clock.idle():
            await self._news.wait()
        self._news.clear()
        if self._broken is not None:
            raise self._broken

    def _tell(self, state: _State) -> None:
        """The parent is told. From the last look at what has come in up to here nothing was awaited."""
        self._left(self.arn)
        close = state.run.close
        if self._wanted is not None and close is not None:
            event = MapRunClosed(self._wanted.wait, close.output, close.error, close.cause)
            self._household.lives.deliver(self._wanted.arn, event)

    # ---- read or begun ----

    async def _read(self) -> _State | None:
        """The run as the store has it, or a new one; None where there is none and nobody wants one any more."""
        store = self._host.store
        try:
            summary = await store.summary(self.arn)
        except NotFound:
            return await self._begin()
        assert summary.parent is not None and summary.member is not None
        parent = await self._household.lives.get(summary.parent[0])
        plan = await self._plan(summary.definition, summary.member.state)
        run = MapRun(plan, self._host.limits)
        async for entries in store.pieces(self.arn):
            for entry in entries:
                run.apply(entry)
        run.known()
        under_way = await store.wait(self.arn, _UNDER_WAY) is not None
        state = self._made(run, summary, parent, under_way)
        # One that nobody wants any more is going to be stopped, if it is not being stopped already.
        for command in () if self._wanted is None and run.failing is None else run.waits().values():
            self._do(state, command, again=True)
        return state

    async def announced(self) -> Summary | None:
        """The run as it would begin now, for one that waits for its turn; None where nobody wants it any more."""
        if (begun := await self._new()) is None:
            return None
        state, request = begun
        state.run.handle(request, self._moment(state.run), starts=0)
        return msgspec.structs.replace(state.summary, progress=state.run.progress())

    async def _begin(self) -> _State | None:
        if (begun := await self._new()) is None:
            return None
        state, request = begun
        await self._take(state, [(request, None)])
        return state

    async def _new(self) -> tuple[_State, RunRequested] | None:
        row = self._wanted
        if row is None:
            return None
        command = row.command
        assert isinstance(command, StartMapRun)
        parent = await self._household.lives.get(row.arn)
        plan = await self._plan(parent.summary.definition, command.state)
        frame = parent.execution.waiting.get(row.wait)
        if frame is None:
            return None
        summary = Summary(
            arn=self.arn,
            machine_arn=labelled(parent.summary.machine_arn, self.arn),
            name=self.arn.rpartition(":")[2],
            definition=parent.summary.definition,
            status="RUNNING",
            started_at=self._host.clock.now(),
            length=0,
            parent=(row.arn, row.wait),
            trace_header=passed_on(parent.summary, row.wait),
            revision=parent.summary.revision,
            member=Member(self.arn, command.state),
        )
        state = self._made(MapRun(plan, self._host.limits), summary, parent, under_way=False)
        items = None if plan.items is None else frame.items
        request = RunRequested(settings=command.settings, items=items, keys=frame.keys, redrives=command.redrive)
        return state, request

    async def _plan(self, definition: str, state: str) -> MapPlan:
        plan = (await self._household.plans.get(definition)).state(state)
        assert isinstance(plan, MapPlan)
        return plan

    def _made(self, run: MapRun, summary: Summary, parent: Live, under_way: bool) -> _State:
        identity = parent.execution.identity
        assert identity is not None
        household = self._household
        children = Children(self._host, household.lives, household.fleeting, summary, run.plan, identity)
        data = RunData(self._host, household.reader, household.writer, run, children, self.arn)
        return _State(run, summary, children, data, under_way)

    # ---- event -> handle -> one commit -> dispatch ----

    async def _take(self, state: _State, asks: Sequence[_Ask]) -> None:
        run = state.run
        moment = self._moment(run)
        entries: list[Entry] = []
        commands: list[RunCommand] = []
        written: list[int] = []
        room = STARTS - len(state.starts)
        # The last one goes on where there was no room before.
        for event in (*(event for event, _ in asks), None):
            more, wanted = run.handle(event, moment, room)
            room -= sum(isinstance(each, StartChild) for each in wanted)
            entries += more
            commands += wanted
            written.append(len(more))
        try:
            if entries:
                await self._commit(state, entries)
        except StoreError as error:
            for _, answer in asks:
                if answer is not None and not answer.done():
                    answer.set_exception(error)
            raise
        for (_, answer), count in zip(asks, written, strict=False):
            if answer is not None and not answer.done():
                answer.set_result(count)
        waits = run.waits() if any(isinstance(each, Cancel) for each in commands) else None
        for command in commands:
            # What was opened and cancelled by the same commit is nothing.
            if waits is None or isinstance(command, Cancel | CloseRun) or command.wait in waits:
                self._do(state, command)

    async def _commit(self, state: _State, entries: Sequence[Entry]) -> None:
        run, before, close = state.run, state.summary, state.run.close
        runs = run.status == "RUNNING"
        opened = [self._row(run.plan.name)] if runs and not state.under_way else []
        # Of a run that succeeded no child runs any more; of any other one that must be seen to.
        ends = run.status == "SUCCEEDED" and state.under_way
        state.summary = msgspec.structs.replace(
            before,
            length=before.length + len(entries),
            status=run.status or "RUNNING",
            stopped_at=None if runs else entries[-1].at if before.status == "RUNNING" else before.stopped_at,
            error=None if close is None else close.error,
            cause=None if close is None else close.cause,
            redrives=run.redrives,
            redriven_at=entries[0].at if run.redrives > before.redrives else before.redriven_at,
            parent=before.parent if self._wanted is None else (self._wanted.arn, self._wanted.wait),
            progress=run.progress(),
        )
        closed = [_UNDER_WAY] if ends else []
        await self._write(Commit(before.length, entries, state.summary, opened, closed))
        state.under_way = (state.under_way or bool(opened)) and not ends

    async def _write(self, commit: Commit) -> None:
        (error,) = await self._host.store.commit_all([commit])
        if error is not None:
            raise error

    def _row(self, state: str) -> WaitRow:
        command = StartMapRun(wait=_UNDER_WAY, state=state, arn=self.arn, settings={})
        return WaitRow(
            arn=self.arn, wait=_UNDER_WAY, kind="map_run", command=command, created_at=self._host.clock.now()
        )

    # ---- dispatch ----

    def _do(self, state: _State, command: RunCommand, again: bool = False) -> None:
        match command:
            case ReadItems(wait=wait):
                state.effects[wait] = self._run(state, self._effect(state, command))
            case WriteResults(wait=wait):
                state.effects[wait] = self._run(state, self._effect(state, command))
            case StartChild():
                self._start(state, command, again)
            case Cancel(wait):
                # Children are stopped all together, when the run comes to rest.
                if (effect := state.effects.pop(wait, None)) is not None:
                    effect.cancel()
                    state.data.interrupted()
            case CloseRun():
                pass
            case _:
                assert_never(command)

    def _run(self, state: _State, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def guarded() -> None:
            with self._host.clock.busy():
                try:
                    await work
                except Exception as error:
                    if self._state is state:
                        self._broken = error
                self._news.set()

        return self._household.run(guarded())

    def _start(self, state: _State, command: StartChild, again: bool) -> None:
        def done(start: asyncio.Future[Any]) -> None:
            state.starts.discard(start)
            state.run.begun(command.index)
            if not start.cancelled() and (error := start.exception()) is not None and self._state is state:
                self._broken = error
            self._news.set()

        state.waits[command.index] = command.wait
        if again or command.redrive:
            start = self._run(state, self._start_again(state, command))
        else:
            start = state.children.launch(command)
        state.starts.add(start)
        start.add_done_callback(done)

    async def _start_again(self, state: _State, command: StartChild) -> None:
        ended = await state.children.start(command)
        if ended is not None and state.waits.get(command.index) == command.wait:
            self.child_closed(command.index, ended)

    async def _effect(self, state: _State, command: ReadItems | WriteResults) -> None:
        what = "ItemReader" if isinstance(command, ReadItems) else "ResultWriter"
        try:
            if isinstance(command, ReadItems):
                event = await state.data.read(command)
            else:
                if state.run.failing is not None:
                    await self._stop_children(state)
                assert state.summary.parent is not None
                event = await state.data.write(command, state.summary.parent[0], self._moment(state.run))
        except StatesError as error:
            event = EffectFailed(command.wait, error.name or f"States.{what}Failed", error.cause)
        except StoreError:
            raise
        except Exception:
            # A fault of whoever reads or writes is the map run's failure, never the engine's.
            log.exception("the %s of %s failed unexpectedly", what, self.arn)
            event = EffectFailed(command.wait, f"States.{what}Failed", f"The {what} is at fault.")
        state.effects.pop(command.wait, None)
        self._put((event, None))

    def _moment(self, run: MapRun) -> Moment:
        # The randomness depends on the place in the journal alone, so a repeated step is the same step.
        return Moment(max(self._host.clock.now(), run.now), Draws(f"{self._host.seed}:{self.arn}:{run.seq}"), str)

    # ---- coming to rest ----

    async def _come_to_rest(self, state: _State) -> None:
        """Stop what still runs of a run that has ended, then let go of it."""
        if not state.under_way:
            return
        await self._stop_children(state)
        await self._write(Commit(state.summary.length, (), state.summary, (), [_UNDER_WAY]))
        state.under_way = False

    async def _stop_children(self, state: _State) -> None:
        while state.starts:
            await asyncio.wait(state.starts)
        await asyncio.gather(*(state.children.stop(number) for number in list(state.waits)))
        # Those of a process that died are not among the waits.
        while numbers := await state.children.running():
            await asyncio.gather(*(state.children.stop(number) for number in numbers))
        state.waits.clear()
        self.still.set()

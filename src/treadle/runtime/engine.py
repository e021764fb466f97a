"""The engine: start, stop, redrive and fork executions, end tasks from outside, survive anything.

    async with Engine(store, integrations) as engine:
        started = await engine.start(machine, {"order": 7})
        summary = await engine.wait_closed(started.arn)

Owns which executions are in memory and what is under way. An execution is read from its journal when an event for it
arrives, and forgotten when it has been idle and others need the room. Everything it decides is decided by
`treadle.machine`; everything it promises stands in the store before it is promised.

After a restart, `open_calls` of the store says what was under way: calls whose integration may be repeated are
repeated, the others fail; jobs are asked after again; timers come up by themselves; callbacks and activities wait as
before.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec

from treadle.errors import ApiError, Conflict, NotFound
from treadle.language.scope import Json
from treadle.machine.commands import RunTask, Wait
from treadle.machine.events import (
    Event,
    ForkRequested,
    Identity,
    RedriveRequested,
    StartRequested,
    StopRequested,
    TaskErred,
    TaskPickedUp,
    TaskReturned,
)
from treadle.machine.execution import Execution, recover
from treadle.machine.journal import Entry, json_text
from treadle.machine.limits import Limits
from treadle.runtime.agenda import Agenda
from treadle.runtime.background import background
from treadle.runtime.calls import Calls, row_of
from treadle.runtime.clock import RealClock, event_or_moment
from treadle.runtime.fleeting import Fleeting
from treadle.runtime.fork import copied
from treadle.runtime.live import Live, closing
from treadle.runtime.live_run import Household
from treadle.runtime.lives import Lives, no_execution
from treadle.runtime.machines import Plans, StateMachine, execution_arn
from treadle.runtime.map_runs import OPEN_MAP_RUNS, MapRuns
from treadle.runtime.ports import Clock, Integration, ItemReader, ResultWriter, Store, Summary, WaitRow
from treadle.runtime.rounds import Rounds
from treadle.runtime.takers import ActivityTask, Takers
from treadle.runtime.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Started:
    """A started execution. `new` is False when the same start had been acknowledged before."""

    arn: str
    started_at: float
    new: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """An execution with its input and, when it succeeded, its output. `input_text` is the input as it was written.

    `journal` is there for Express executions, which are read once.
    """

    summary: Summary
    input: Json
    output: Json
    input_text: str | None = None
    identity: Identity | None = None
    journal: Sequence[Entry] = ()


class Engine:
    """Runs executions on one store. `integrations` are found by resource: see `treadle.integrations.table`.

    `reader` and `writer` serve distributed Maps; `map_runs` tells of those. `prepare` is awaited when the store is open
    and nothing has been taken up again yet.
    """

    def __init__(
        self,
        store: Store,
        integrations: Mapping[str, Integration],
        *,
        reader: ItemReader | None = None,
        writer: ResultWriter | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        open_map_runs: int = OPEN_MAP_RUNS,
        seed: str | None = None,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._prepare = prepare
        self._fleeting = Fleeting(store)
        self.store = self._fleeting.view
        self.integrations = integrations
        self.clock: Clock = clock or RealClock()
        self.limits = limits or Limits()
        self._given_seed = seed
        self.seed = ""
        self._plans = Plans(self.store)
        self._tokens = Tokens(b"")
        self._lives = Lives(self, self._plans)
        self._agenda = Agenda(self.store, self.clock, self._lives.deliver)
        self._rounds = Rounds(self.store, self.clock, self.spawn)
        self._calls = Calls(self.clock, integrations, self._lives, self._run)
        household = Household(self, self._lives, self._plans, self._fleeting, reader, writer, self._run)
        self.map_runs = MapRuns(household, open_map_runs)
        self._closings: defaultdict[str, list[asyncio.Future[Summary]]] = defaultdict(list)
        self._takers = Takers()
        self._taken: set[tuple[str, int]] = set()
        self._stack = AsyncExitStack()
        self._group: asyncio.TaskGroup

    # ---- life --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _open(self) -> None:
        await self.store.open()
        self._stack.push_async_callback(self.store.close)
        if self._prepare is not None:
            await self._prepare()
        self._tokens = Tokens(bytes.fromhex(await self.store.setting("token-key", secrets.token_hex(32))))
        self.seed = self._given_seed or await self.store.setting("seed", secrets.token_hex(16))
        self._group = await self._stack.enter_async_context(background())
        self.spawn(self._agenda.run())
        await self._resume()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lives.close()
        for waiting in self._closings.values():
            for each in waiting:
                if not each.done():
                    each.set_exception(closing())
        # What failed within `async with` is raised as it is; the group is told nothing, so it wraps nothing.
        await self._stack.aclose()

    async def _resume(self) -> None:
        """Take up again what was under way when the last process ended."""
        after: tuple[str, int] | None = None
        while rows := await self.store.open_calls(after):
            for row in rows:
                if row.kind == "map_run":
                    self.map_runs.wanted(row)
                else:
                    self._calls.start(row, again=True)
            after = rows[-1].arn, rows[-1].wait

    # ---- executions --------------------------------------------------------------------------------------------

    async def start(
        self,
        machine: StateMachine,
        input: Json = None,
        name: str | None = None,
        *,
        arn: str | None = None,
        parent: tuple[str, int] | None = None,
        counts_redrives: bool = True,
        longest: float | None = None,
        text: str | None = None,
        trace_header: str | None = None,
    ) -> Started:
        """Start a durable execution. Durable when it returns; it runs on by itself.

        Repeating a start with the same name and input while the execution runs gives the first one again. The ARN
        follows from the machine's and the name unless given; `longest` bounds the seconds that the execution may take;
        `text` is the input as it was written, for the history.
        Raises ApiError ExecutionAlreadyExists and InvalidExecutionInput, DefinitionError, StoreError.
        """
        with self.clock.busy():
            plan = await self._plans.keep(machine)
        name = name or str(uuid.uuid4())
        arn = arn or execution_arn(machine.arn, name)
        digest = hashlib.sha256(_written(input, "InvalidExecutionInput", "Input").encode()).hexdigest()
        summary = Summary(
            arn=arn,
            machine_arn=machine.arn,
            name=name,
            definition=machine.digest,
            status="RUNNING",
            started_at=self.clock.now(),
            length=0,
            input_digest=digest,
            parent=parent,
            version_arn=machine.version_arn,
            alias_arn=machine.alias_arn,
            revision=machine.revision,
            trace_header=trace_header,
        )
        identity = Identity(
            arn=arn,
            name=name,
            role_arn=machine.role_arn,
            machine_arn=machine.arn,
            machine_name=machine.name,
            version_arn=machine.version_arn,
            alias_arn=machine.alias_arn,
            counts_redrives=counts_redrives,
            longest=longest,
        )
        live = Live(self, summary, plan, Execution(plan))
        try:
            await self._lives.begin(live, StartRequested(input, identity, text))
        except Conflict:
            return await self._started_before(arn, digest)
        return Started(arn, live.execution.started_at)

    async def _started_before(self, arn: str, digest: str) -> Started:
        summary = await self.summary(arn)
        # AWS 'StartExecution': idempotent with the same name and input, while the first is running.
        if summary.status == "RUNNING" and summary.input_digest == digest:
            return Started(arn, summary.started_at, new=False)
        raise _exists(arn)

    async def stop(self, arn: str, error: str | None = None, cause: str | None = None) -> float:
        """Stop an execution; gives the time at which it ended, the first one when it had ended before."""
        live = await self._lives.get(arn)
        if live.summary.status == "RUNNING":
            await live.send(StopRequested(error, cause))
        assert live.summary.stopped_at is not None
        return live.summary.stopped_at

    async def redrive(self, arn: str) -> float:
        """Let a failed, stopped or timed out execution go on where it ended; gives the time. AWS 'RedriveExecution'."""
        live = await self._lives.get(arn)
        if live.summary.map_run_arn is not None:
            raise ApiError("ExecutionNotRedrivable", "Execution is redriven with its Map Run only")
        if live.summary.status in ("RUNNING", "SUCCEEDED"):
            raise ApiError("ExecutionNotRedrivable", f"Execution is {live.summary.status} and cannot be redriven")
        if self.limits.history_events is not None and live.execution.events >= self.limits.history_events - 1:
            raise ApiError("ExecutionNotRedrivable", "Execution history event limit exceeded")
        if not await live.send(RedriveRequested()):
            raise ApiError("ExecutionNotRedrivable", "Execution is RUNNING and cannot be redriven")
        assert live.summary.redriven_at is not None
        return live.summary.redriven_at

    async def fork(
        self,
        arn: str,
        event_id: int,
        *,
        name: str | None = None,
        input: Json | msgspec.UnsetType = msgspec.UNSET,
        variables: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET,
    ) -> Started:
        """Start a copy of an execution that goes on from a state it once entered.

        `event_id` is the history event of that entering. What came before is copied, what was under way then beside it
        is done again in the copy. `input` and `variables` replace what the state got.
        """
        source, journal = await self.summary(arn), await self.journal(arn)
        name = name or f"{source.name[:60]}-fork-{secrets.token_hex(4)}"
        copy = execution_arn(source.machine_arn, name)
        prefix, frame = copied(journal, event_id, copy, name)
        with self.clock.busy():
            plan = await self._plans.get(source.definition)
        execution = recover(plan, prefix)
        summary = msgspec.structs.replace(
            source,
            arn=copy,
            name=name,
            length=0,
            status="RUNNING",
            stopped_at=None,
            error=None,
            cause=None,
            parent=None,
        )
        live = Live(self, summary, plan, execution, prefix[-1].at)
        live.inherited = prefix
        try:
            await self._lives.begin(live, ForkRequested(frame, input, variables))
        except Conflict:
            raise _exists(copy) from None
        return Started(copy, execution.started_at)

    async def summary(self, arn: str) -> Summary:
        """What is known of an execution. Raises ApiError ExecutionDoesNotExist."""
        if (live := self._lives.held(arn)) is not None:
            return live.summary
        with self.clock.busy():
            try:
                return await self.store.summary(arn)
            except NotFound:
                raise no_execution(arn) from None

    async def result(self, arn: str) -> Result:
        """An execution with its input and output. Raises ApiError ExecutionDoesNotExist."""
        live = await self._lives.get(arn)
        execution = live.execution
        return Result(live.summary, execution.input, execution.output, execution.input_text, execution.identity)

    @staticmethod
    def arn_of(machine: StateMachine, name: str) -> str:
        """The ARN that an execution of this name has."""
        return execution_arn(machine.arn, name)

    async def journal(self, arn: str) -> list[Entry]:
        """All entries of an execution. Raises ApiError ExecutionDoesNotExist."""
        with self.clock.busy():
            try:
                return await self.store.journal(arn)
            except NotFound:
                raise no_execution(arn) from None

    async def wait_closed(self, arn: str) -> Summary:
        """Return when an execution has ended."""
        closing: asyncio.Future[Summary] = asyncio.get_running_loop().create_future()
        self._closings[arn].append(closing)
        try:
            summary = await self.summary(arn)
            return summary if summary.status != "RUNNING" else await closing
        finally:
            waiting = self._closings[arn]
            waiting.remove(closing)
            if not waiting:
                del self._closings[arn]

    # ---- tasks from outside ------------------------------------------------------------------------------------

    def check_token(self, token: str) -> None:
        """Raises ApiError InvalidToken for what is no task token of ours."""
        self._tokens.read(token)

    async def succeed_task(self, token: str, output: Json) -> None:
        """SendTaskSuccess. Raises ApiError InvalidToken, InvalidOutput, TaskDoesNotExist, TaskTimedOut."""
        arn, wait = self._tokens.read(token)
        _written(output, "InvalidOutput", "Output")
        await self._end_task(arn, TaskReturned(wait, output))

    async def fail_task(self, token: str, error: str | None = None, cause: str | None = None) -> None:
        """SendTaskFailure. Raises ApiError InvalidToken, TaskDoesNotExist, TaskTimedOut."""
        arn, wait = self._tokens.read(token)
        await self._end_task(arn, TaskErred(wait, error, cause))

    async def _end_task(self, arn: str, event: TaskReturned | TaskErred) -> None:
        await self._calls.carried(arn, event.wait)
        live = await self._live_for_token(arn)
        if not await live.send(event):
            raise ApiError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")

    async def heartbeat_task(self, token: str) -> None:
        """SendTaskHeartbeat. Raises ApiError InvalidToken, TaskDoesNotExist, TaskTimedOut."""
        arn, wait = self._tokens.read(token)
        live = await self._live_for_token(arn)
        command = live.execution.waits().get(wait) if wait in live.execution.waiting else None
        if not isinstance(command, RunTask):
            raise ApiError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        if command.heartbeat is not None:
            due = self.clock.now() + command.heartbeat
            with self.clock.busy():
                if await self.store.heartbeat(arn, wait, due):
                    self._agenda.move_heartbeat(arn, wait, due)

    async def _live_for_token(self, arn: str) -> Live:
        try:
            return await self._lives.get(arn)
        except ApiError:
            raise ApiError("TaskDoesNotExist", "Task does not exist") from None

    async def take_activity(self, topic: str, worker: str | None = None, patience: float = 60.0) -> ActivityTask | None:
        """GetActivityTask: the oldest task of an activity, waiting for one as long as `patience` seconds."""
        end = self.clock.now() + patience
        with self._takers.waiting(topic) as called:
            while True:
                called.clear()
                # So many may be on their way to others already: this page has one more.
                limit = len(self._taken) + 1
                with self.clock.busy():
                    rows = await self.store.open_activities(topic, limit)
                for row in rows:
                    if task := await self.take_task(row, worker):
                        return task
                if len(rows) == limit:
                    await asyncio.sleep(0)  # others were faster, and there may be more behind these
                    continue
                if self.clock.now() >= end:
                    return None
                await event_or_moment(self.clock, called, end)

    async def take_task(self, row: WaitRow, worker: str | None = None) -> ActivityTask | None:
        """Take one task of an activity; None when somebody else has."""
        task = row.arn, row.wait
        if task in self._taken:
            return None
        self._taken.add(task)
        try:
            taken = await (await self._lives.get(row.arn)).send(TaskPickedUp(row.wait, worker))
        finally:
            self._taken.discard(task)
        assert isinstance(row.command, RunTask)
        return ActivityTask(self._tokens.make(*task), row.command.arguments) if taken else None

    # ---- what live executions ask (see live.Host) --------------------------------------------------------------

    def token(self, arn: str, wait: int) -> str:
        """The task token of a wait."""
        return self._tokens.make(arn, wait)

    def row(self, arn: str, command: Wait) -> WaitRow:
        """The row of an open wait."""
        return row_of(arn, command, self.clock.now())

    def opened(self, row: WaitRow) -> None:
        """A wait stands in the store: do what it needs."""
        self._agenda.add(row, held=self._fleeting.holds(row.arn))
        if row.kind == "activity":
            assert row.topic is not None
            self._takers.call(row.topic)
        elif row.kind == "map_run":
            self.map_runs.wanted(row)
        elif row.kind in ("call", "poll"):
            self._calls.start(row)

    def dropped(self, arn: str, wait: int) -> None:
        """A wait is gone: nobody wants to know any more what its call brings, and its job may stop."""
        self._agenda.drop(arn, wait)
        self._calls.drop(arn, wait)
        self.map_runs.unwanted(arn, wait)

    def closed(self, summary: Summary) -> None:
        """The execution has ended: tell who waits for it."""
        if summary.map_run_arn is not None:
            self.map_runs.child_closed(summary)
        for waiting in self._closings.get(summary.arn, ()):
            if not waiting.done():
                waiting.set_result(summary)

    def enter(self, live: Live) -> None:
        """The execution wants a turn."""
        self._rounds.enter(live)

    def known(self, live: Live) -> None:
        """The execution stands in the store, and goes on."""
        self._lives.known(live)

    def rested(self, live: Live) -> None:
        """Nothing is happening in the execution any more."""
        self._lives.rested(live)

    def broken(self, arn: str, events: Sequence[Event]) -> None:
        """The execution cannot go on as it is in memory; these events have not been taken yet."""
        self.forget(arn)
        for event in events:
            self._lives.deliver(arn, event)

    def forget(self, arn: str) -> None:
        """What is asked of the execution next is read from the store."""
        self._lives.forget(arn)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside everything else, until it ends or the engine does."""
        self._run(work)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._group.create_task(work)


def _written(value: Json, code: str, what: str) -> str:
    """The value as text, where it is JSON and so can be written down."""
    try:
        return json_text(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ApiError(code, f"{what} is not JSON: {error}") from None


def _exists(arn: str) -> ApiError:
    return ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")

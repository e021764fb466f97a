"""Opens a store and lets a program start executions, wait for them, and answer what waits.

    async with treadle.open("orders.db", functions={"charge": charge}) as engine:
        run = await engine.start(definition, {"order": 7}, name="order-7")
        print(await run.result())

What the store holds goes on as soon as it is open: calls that were under way are made again, timers that have come up
fire. Everything durable is the engine's (`runtime.engine`); this module only speaks in names, paths and plain values.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from treadle.errors import ApiError, StatesError, TreadleError
from treadle.integrations.assembly import Parts, assembled
from treadle.integrations.aws.sessions import sessions_of_environment
from treadle.items import Access, DataSets, ResultFiles, unasked
from treadle.language.scope import Json
from treadle.library.callables import Callables, Function, Served
from treadle.machine.commands import RunTask, Status
from treadle.machine.journal import Entry, history
from treadle.runtime.clock import START, RealClock, VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.express import Express
from treadle.runtime.machines import StateMachine, execution_arn
from treadle.runtime.ports import Integration, Summary
from treadle.runtime.takers import ActivityTask
from treadle.scenarios.reading import machine_name
from treadle.stores import open_store
from treadle.stores.memory import MemoryStore

Definition: TypeAlias = Mapping[str, Json] | str | Path
"""A definition as a dict, as JSON or YAML text, as the path of a file, or the name of one of `machines`."""

ExpressLog: TypeAlias = Callable[[Summary, list[dict[str, Json]]], None]
"""Is told how an Express execution ended: its summary, and its history as GetExecutionHistory would give it."""

_ACCOUNT: Final = "us-east-1:123456789012"
_ROLE: Final = "arn:aws:iam::123456789012:role/treadle"
_PAGE: Final = 1000
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class ExecutionFailed(TreadleError):
    """An execution that did not succeed. `status` is FAILED, TIMED_OUT or ABORTED."""

    def __init__(self, execution: str, status: str, error: str | None, cause: str | None) -> None:
        told = ": ".join(each for each in (error, cause) if each)
        super().__init__(f"{execution} {status}" + (f": {told}" if told else ""))
        self.execution, self.status, self.error, self.cause = execution, status, error, cause


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that waits for somebody. Whoever has its token can end it, so show the token to nobody else."""

    token: str
    execution: str
    state: str
    input: Json

    def __repr__(self) -> str:
        """The task without its token."""
        return f"OpenTask(execution={self.execution!r}, state={self.state!r})"


class Execution:
    """One execution, by its ARN."""

    def __init__(self, engine: Engine, arn: str) -> None:
        self._engine = engine
        self.arn = arn

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rpartition(":")[2]

    def __repr__(self) -> str:
        """Which execution it is."""
        return f"<Execution {self.arn}>"

    async def result(self) -> Json:
        """Wait for its end; gives its output, or raises ExecutionFailed."""
        summary = await self._engine.wait_closed(self.arn)
        if summary.status != "SUCCEEDED":
            raise ExecutionFailed(self.name, summary.status, summary.error, summary.cause)
        return (await self._engine.result(self.arn)).output

    async def summary(self) -> Summary:
        """Its status, times, error and cause, as they are now."""
        return await self._engine.summary(self.arn)

    async def status(self) -> Status:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
        return (await self.summary()).status

    async def history(self) -> list[dict[str, Json]]:
        """Its events, as GetExecutionHistory of AWS gives them; timestamps are seconds since the epoch."""
        return history(await self._engine.journal(self.arn))

    async def stop(self, error: str | None = None, cause: str | None = None) -> None:
        """End it as ABORTED; one that has ended stays as it is."""
        await self._engine.stop(self.arn, error, cause)

    async def redrive(self) -> None:
        """Let it go on where it failed, timed out or was stopped. Raises ApiError ExecutionNotRedrivable."""
        await self._engine.redrive(self.arn)

    async def open_tasks(self) -> list[OpenTask]:
        """Its callbacks that nobody has answered yet."""
        rows = await self._engine.store.waits(self.arn)
        return [
            OpenTask(self._engine.token(row.arn, row.wait), self.name, row.command.state, row.command.arguments)
            for row in rows
            if row.kind == "callback" and isinstance(row.command, RunTask)
        ]


class Treadle:
    """An open store with an engine at work on everything in it. Made by `treadle.open`."""

    def __init__(self, engine: Engine, machines: Mapping[str, Definition], express: Express) -> None:
        self._engine, self._machines, self._express = engine, machines, express

    async def start(
        self, definition: Definition, input: Json = None, *, name: str | None = None, machine: str | None = None
    ) -> Execution:
        """Start an execution; it is durable when this returns, and runs on by itself.

        The name makes an execution what it is: where there is one with this name and input already, running or ended,
        that one is given. `machine` names the state machine that it belongs to, by default its file or its key in
        `machines`; names of executions are unique within one. The input is `{}` where none is given.

        Raises DefinitionError, StoreError, and ApiError ExecutionAlreadyExists where the input is another one.
        """
        started = state_machine(definition, machine, self._machines)
        value: Json = {} if input is None else input
        try:
            return Execution(self._engine, (await self._engine.start(started, value, name)).arn)
        except ApiError as error:
            if error.code != "ExecutionAlreadyExists" or name is None:
                raise
            before = await self._engine.result(execution_arn(started.arn, name))
            if before.input != value:
                raise
            return Execution(self._engine, before.summary.arn)

    async def run_express(
        self, definition: Definition, input: Json = None, *, name: str | None = None, machine: str | None = None
    ) -> Json:
        """Run an Express execution to its end; gives its output, or raises ExecutionFailed. AWS 'StartSyncExecution'.

        Nothing of it is kept: it takes at most five minutes, its name may repeat, it does not survive the process, and
        what it called is not called again. Cancelled, it runs on without its caller. Raises DefinitionError.
        """
        started = state_machine(definition, machine, self._machines, "EXPRESS")
        summary = (result := await self._express.run(started, {} if input is None else input, name)).summary
        if summary.status != "SUCCEEDED":
            raise ExecutionFailed(summary.name, summary.status, summary.error, summary.cause)
        return result.output

    async def start_express(
        self, definition: Definition, input: Json = None, *, name: str | None = None, machine: str | None = None
    ) -> str:
        """Start an Express execution and let it run on by itself; gives its ARN. AWS 'StartExecution' of Express.

        Every call runs. How it ended is told to `express_log` of `treadle.open` and nowhere else. Raises
        DefinitionError.
        """
        started = state_machine(definition, machine, self._machines, "EXPRESS")
        return (await self._express.start(started, {} if input is None else input, name)).arn

    def execution(self, name: str, machine: str = "machine") -> Execution:
        """An execution that was started before, by name or ARN. Whether there is one shows when it is asked."""
        arn = name if name.startswith("arn:") else execution_arn(machine_arn(machine), name)
        return Execution(self._engine, arn)

    async def executions(self, status: Status | None = None, machine: str | None = None) -> list[Execution]:
        """All executions in the store, those that started last first."""
        found: list[Execution] = []
        arn, after = machine and machine_arn(machine), None
        while True:
            page = await self._engine.store.executions(arn, status, _PAGE, after)
            found += [Execution(self._engine, each.arn) for each in page.executions]
            if (after := page.next) is None:
                return found

    async def succeed(self, token: str, output: Json) -> None:
        """End a task that waits, by its token. Raises ApiError InvalidToken, TaskDoesNotExist, TaskTimedOut."""
        await self._engine.succeed_task(token, output)

    async def fail(self, token: str, error: str | None = None, cause: str | None = None) -> None:
        """Let a task that waits fail; Retry and Catch decide what follows. Raises ApiError as `succeed`."""
        await self._engine.fail_task(token, error, cause)

    async def heartbeat(self, token: str) -> None:
        """Say that somebody is still at work on a task. Raises ApiError as `succeed`."""
        await self._engine.heartbeat_task(token)

    async def take(self, activity: str, worker: str | None = None, patience: float = 60.0) -> ActivityTask | None:
        """Take the oldest task of an activity, waiting for one as long as `patience` seconds; None when none came."""
        topic = activity if activity.startswith("arn:") else f"arn:aws:states:{_ACCOUNT}:activity:{activity}"
        return await self._engine.take_activity(topic, worker, patience)


@asynccontextmanager
async def open(
    store: str | os.PathLike[str],
    *,
    functions: Mapping[str, Function] | None = None,
    machines: Mapping[str, Definition] | None = None,
    express_machines: Mapping[str, Definition] | None = None,
    express_log: ExpressLog | None = None,
    integrations: Mapping[str, Integration] | None = None,
    aws: bool = False,
    virtual_time: bool = False,
    seed: str | None = None,
) -> AsyncGenerator[Treadle]:
    """Open a store and let everything in it go on.

    `store` is the path of an SQLite file or a folder, `sqlite:///path/to/file.db`, or `memory:`. `functions` are what
    Tasks call as Lambda functions, by name; `machines` and `express_machines` the definitions that nested executions
    start, by name. `express_log` is called with the summary and the history of each Express execution that has ended.
    `integrations` serve other resources, by ARN, `service:action`, service, or kind. With `aws`
    Tasks call AWS with the credentials of the environment; where AWS_ENDPOINT_URL is set they call that unasked. In
    `virtual_time` nothing waits: time jumps to the next thing that happens, from 2026-01-01 on; `seed` fixes what is
    random.

    Raises StoreError; Locked where another process has the store.
    """
    known, fleeting = dict(machines or {}), dict(express_machines or {})
    if twice := known.keys() & fleeting.keys():
        raise TreadleError(f"'{min(twice)}' is in machines and in express_machines: a state machine has one type.")
    called = Callables(functions or {}, on_the_loop=virtual_time)
    sessions = sessions_of_environment(aws)
    engine: Engine
    express: Express

    async def machine(arn: str) -> StateMachine | None:
        name = arn.rpartition(":stateMachine:")[2]
        try:
            if name in fleeting:
                return state_machine(name, None, fleeting, "EXPRESS")
            return state_machine(name, None, known) if name in known else None
        except TreadleError as error:
            raise StatesError("StepFunctions.InvalidDefinitionException", str(error)) from None

    async with AsyncExitStack() as stack:
        parts = Parts(engine=lambda: engine, machines=machine, express=lambda: express, functions=called, aws=sessions)
        table = await stack.enter_async_context(assembled(parts))
        table["lambda"] = Served(table["lambda"])
        table.update(integrations or {})
        clock = VirtualClock(START) if virtual_time else RealClock()
        items = Access(sessions.s3 if sessions else unasked)
        stack.push_async_callback(items.close)
        reader, writer = DataSets(items), ResultFiles(items)
        engine = Engine(open_store(os.fspath(store)), table, reader=reader, writer=writer, clock=clock, seed=seed)
        memory = MemoryStore()
        forgetful = Engine(memory, table, clock=clock, seed=seed)
        express = Express(forgetful, _log_of(express_log), memory.forget)
        # What the durable engine takes up again may start Express executions.
        await stack.enter_async_context(forgetful)
        await stack.enter_async_context(engine)
        yield Treadle(engine, {**known, **fleeting}, express)


def _log_of(told: ExpressLog | None) -> Callable[[Summary, list[Entry]], None]:
    def ended(summary: Summary, journal: list[Entry]) -> None:
        if told is not None:
            told(summary, history(journal))

    return ended


def machine_arn(name: str) -> str:
    """The ARN of a state machine of this name."""
    if not _NAME.fullmatch(name):
        raise TreadleError(f"'{name}' is no name of a state machine: 1 to 80 letters, digits, - and _ are.")
    return f"arn:aws:states:{_ACCOUNT}:stateMachine:{name}"


def state_machine(
    definition: Definition,
    name: str | None,
    machines: Mapping[str, Definition],
    type: Literal["STANDARD", "EXPRESS"] = "STANDARD",
) -> StateMachine:
    """A definition as a state machine. Raises TreadleError for a file that cannot be read."""
    if isinstance(definition, str) and definition in machines:
        return state_machine(machines[definition], name or definition, {}, type)
    if isinstance(definition, Path):
        try:
            text = definition.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise TreadleError(f"{definition} cannot be read: {error}") from None
        name = name or machine_name(definition)
    else:
        text = definition if isinstance(definition, str) else json.dumps(definition)
    name = name or "machine"
    return StateMachine(arn=machine_arn(name), name=name, definition=text, role_arn=_ROLE, type=type)

"""A store, and an engine at work on one execution and its nested ones.

Owns putting together what a command needs: the store, the functions, the mock, the clock, the socket for others. The
engine sees only the execution it is for (`runtime.family`): whatever else the store holds belongs to other definitions
and other functions, and waits for its own command.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from treadle.cli.check import check
from treadle.cli.inputs import MachineFolder, Source
from treadle.cli.mock import Answers, Script, ScriptedItems, scripted
from treadle.cli.problems import Problem
from treadle.functions import Functions, InProcessFunctions, ProcessFunctions, discover
from treadle.integrations.assembly import Parts, assembled
from treadle.integrations.aws.sessions import AwsSessions, sessions_of_environment
from treadle.integrations.connections import Connections
from treadle.integrations.event_bridge import AccountConnections
from treadle.integrations.mcp_servers import McpServer, read_servers
from treadle.integrations.sealing import Sealer
from treadle.items import Access, DataSets, ResultFiles, unasked
from treadle.language.compile import compile_definition
from treadle.machine.journal import Entry
from treadle.runtime.clock import RealClock, VirtualClock
from treadle.runtime.control import EngineControl
from treadle.runtime.control_socket import serve
from treadle.runtime.engine import Engine
from treadle.runtime.family import Family
from treadle.runtime.machines import processor_of
from treadle.runtime.ports import Clock, Commit, Store, Summary
from treadle.scenarios.answers import read_answers
from treadle.stores import FILE_NAME, MemoryStore, SqliteStore, open_store

_RECORD: Final = "run:"

log = logging.getLogger("treadle.cli")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the options say about the world around an execution."""

    functions: str | None = None
    mock: str | None = None
    machines: str | None = None
    virtual: bool = False
    seed: str | None = None
    mcp_servers: str | None = None
    aws: bool = False


# ---- stores ------------------------------------------------------------------------------------------------------


def socket_path(store: SqliteStore) -> Path:
    """Where the process that holds a store listens."""
    return store.path.with_name(f"{store.path.name}.sock")


def key_path(store: Store) -> Path | None:
    """Where the key is that seals the secrets in a store: beside its folder, so that a copy of the folder lacks it."""
    if not isinstance(store, SqliteStore):
        return None
    path = store.path.absolute()
    kept = path.parent if path.name == FILE_NAME else path
    return kept.with_name(f"{kept.name}.key")


def connections_in(store: Store) -> Connections:
    """The connections of a store; what is not there is looked for in the account that boto3 is pointed at."""
    return Connections(store, Sealer(key_path(store)), elsewhere=AccountConnections())


def existing_store(url: str) -> Store:
    """The store at a URL, which must be there. Raises Problem, StoreError."""
    store = open_store(url)
    if isinstance(store, SqliteStore) and not store.path.exists():
        raise Problem(f"{url}: there is no store here: name another one with --store, or begin one with `treadle run`.")
    return store


@asynccontextmanager
async def opened(store: Store) -> AsyncGenerator[Store]:
    """The store, open meanwhile."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()


class Record(msgspec.Struct, frozen=True):
    """How an execution was run, for who wants it to go on."""

    definition: str
    command: str


async def record(store: Store, arn: str, made: Record) -> Record:
    """Keep how an execution was run; the first time counts, and is what this gives."""
    kept = await store.setting(_RECORD + arn, msgspec.json.encode(made).decode())
    return msgspec.json.decode(kept, type=Record)


async def recorded(store: Store, summary: Summary) -> Record:
    """How an execution was run, as far as that is known."""
    name = f"{summary.machine_arn.rpartition(':')[2]}.asl.json"
    return await record(store, summary.arn, Record(name, f"treadle run {name} --name {summary.name}"))


# ---- at work -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Before:
    """An execution that a process before this one has worked on, and its nested ones: summaries and journals."""

    executions: tuple[tuple[Summary, list[Entry]], ...] = ()

    @property
    def last(self) -> float | None:
        """When something last happened."""
        return max((journal[-1].at for _, journal in self.executions), default=None)


async def before(store: Store, arn: str) -> Before:
    """What there is of an execution and its nested ones."""
    family = Family(store)
    family.add(arn)
    return Before(
        tuple([(each, await store.journal(each.arn)) async for each in store.every() if await _matters(each, family)])
    )


async def _matters(summary: Summary, family: Family) -> bool:
    # Of the children of a map run, of which there may be very many, those that have ended are left out.
    over = summary.member is not None and (summary.is_map_run or summary.status != "RUNNING")
    return not over and await family.has(summary.arn)


@dataclass(frozen=True, slots=True)
class World:
    """What an execution calls."""

    script: Script
    functions: Functions | None
    machines: MachineFolder
    mcp_servers: Mapping[str, McpServer] | None
    aws: AwsSessions | None


def world_of(setup: Setup, source: Source, standing: Collection[str] | None) -> World:
    """What the options name, with everything in it that may be called. Raises Problem, InvalidFunctions,
    InvalidServers.

    `standing` has the states that an execution under way is in.
    """
    machines = MachineFolder(Path(setup.machines) if setup.machines else None, [source])
    script = Script(read_answers(setup.mock) if setup.mock else {})
    functions = _functions(setup)
    servers = read_servers(Path(setup.mcp_servers)) if setup.mcp_servers is not None else None
    aws = sessions_of_environment(setup.aws)
    check(source, script, functions, machines, servers, setup.functions, standing, aws=aws is not None)
    return World(script, functions, machines, servers, aws)


@asynccontextmanager
async def at_work(
    store: Store, world: World, arn: str, past: Before, clock: Clock, seed: str | None, commits: asyncio.Queue[Commit]
) -> AsyncGenerator[Engine]:
    """An engine at work on one execution. What it commits goes into the queue."""
    engine: Engine
    script = world.script
    async with AsyncExitStack() as stack:
        parts = Parts(
            engine=lambda: engine,
            machines=world.machines,
            functions=world.functions,
            connections=connections_in(store),
            mcp_servers=world.mcp_servers,
            aws=world.aws,
        )
        table = await stack.enter_async_context(assembled(parts))
        answers = Answers(script, lambda: engine)

        def watch(commit: Commit) -> None:
            commits.put_nowait(commit)
            for row in commit.opened:
                answers.opened(row)

        family = Family(store, watch)
        family.add(arn)
        for summary, journal in past.executions:
            plan = compile_definition(await store.definition(summary.definition))
            if summary.member is not None:
                plan = processor_of(plan, summary.member)
            script.recall(summary.arn, journal, plan)
        if seed is not None and isinstance(store, MemoryStore):
            # Task tokens are part of what a run may show, and here they guard nothing.
            await store.setting("token-key", hashlib.sha256(seed.encode()).hexdigest())

        items = Access(world.aws.s3 if world.aws else unasked)
        stack.push_async_callback(items.close)
        parts_of_maps = ScriptedItems(script, lambda: engine, DataSets(items), ResultFiles(items))
        engine = Engine(
            family.view,
            scripted(script, lambda: engine, table),
            reader=parts_of_maps,
            writer=parts_of_maps,
            clock=clock,
            seed=seed,
        )
        await stack.enter_async_context(engine)
        for summary, _ in past.executions:
            for row in await store.waits(summary.arn):
                answers.opened(row)
        if isinstance(store, SqliteStore) and isinstance(clock, RealClock):
            await stack.enter_async_context(_served(engine, store))
        yield engine


@asynccontextmanager
async def _served(engine: Engine, store: SqliteStore) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(serve(EngineControl(engine), socket_path(store)))
        except OSError as error:
            # Executions run all the same; only nobody can ask from another process.
            log.warning("other commands cannot reach this process: %s: %s", socket_path(store), error)
        yield


def _functions(setup: Setup) -> Functions | None:
    if setup.functions is None:
        return None
    found = discover(Path(setup.functions))
    return InProcessFunctions(found) if setup.virtual else ProcessFunctions(found)


def clock_of(setup: Setup, start: float) -> Clock:
    """The clock for an execution; a virtual one begins at `start`."""
    return VirtualClock(start) if setup.virtual else RealClock()

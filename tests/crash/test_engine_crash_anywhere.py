"""Crash anywhere, with the whole engine: it dies at every commit in turn, and the next one goes on as if nothing had
been.

Random programs run in virtual time against a world that answers by state and attempt alone. At one commit the store
takes the commit, or does not, and never answers again: what is in memory then is lost, as with a killed process. A new
engine on the same store must bring the execution to its end, each scope by the same way. Where a call was repeated, it
was one whose result had not been committed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from random_programs import Program, programs

from treadle.errors import ApiError, DefinitionError, NotFound, StatesError, Unavailable
from treadle.language.compile import compile_definition
from treadle.machine.commands import RunTask
from treadle.machine.journal import Entry
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Call, Commit, Redelivery, Store, WaitRow
from treadle.stores import MemoryStore
from treadle.testing.checker import check_journal
from treadle.testing.world import START

DEEP = os.environ.get("TREADLE_DEEP") == "1"
THOROUGH = settings(
    max_examples=60 * (20 if DEEP else 1),
    deadline=None,
    database=None,
    derandomize=not DEEP,
    suppress_health_check=list(HealthCheck),
)
KINDS = ("lambda", "activity", "service", "aws-sdk", "http")
FOR_EVER = 10**9


class Mortal:
    """A store that never answers the last of so many commits, nor any later; the last one is `written`, or not.

    `watch` sees the waits that a commit opens.
    """

    def __init__(self, store: Store, commits: int, written: bool) -> None:
        self.inner, self.left, self.written = store, commits, written
        self.watch: Callable[[WaitRow], None] = lambda row: None
        self.dead = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def commit(self, commit: Commit) -> None:
        if self.left > 1 or (self.left == 1 and self.written):
            await self.inner.commit(commit)
        self.left -= 1
        if self.left <= 0:
            self.dead.set()
            await asyncio.get_running_loop().create_future()
        for row in commit.opened:
            self.watch(row)


class World:
    """Answers each task by what it is, always in the same way, and remembers who asked."""

    redelivery: Redelivery = "again"

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.asked: list[Call] = []

    def draw(self, *what: Any) -> int:
        return hashlib.blake2b(repr((self.seed, *what)).encode(), digest_size=1).digest()[0]

    def outcome(self, state: str, attempt: int) -> Any:
        """What comes of a task; an error is raised."""
        match self.draw(state, attempt) % 6:
            case 0:
                raise StatesError("Boom", "it failed")
            case 1:
                raise StatesError(None, None)
            case number:
                return {"ok": number}

    async def call(self, call: Call) -> Any:
        self.asked.append(call)
        if call.token is not None or call.resource.endswith(".sync:2"):
            if self.draw(call.state, "refused", call.attempt) % 8 == 0:
                raise StatesError("Refused", "no")
            return {"job": call.state}
        return self.outcome(call.state, call.attempt)

    async def poll(self, call: Call) -> Any:
        return self.outcome(call.state, call.attempt)

    async def cancel(self, call: Call) -> None:
        pass


def machine_of(program: Program) -> StateMachine:
    return StateMachine(
        arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
        name="m",
        definition=json.dumps(program.definition),
        role_arn="arn:aws:iam::123456789012:role/r",
    )


class Outside:
    """Workers and people: each task is taken, and answered, a while after it stands in the store."""

    def __init__(self, engine: Engine, world: World) -> None:
        self.engine, self.world = engine, world
        self.tasks: list[asyncio.Task[None]] = []

    def see(self, row: WaitRow) -> None:
        if row.kind in ("activity", "callback"):
            self.tasks.append(asyncio.create_task(self.act(row)))

    async def act(self, row: WaitRow) -> None:
        await self.engine.clock.sleep_until(row.created_at + (0.37 if row.kind == "activity" else 0.61))
        if row.kind == "activity":
            await self.engine.take_task(row, "worker")
        else:
            await self.answer(row)

    async def answer(self, row: WaitRow) -> None:
        token, task = self.engine.token(row.arn, row.wait), row.command
        assert isinstance(task, RunTask)
        try:
            try:
                output = self.world.outcome(task.state, task.attempt)
            except StatesError as error:
                await self.engine.fail_task(token, error.name, error.cause)
            else:
                await self.engine.succeed_task(token, output)
        except ApiError as error:
            assert error.code == "TaskTimedOut"


async def live(program: Program, world: World, store: Mortal, at: float) -> tuple[list[Entry] | None, float]:
    """One life of an engine: the journal where the execution ended in it, and the time."""
    clock, machine = VirtualClock(at), machine_of(program)
    engine = Engine(cast(Store, store), dict.fromkeys(KINDS, world), clock=clock, limits=program.limits, seed="seed")
    async with engine:
        outside = Outside(engine, world)
        store.watch = outside.see
        for row in await open_rows(store, engine.arn_of(machine, "x")):
            outside.see(row)
        running = asyncio.create_task(start_and_wait(engine, machine, program.input))
        dying = asyncio.create_task(store.dead.wait())
        await asyncio.wait((running, dying), return_when=asyncio.FIRST_COMPLETED)
        ended = running.done()
        for each in (running, dying, *outside.tasks):
            each.cancel()
        for each in await asyncio.gather(running, *outside.tasks, return_exceptions=True):
            assert each is None or isinstance(each, asyncio.CancelledError), each
        return (await store.journal(engine.arn_of(machine, "x")) if ended else None), clock.now()


async def open_rows(store: Mortal, arn: str) -> list[WaitRow]:
    try:
        return await store.waits(arn)
    except NotFound:
        return []


async def start_and_wait(engine: Engine, machine: StateMachine, input: Any) -> None:
    try:
        arn = (await engine.start(machine, input, "x")).arn
    except ApiError as error:
        assert error.code == "ExecutionAlreadyExists"
        arn = engine.arn_of(machine, "x")
    await engine.wait_closed(arn)


async def undisturbed(program: Program, world: World) -> tuple[list[Entry], int]:
    store = Mortal(MemoryStore(), FOR_EVER, True)
    journal, _ = await live(program, world, store, START)
    assert journal is not None
    return journal, FOR_EVER - store.left


async def crashed(program: Program, world: World, commits: int, written: bool, again: bool) -> list[Entry]:
    """The journal of an execution whose engine dies at a commit, and those after it `again` and again."""
    inner, at = MemoryStore(), START
    journal, lives = None, 0
    while journal is None:
        mortal = again or lives == 0
        journal, at = await live(program, world, Mortal(inner, commits if mortal else FOR_EVER, written), at)
        lives += 1
        assert lives < 1000, "it gets nowhere"
    (summary,) = [each async for each in inner.every()]
    assert await inner.waits(summary.arn) == []
    assert summary.length == len(journal)
    return journal


def check(journal: list[Entry], expected: list[Entry], program: Program) -> None:
    """The execution ended as it would have, and each of its scopes went the same way."""
    check_journal(journal, program.plan)
    if comparable(expected, program):
        assert ways(journal) == ways(expected)


def comparable(journal: list[Entry], program: Program) -> bool:
    """Not where scopes race, and it matters who is first: for the failure, the last event, the next random number."""
    types = {entry.type for entry in journal}
    full = max(entry.id for entry in journal) >= (program.limits.history_events or FOR_EVER) - 1
    raced = any(type.endswith(("Aborted", "ExecutionTimedOut")) for type in types)
    return not (full or raced or "$random() <" in json.dumps(program.definition))


def ways(journal: list[Entry]) -> dict[Any, list[str]]:
    """What happened in each scope, in order."""
    found: dict[Any, list[str]] = {}
    for entry in journal:
        found.setdefault(entry.frame, []).append(entry.type)
    return found


def check_calls(world: World, crashes: int) -> None:
    """Each wait was called once; once more at the most for each crash, and said so."""
    for count in Counter(call.wait for call in world.asked).values():
        assert count <= 1 + crashes
    seen: set[int] = set()
    for call in world.asked:
        assert call.again or call.wait not in seen, "who calls again says so"
        seen.add(call.wait)


def run(work: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(bounded())


def undisturbed_run(program: Program, seed: int) -> tuple[Any, int]:
    """What becomes of the program when nobody dies, and in how many commits."""
    try:
        compile_definition(machine_of(program).definition)
    except DefinitionError:
        reject()
    return run(undisturbed(program, World(seed)))


@THOROUGH
@given(programs(), st.integers(0, 2**16))
def test_an_engine_that_dies_at_any_commit_is_followed_by_one_that_goes_on(program: Program, seed: int) -> None:
    expected, commits = undisturbed_run(program, seed)
    for number in range(1, commits + 1):
        for written in (False, True):
            world = World(seed)
            check(run(crashed(program, world, number, written, again=False)), expected, program)
            check_calls(world, 1)


@THOROUGH
@given(programs(), st.integers(0, 2**16))
def test_an_engine_that_dies_after_every_single_commit_gets_there_all_the_same(program: Program, seed: int) -> None:
    expected, commits = undisturbed_run(program, seed)
    world = World(seed)
    check(run(crashed(program, world, 1, True, again=True)), expected, program)
    check_calls(world, commits)


def test_a_store_that_dies_does_not_take_the_test_with_it() -> None:
    async def work() -> None:
        store: Any = Mortal(MemoryStore(), 1, False)
        async with Engine(store, {}, clock=VirtualClock(START)) as engine:
            definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
            machine = StateMachine(
                arn="arn:aws:states:us-east-1:1:stateMachine:m", name="m", definition=definition, role_arn="r"
            )
            starting = asyncio.create_task(engine.start(machine, 1, "x"))
            await store.dead.wait()
        with pytest.raises(Unavailable):
            await starting

    run(work())

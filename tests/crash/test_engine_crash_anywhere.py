"""Crash anywhere, with the whole engine: it dies at every commit in turn, and the next one goes on as if nothing had
been.

Random programs run in virtual time against a world that answers by state, attempt and wait alone. At one commit the
store takes the commit, or does not, and never answers again: what is in memory then is lost, as with a killed process.
A new engine on the same store must lead the execution to the same journal. Where a call was repeated, it was one whose
result had not been committed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st
from random_programs import ACTIVITY, Program, programs

from treadle.errors import ApiError, DefinitionError, StatesError, Unavailable
from treadle.machine.journal import Entry
from treadle.runtime.clock import START, VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Call, Commit, Redelivery, Store
from treadle.stores import MemoryStore
from treadle.testing.checker import check_journal

DEEP = os.environ.get("TREADLE_DEEP") == "1"
THOROUGH = settings(
    max_examples=60 * (20 if DEEP else 1),
    deadline=None,
    database=None,
    derandomize=not DEEP,
    suppress_health_check=list(HealthCheck),
)
KINDS = ("lambda", "activity", "service", "aws-sdk", "http")
LONGEST = START + 10**6


class Mortal:
    """A store that never answers the last of so many commits, nor any later; the last one is `written`, or not."""

    def __init__(self, store: Store, commits: int, written: bool) -> None:
        self.inner, self.left, self.written = store, commits, written
        self.dead = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def commit_all(self, commits: Sequence[Commit]) -> list[Exception | None]:
        return [await self.outcome(commit) for commit in commits]

    async def outcome(self, commit: Commit) -> Exception | None:
        if self.left > 1 or (self.left == 1 and self.written):
            (error,) = await self.inner.commit_all([commit])
            if error is not None:
                return error
        self.left -= 1
        if self.left <= 0:
            self.dead.set()
            await asyncio.get_running_loop().create_future()
        return None


class World:
    """Answers each task by what it is, always in the same way, and remembers who asked."""

    redelivery: Redelivery = "again"

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.asked: list[Call] = []

    def draw(self, *what: Any) -> int:
        return hashlib.blake2b(repr((self.seed, *what)).encode(), digest_size=1).digest()[0]

    def outcome(self, state: str, attempt: int, wait: int) -> Any:
        """What comes of a task; an error is raised."""
        match self.draw(state, attempt, wait) % 6:
            case 0:
                raise StatesError("Boom", "it failed")
            case 1:
                raise StatesError(None, None)
            case _:
                return {"ok": wait}

    async def call(self, call: Call) -> Any:
        self.asked.append(call)
        if call.token is not None or call.resource.endswith(".sync:2"):
            if self.draw(call.state, "refused", call.wait) % 8 == 0:
                raise StatesError("Refused", "no")
            return {"job": call.wait}
        return self.outcome(call.state, call.attempt, call.wait)

    async def poll(self, call: Call) -> Any:
        return self.outcome(call.state, call.attempt, call.wait)

    async def cancel(self, call: Call) -> None:
        pass


def machine_of(program: Program) -> StateMachine:
    definition = {**program.definition}
    return StateMachine(
        arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
        name="m",
        definition=json.dumps(definition),
        role_arn="arn:aws:iam::123456789012:role/r",
    )


async def outside(engine: Engine, world: World) -> None:
    """Workers and people: everything that waits for them is answered a second after it was asked."""
    answered: set[tuple[str, int]] = set()
    while True:
        await engine.clock.sleep_until(engine.clock.now() + 1)
        if engine.clock.now() > LONGEST:
            raise AssertionError("the execution never ends")
        with engine.clock.busy():
            callbacks = await engine.store.open_callbacks()
        for row in callbacks:
            key = row.arn, row.wait
            if key not in answered:
                answered.add(key)
                await answer(engine, world, engine.token(*key), row.command)
        while await engine.take_activity(ACTIVITY, "worker", 0) is not None:
            pass  # what is taken waits to be called back


async def answer(engine: Engine, world: World, token: str, command: Any) -> None:
    try:
        try:
            output = world.outcome(command.state, command.attempt, command.wait)
        except StatesError as error:
            await engine.fail_task(token, error.name, error.cause)
        else:
            await engine.succeed_task(token, output)
    except ApiError as error:
        assert error.code == "TaskTimedOut"


async def live(program: Program, world: World, store: Any, at: float) -> tuple[list[Entry] | None, float]:
    """One life of an engine: the journal where the execution ended in it, and the time."""
    clock = VirtualClock(at)
    # A store outlives its engines, as a file does.
    engine = Engine(store, dict.fromkeys(KINDS, world), clock=clock, limits=program.limits, seed="seed")
    async with engine:
        machine = machine_of(program)
        arn = engine.arn_of(machine, "x")
        beside = asyncio.create_task(outside(engine, world))
        running = asyncio.create_task(start_and_wait(engine, machine, program.input))
        dying = asyncio.create_task(store.dead.wait())
        done, _ = await asyncio.wait((running, dying, beside), return_when=asyncio.FIRST_COMPLETED)
        for each in (running, dying, beside):
            each.cancel()
        await asyncio.wait((running, dying, beside))
        if beside in done:
            beside.result()
        if running in done:
            running.result()
            return await store.journal(arn), clock.now()
        return None, clock.now()


async def start_and_wait(engine: Engine, machine: StateMachine, input: Any) -> None:
    try:
        arn = (await engine.start(machine, input, "x")).arn
    except ApiError as error:
        assert error.code == "ExecutionAlreadyExists"
        arn = engine.arn_of(machine, "x")
    await engine.wait_closed(arn)


async def undisturbed(program: Program, world: World) -> tuple[list[Entry], int]:
    store = Mortal(MemoryStore(), 10**9, True)
    journal, _ = await live(program, world, store, START)
    assert journal is not None
    return journal, 10**9 - store.left


async def crashed(program: Program, world: World, commits: int, written: bool, every: bool) -> list[Entry]:
    """The journal of an execution whose engine dies at a commit, or at `every` so-manieth one."""
    inner, at = MemoryStore(), START
    journal, lives = None, 0
    while journal is None:
        mortal = every or lives == 0
        journal, at = await live(program, world, Mortal(inner, commits if mortal else 10**9, written), at)
        lives += 1
        assert lives < 1000, "it gets nowhere"
    summary = await inner.summary(f"{machine_of(program).arn.replace('stateMachine', 'execution')}:x")
    assert await inner.waits(summary.arn) == []
    assert summary.length == len(journal)
    return journal


def shape(journal: list[Entry]) -> list[Any]:
    """What happened, without when."""
    return [(each.type, each.id, each.frame, each.previous) for each in journal]


def check_calls(world: World, crashes: int) -> None:
    """Each wait was called once; once more at the most for each crash, and said so."""
    for count in Counter(call.wait for call in world.asked).values():
        assert count <= 1 + crashes
    seen: set[int] = set()
    for call in world.asked:
        assert call.again or call.wait not in seen, "who calls again says so"
        seen.add(call.wait)


def check(journal: list[Entry], expected: list[Entry], program: Program) -> None:
    check_journal(journal, program.plan)
    assert shape(journal) == shape(expected)


def run(work: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(bounded())


def undisturbed_run(program: Program, seed: int) -> tuple[Any, int]:
    """What becomes of the program when nobody dies, and in how many commits."""
    text = json.dumps(program.definition)
    # A task that a worker took in the moment of death is lost to it, as on AWS, and times out: another history.
    assume(ACTIVITY not in text or not ("HeartbeatSeconds" in text or "TimeoutSeconds" in text))
    try:
        return run(undisturbed(program, World(seed)))
    except DefinitionError:
        reject()


@THOROUGH
@given(programs(), st.integers(0, 2**16))
def test_an_engine_that_dies_at_any_commit_is_followed_by_one_that_goes_on(program: Program, seed: int) -> None:
    expected, commits = undisturbed_run(program, seed)
    for number in range(1, commits + 1):
        for written in (False, True):
            world = World(seed)
            check(run(crashed(program, world, number, written, every=False)), expected, program)
            check_calls(world, 1)


@THOROUGH
@given(programs(), st.integers(0, 2**16))
def test_an_engine_that_dies_after_every_single_commit_gets_there_all_the_same(program: Program, seed: int) -> None:
    expected, commits = undisturbed_run(program, seed)
    world = World(seed)
    check(run(crashed(program, world, 1, True, every=True)), expected, program)
    check_calls(world, commits)
    assert max(Counter(call.wait for call in world.asked).values(), default=0) <= 1 + commits


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

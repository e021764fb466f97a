"""An engine that dies at every commit of a distributed Map, and the one that goes on: no item is lost, none that had
ended is done again, and a redrive runs what had failed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from test_engine_crash_anywhere import Mortal, run

from treadle.errors import ApiError, StatesError
from treadle.language.compile import compile_definition
from treadle.machine.map_run import recover_run
from treadle.runtime.clock import START, VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine, processor_of
from treadle.runtime.ports import Call, ItemPage, MapResults, Redelivery, Store
from treadle.stores import MemoryStore
from treadle.testing.checker import check_journal

ITEMS = list(range(7))
FAILS = 4
"""The item that fails until the execution is redriven."""


@dataclass
class Outside:
    """Reads, writes and answers; it outlives the engines."""

    redelivery: Redelivery = "again"
    redriven: bool = False
    calls: list[Any] = field(default_factory=list)
    written: list[list[Any]] = field(default_factory=list)

    async def call(self, call: Call) -> Any:
        self.calls.append(call.arguments)
        if call.arguments == FAILS and not self.redriven:
            raise StatesError("Boom", "not yet")
        return call.arguments

    async def poll(self, call: Call) -> Any:
        raise AssertionError("these have no jobs")

    async def cancel(self, call: Call) -> None:
        raise AssertionError("these have no jobs")

    async def pages(self, reader: Mapping[str, Any], skip: int) -> AsyncIterator[ItemPage]:
        for first in range(skip, len(ITEMS), 2):
            page = ITEMS[first : first + 2]
            yield ItemPage(page, "S3://b/k", [f"k{first + index}" for index in range(len(page))])

    async def write(self, writer: Mapping[str, Any], results: MapResults) -> Any:
        self.written.append([record["Status"] async for record in results.records()])
        return [json.loads(record["Output"]) async for record in results.records()]


def machine(kind: str) -> StateMachine:
    function = "arn:aws:lambda:us-east-1:123456789012:function:f"
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
        "StartAt": "First",
        "States": {
            "First": {"Type": "Pass", "Next": "Call"},
            "Call": {"Type": "Task", "Resource": function, "End": True},
        },
    }
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "Parameters": {"Bucket": "b", "Key": "k"},
        "ReaderConfig": {"InputType": "JSON"},
    }
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}}
    state = {
        "Type": "Map",
        "Label": "each",
        "MaxConcurrency": 3,
        "ItemReader": reader,
        "ResultWriter": writer,
        "ItemProcessor": processor,
        "End": True,
    }
    return StateMachine(
        arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
        name="m",
        definition=json.dumps({"StartAt": "Each", "States": {"Each": state}}),
        role_arn="arn:aws:iam::123456789012:role/r",
    )


async def live(kind: str, outside: Outside, store: Any, at: float) -> tuple[bool, float]:
    """One life of an engine: whether the execution succeeded in it, and the time."""
    engine = Engine(store, {"lambda": outside}, clock=VirtualClock(at), seed="s", reader=outside, writer=outside)
    async with engine:
        driving = asyncio.create_task(drive(engine, machine(kind), outside))
        dying = asyncio.create_task(store.dead.wait())
        await asyncio.wait((driving, dying), return_when=asyncio.FIRST_COMPLETED)
        ended = driving.done()
        for each in (driving, dying):
            each.cancel()
        await asyncio.wait((driving, dying))
        if ended:
            driving.result()
        return ended, engine.clock.now()


async def drive(engine: Engine, each: StateMachine, outside: Outside) -> None:
    """Start the execution, redrive it once it has failed, and see it succeed."""
    try:
        await engine.start(each, {}, "x")
    except ApiError as error:
        assert error.code == "ExecutionAlreadyExists"
    arn = engine.arn_of(each, "x")
    summary = await engine.wait_closed(arn)
    if summary.status == "FAILED":
        outside.redriven = True
        await engine.redrive(arn)
        summary = await engine.wait_closed(arn)
    assert summary.status == "SUCCEEDED", summary.cause

    while engine.clock.now() < START + 10**5 and any([row async for row in rows(engine.store)]):
        await engine.clock.sleep_until(engine.clock.now() + 1)


async def rows(store: Store) -> AsyncIterator[Any]:
    for row in await store.open_calls():
        yield row


async def check(store: Store, outside: Outside, lives: int) -> None:
    """The books are right, and no more was done than was lost."""
    [parent] = [each async for each in store.every() if each.member is None]
    plan = compile_definition(await store.definition(parent.definition))
    check_journal(await store.journal(parent.arn), plan)
    [found] = [each async for each in store.every() if each.is_map_run]
    assert found.member is not None and found.progress is not None
    run = recover_run(plan.state("Each"), await store.journal(found.arn))  # pyright: ignore[reportArgumentType]
    assert (found.status, found.progress) == ("SUCCEEDED", run.progress())
    assert found.progress.items.succeeded == found.progress.items.total == len(ITEMS)
    assert await store.waits(found.arn) == []
    children = (await store.children(found.arn)).executions
    assert len(children) == len(ITEMS)
    for child in children:
        assert child.status == "SUCCEEDED"
        assert child.member is not None
        check_journal(await store.journal(child.arn), processor_of(plan, child.member))
        assert await store.waits(child.arn) == []
    assert outside.written[-1] == ["SUCCEEDED"] * len(ITEMS)
    counts = Counter(outside.calls)
    assert set(counts) == set(ITEMS)
    # A call is repeated where its engine died before its result was written, or where the redrive wants it.
    assert all(count <= 2 + lives for count in counts.values())
    assert sum(counts.values()) <= len(ITEMS) + 3 + 3 * lives


async def story(kind: str, commits: int, written: bool, every: bool = False) -> int:
    """The whole story with an engine that dies; gives how many commits the last life took."""
    inner, outside, at = MemoryStore(), Outside(), START
    ended, lives = False, 0
    while True:
        mortal = every or lives == 0
        store = Mortal(inner, commits if mortal else 10**9, written)
        ended, at = await live(kind, outside, store, at)
        if ended:
            await check(inner, outside, lives)
            return 10**9 - store.left
        lives += 1
        assert lives < 200, "it gets nowhere"


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_an_engine_that_dies_at_any_commit_of_a_map_run_is_followed_by_one_that_goes_on(kind: str) -> None:
    commits = run(story(kind, 10**9, True))
    assert commits > 10
    for number in range(1, commits + 1):
        for written in (False, True):
            run(story(kind, number, written))


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_an_engine_that_dies_after_every_commit_gets_through_a_map_run(kind: str) -> None:
    run(story(kind, 1, True, every=True))


async def stopped(inner: MemoryStore, commits: int, written: bool) -> int:
    """A map run whose execution is stopped by an engine that dies; gives how many commits were taken."""
    outside, at = Outside(), START
    each = machine("STANDARD")
    text = each.definition.replace('"First": {"Type": "Pass", ', '"First": {"Type": "Wait", "Seconds": 90, ')
    each = replace(each, definition=text)
    for number in (commits, 10**9):
        store: Any = Mortal(inner, number, written)
        options: Any = {"clock": VirtualClock(at), "seed": "s", "reader": outside, "writer": outside}
        async with Engine(store, {"lambda": outside}, **options) as engine:
            driving = asyncio.create_task(stop_it(engine, each))
            dying = asyncio.create_task(store.dead.wait())
            await asyncio.wait((driving, dying), return_when=asyncio.FIRST_COMPLETED)
            at = engine.clock.now()
            for task in (driving, dying):
                task.cancel()
            await asyncio.wait((driving, dying))
    return 10**9 - store.left


async def stop_it(engine: Engine, each: StateMachine) -> None:
    arn = engine.arn_of(each, "x")
    try:
        await engine.start(each, {}, "x")
    except ApiError as error:
        assert error.code == "ExecutionAlreadyExists"
    await engine.clock.sleep_until(START + 1)
    await engine.stop(arn)
    await engine.clock.sleep_until(START + 10)


def test_whenever_an_engine_dies_while_a_map_run_is_stopped_its_children_are_stopped() -> None:
    async def tried(number: int, written: bool) -> int:
        inner = MemoryStore()
        taken = await stopped(inner, number, written)
        found = [each async for each in inner.every()]
        assert all(each.status == "ABORTED" for each in found), found
        for summary in found:
            assert await inner.waits(summary.arn) == []
        return taken

    most = 16
    for number in range(1, most):
        for written in (False, True):
            run(tried(number, written))

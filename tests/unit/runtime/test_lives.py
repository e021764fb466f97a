"""What is in memory: little of what waits, never two copies of one execution, and all of it comes back."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from driving import (
    CALLBACK,
    START,
    Failing,
    Ledger,
    chain,
    check_books,
    closed,
    machine,
    open_engine,
    quiet,
    run,
    settled,
    task,
    wait,
    waits,
)

from treadle.runtime import lives
from treadle.runtime.clock import VirtualClock
from treadle.runtime.lives import IDLE_EXECUTIONS
from treadle.runtime.ports import Store, WaitRow
from treadle.stores import MemoryStore

BRANCHES = [
    {"StartAt": "Ask", "States": {"Ask": {**task(CALLBACK), "Next": "B"}, "B": {**task(), "End": True}}},
    {"StartAt": "W", "States": {"W": {**wait(100), "Next": "C"}, "C": {**task(), "End": True}}},
    {"StartAt": "V", "States": {"V": {**wait(100), "Next": "D"}, "D": {**wait(100), "End": True}}},
]
WIDE = machine({"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": BRANCHES, "End": True}}}, "wide")


class Counted(MemoryStore):
    """Counts the rows that are read because of time."""

    rows = 0

    async def due(self, before: float, limit: int = 1000, after: Any = None) -> list[WaitRow]:
        found = await super().due(before, limit, after)
        self.rows += len(found)
        return found


def test_ten_thousand_waiting_executions_leave_memory_and_come_back_when_their_time_comes() -> None:
    many, soon = 10_000, 2_500

    async def work() -> None:
        store, ledger = Counted(), Ledger()
        year, hours = machine(chain(wait(365 * 24 * 3600)), "year"), machine(chain(wait(7200), task()), "hours")
        async with open_engine(store, ledger) as engine:
            for number in range(many):
                await engine.start(hours if number < soon else year, number, str(number))
            await settled(engine)
            assert len(engine._lives) <= IDLE_EXECUTIONS
            await engine.clock.sleep_until(START + 7000)
            assert store.rows <= 10, "nothing is read while nothing is due"
            assert len(engine._agenda._heap) <= 1
            await engine.clock.sleep_until(START + 7300)
            assert len(engine._lives) <= IDLE_EXECUTIONS
            assert len(ledger.calls) == soon
            statuses = Counter([each.status async for each in store.every()])
            assert statuses == {"SUCCEEDED": soon, "RUNNING": many - soon}
            assert store.rows <= 2 * soon, "each is read once, give or take"

    run(work())


@pytest.mark.parametrize("room", [0, 1, 5])
def test_executions_that_come_and_go_all_the_time_miss_nothing(
    room: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timers, results and answers of one execution meet while it is being forgotten and read again."""
    monkeypatch.setattr(lives, "IDLE_EXECUTIONS", room)

    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            started = [await engine.start(WIDE, number, str(number)) for number in range(12)]
            await settled(engine)
            assert len(engine._lives) <= max(room, 1) + 1
            tokens = [call.token for call in ledger.calls]
            await engine.clock.sleep_until(START + 100)
            await asyncio.gather(*(engine.succeed_task(token or "", 1) for token in tokens))
            for each in started:
                assert (await closed(engine, each.arn)).status == "SUCCEEDED"
            assert len(ledger.calls) == 12 * 3

    run(work())


def test_whoever_reads_an_execution_at_once_gets_the_same_one(store: Store) -> None:
    class Reading(Failing):
        reads = 0

        async def journal(self, arn: str) -> Any:
            self.reads += 1
            return await self.inner.journal(arn)

    async def work() -> None:
        reading: Any = Reading(store, lambda count, commit: None)
        async with open_engine(reading) as engine:
            started = await engine.start(WIDE, 1, "x")
            await quiet(engine)
            engine.forget(started.arn)
            found = await asyncio.gather(*(engine._lives.get(started.arn) for _ in range(20)))
            assert len({id(each) for each in found}) == 1 and reading.reads == 1

    run(work())


def test_a_reader_that_goes_away_leaves_the_others_their_execution(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(WIDE, 1, "x")
            await quiet(engine)
            engine.forget(started.arn)
            asking = [asyncio.create_task(engine.result(started.arn)) for _ in range(3)]
            await asyncio.sleep(0)
            asking[0].cancel()
            outcomes = await asyncio.gather(*asking, return_exceptions=True)
            assert [isinstance(each, BaseException) for each in outcomes] == [True, False, False]

    run(work())


def test_an_execution_is_told_of_while_it_is_being_started(store: Store) -> None:
    """Its first result may come before its start has been acknowledged."""

    async def work() -> None:
        async with open_engine(store) as engine:
            starting = asyncio.create_task(engine.start(machine(chain(task(), task(), task())), 1, "x"))
            arn = engine.arn_of(machine({"StartAt": "A", "States": {}}), "x")
            stopping = [asyncio.create_task(engine.stop(arn)) for _ in range(3)]
            started, *stops = await asyncio.gather(starting, *stopping, return_exceptions=True)
            assert not isinstance(started, BaseException)
            await closed(engine, arn)
            assert all(isinstance(each, float | Exception) for each in stops)

    run(work())


def test_everything_open_is_taken_up_by_the_next_engine(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            started = [await engine.start(WIDE, number, str(number)) for number in range(30)]
            await settled(engine)
            tokens = [call.token for call in ledger.calls]
        async with open_engine(store, ledger, clock=VirtualClock(START + 50)) as engine:
            assert len(engine._lives) == 0, "nothing is read before something happens to it"
            for token in tokens:
                await engine.succeed_task(token or "", 1)
            for each in started:
                assert (await closed(engine, each.arn)).stopped_at == START + 200
            assert await waits(engine, started[0].arn) == []
            await check_books(store)

    run(work())

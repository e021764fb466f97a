"""What is due when: in order, on time, once, and without holding what is far away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from driving import START, Ledger, chain, closed, machine, open_engine, run, settled, task, types, wait
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.errors import Unavailable
from treadle.machine.commands import StartTimer
from treadle.machine.events import TimerDue
from treadle.runtime.agenda import HORIZON, Agenda
from treadle.runtime.clock import VirtualClock
from treadle.runtime.ports import Store, WaitRow


class Rows:
    """The part of a store that an agenda reads; `meanwhile` happens while it is being read."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, int], WaitRow] = {}
        self.reads: list[int] = []
        self.failures = 0
        self.meanwhile: Any = None

    async def due(self, before: float, limit: int = 1000, after: Any = None) -> list[WaitRow]:
        if self.failures:
            self.failures -= 1
            raise Unavailable("gone")
        found = sorted((row.moment, row.arn, row.wait) for row in self.open.values() if row.moment is not None)
        rows = [self.open[key[1:]] for key in found if key[0] <= before and (after is None or key > after)][:limit]
        self.reads.append(len(rows))
        if self.meanwhile is not None:
            happen, self.meanwhile = self.meanwhile, None
            await asyncio.sleep(0)
            happen()
        return rows


class Bench:
    """An agenda with rows and a clock, and what it has delivered."""

    def __init__(self) -> None:
        self.clock, self.rows = VirtualClock(START), Rows()
        self.heard: list[tuple[float, str, TimerDue]] = []
        self.agenda = Agenda(self.rows, self.clock, self.hear)  # type: ignore[arg-type]

    def hear(self, arn: str, event: TimerDue) -> None:
        self.heard.append((self.clock.now() - START, arn, event))
        if event.reason == "due":
            self.close(arn, event.wait)

    def add(self, number: int, after: float, heartbeat: float | None = None, told: bool = True) -> None:
        command = StartTimer(number, START + after)
        row = WaitRow(arn="x", wait=number, kind="timer", command=command, due=START + after)
        if heartbeat is not None:
            row = msgspec.structs.replace(row, kind="callback", heartbeat_due=START + heartbeat)
        self.rows.open["x", number] = row
        if told:
            self.agenda.add(row)

    def close(self, arn: str, number: int) -> None:
        self.rows.open.pop((arn, number), None)
        self.agenda.drop(arn, number)

    def beat(self, number: int, after: float) -> None:
        row = self.rows.open["x", number]
        self.rows.open["x", number] = msgspec.structs.replace(row, heartbeat_due=START + after)
        self.agenda.move_heartbeat("x", number, START + after)

    @asynccontextmanager
    async def running(self, until: float) -> AsyncIterator[None]:
        task = asyncio.create_task(self.agenda.run())
        await asyncio.sleep(0)
        yield
        await self.clock.sleep_until(START + until)
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()

    @property
    def times(self) -> list[tuple[float, int, str]]:
        return [(at, event.wait, event.reason) for at, _, event in self.heard]


NEAR_AND_FAR = st.one_of(st.integers(0, 20), st.integers(0, 400), st.sampled_from([HORIZON, HORIZON + 1, 10_000]))


@settings(deadline=None)
@given(
    st.lists(st.tuples(NEAR_AND_FAR, NEAR_AND_FAR, st.booleans(), st.booleans()), max_size=25),
)
def test_timers_fire_in_order_none_early_none_lost_none_twice(plan: list[tuple[int, int, bool, bool]]) -> None:
    """By when it is due, when it is opened, whether it was open before the start, and whether it is closed at once."""

    async def work() -> None:
        bench = Bench()
        expected: list[tuple[float, int, str]] = []
        for number, (due, _, before, _) in enumerate(plan):
            if before:
                bench.add(number, due, told=False)
                expected.append((due, number, "due"))
        async with bench.running(25_000):
            later = sorted((opened, number) for number, (_, opened, before, _) in enumerate(plan) if not before)
            for opened, number in later:
                await bench.clock.sleep_until(START + opened)
                due, _, _, shut = plan[number]
                bench.add(number, opened + due)
                if shut:
                    bench.close("x", number)
                else:
                    expected.append((opened + due, number, "due"))
        assert sorted(bench.times) == sorted(expected)
        assert [at for at, *_ in bench.times] == sorted(at for at, *_ in bench.times)
        assert bench.rows.open == {}

    run(work())


@settings(deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=12), st.sampled_from([10, 59, 61, 100]))
def test_a_heartbeat_is_missed_exactly_when_the_silence_is_too_long(pauses: list[int], silence: int) -> None:
    async def work() -> None:
        bench, at, missed = Bench(), 0, None
        bench.add(1, 100_000, heartbeat=silence)
        for pause in pauses:
            if pause > silence:
                break
            at += pause
        missed = at + silence
        async with bench.running(20_000):
            moment = 0
            for pause in pauses:
                if pause > silence:
                    break
                moment += pause
                await bench.clock.sleep_until(START + moment - 0.5)
                bench.beat(1, moment + silence)
        assert bench.times == [(missed, 1, "heartbeat")]

    run(work())


@pytest.mark.parametrize("far", [HORIZON / 2, HORIZON * 5])
def test_a_heartbeat_that_comes_while_the_store_is_read_counts(far: float) -> None:
    """What was read before the heartbeat must not take its place."""

    async def work() -> None:
        bench = Bench()
        bench.add(1, 100_000, heartbeat=5, told=False)
        bench.rows.meanwhile = lambda: bench.beat(1, far)
        async with bench.running(1000):
            pass
        assert bench.times == [(far, 1, "heartbeat")]

    run(work())


def test_a_wait_that_is_closed_while_the_store_is_read_stays_closed() -> None:
    async def work() -> None:
        bench = Bench()
        bench.add(1, 5, told=False)
        bench.rows.meanwhile = lambda: bench.close("x", 1)
        async with bench.running(1000):
            pass
        assert bench.heard == []

    run(work())


def test_what_was_due_long_ago_fires_at_once() -> None:
    async def work() -> None:
        bench = Bench()
        for number in range(3):
            bench.add(number, -1000 + number, told=False)
        async with bench.running(1):
            pass
        assert bench.times == [(0, number, "due") for number in range(3)]

    run(work())


def test_a_time_limit_and_a_heartbeat_of_one_wait_each_have_their_moment() -> None:
    async def work() -> None:
        bench = Bench()
        bench.add(1, 30, heartbeat=20)
        async with bench.running(100):
            pass
        assert bench.times == [(20, 1, "heartbeat"), (30, 1, "timeout")]

    run(work())


@pytest.mark.parametrize("failures", [1, 5])
def test_a_store_that_cannot_be_read_delays_timers_and_loses_none(failures: int) -> None:
    async def work() -> None:
        bench = Bench()
        bench.add(1, 1, told=False)
        bench.add(2, 100, told=False)
        bench.rows.failures = failures
        async with bench.running(1000):
            pass
        assert bench.times == [(max(1, failures), 1, "due"), (100, 2, "due")]

    run(work())


def test_many_rows_are_read_page_by_page() -> None:
    async def work() -> None:
        bench = Bench()
        for number in range(2500):
            bench.add(number, 5 + number % 7, told=False)
        async with bench.running(100):
            pass
        assert len(bench.heard) == 2500 and bench.rows.reads[:4] == [1000, 1000, 500, 0]

    run(work())


def test_what_is_far_away_is_not_held_and_nothing_is_read_again_for_it() -> None:
    async def work() -> None:
        bench = Bench()
        for number in range(100):
            bench.add(number, 10**7 + number)
        async with bench.running(1000):
            assert len(bench.agenda._heap) == len(bench.agenda._current) == 0
        assert sum(bench.rows.reads) <= 2 and len(bench.rows.reads) <= 3

    run(work())


# ---- in an engine ------------------------------------------------------------------------------------------------


def test_a_wait_of_a_year_is_one_row_and_comes_true(store: Store) -> None:
    year = 365 * 24 * 3600

    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(machine(chain(wait(year))), 1, "w")
            assert (await closed(engine, started.arn)).stopped_at == START + year

    run(work())


def test_a_timer_outlives_the_engine(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(machine(chain(wait(1000), task())), 1, "w")
        for later in (10, 500):
            async with open_engine(store, clock=VirtualClock(START + later)) as engine:
                assert (await engine.summary(started.arn)).status == "RUNNING"
        ledger = Ledger()
        async with open_engine(store, ledger, clock=VirtualClock(START + 600)) as engine:
            assert (await closed(engine, started.arn)).stopped_at == START + 1000
            assert len(ledger.calls) == 1

    run(work())


def test_a_retry_waits_for_its_moment_across_a_restart(store: Store) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 100, "MaxAttempts": 1}]

    async def work() -> None:
        async def fail(call: Any) -> Any:
            raise ValueError("no")

        ledger = Ledger(fail)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(machine(chain(task(Retry=retry))), 1, "r")
            await settled(engine)
        async with open_engine(store, ledger) as engine:
            assert (await closed(engine, started.arn)).stopped_at == START + 100
            assert [call.attempt for call in ledger.calls] == [0, 1]

    run(work())


def test_the_real_clock_works_as_the_virtual_one_does(store: Store) -> None:
    async def work() -> None:
        from treadle.runtime.clock import RealClock

        async with open_engine(store, clock=RealClock()) as engine:
            started = await engine.start(machine(chain(wait(1), task())), 1, "w")
            summary = await closed(engine, started.arn)
            assert summary.status == "SUCCEEDED" and summary.stopped_at is not None
            assert 1 <= summary.stopped_at - summary.started_at < 5
            assert "WaitScheduled" in types(await engine.journal(started.arn))

    run(work())

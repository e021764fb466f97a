"""The clocks: virtual time passes only when nothing else can happen, and then in order."""

from __future__ import annotations

import asyncio
import time

from driving import START, run
from hypothesis import given
from hypothesis import strategies as st

from treadle.runtime.clock import RealClock, VirtualClock, event_or_moment


@given(st.lists(st.integers(0, 100), max_size=30))
def test_sleepers_wake_in_the_order_of_their_moments_and_on_time(delays: list[int]) -> None:
    async def work() -> None:
        clock, woken = VirtualClock(START), list[tuple[float, int]]()

        async def sleep(delay: int) -> None:
            await clock.sleep_until(START + delay)
            woken.append((clock.now() - START, delay))

        await asyncio.gather(*(sleep(delay) for delay in delays))
        assert woken == [(delay, delay) for delay in sorted(delays)]

    run(work())


def test_no_time_passes_while_somebody_is_busy() -> None:
    async def work() -> None:
        clock = VirtualClock(START)
        sleeping = asyncio.create_task(clock.sleep_until(START + 10))
        with clock.busy():
            for _ in range(200):
                await asyncio.sleep(0)
            assert clock.now() == START and not sleeping.done()
            with clock.idle():
                await sleeping
            assert clock.now() == START + 10

    run(work())


def test_work_that_is_busy_for_moments_only_holds_the_time_as_well() -> None:
    async def work() -> None:
        clock = VirtualClock(START)
        sleeping = asyncio.create_task(clock.sleep_until(START + 10))
        for _ in range(50):
            with clock.busy():
                pass
            for _ in range(10):
                await asyncio.sleep(0)
        assert clock.now() == START
        await sleeping

    run(work())


def test_a_sleeper_that_was_cancelled_moves_no_time() -> None:
    async def work() -> None:
        clock = VirtualClock(START)
        gone = asyncio.create_task(clock.sleep_until(START + 5))
        await asyncio.sleep(0)
        gone.cancel()
        await clock.sleep_until(START + 10)
        assert gone.cancelled() and clock.now() == START + 10

    run(work())


def test_a_clock_is_still_when_nobody_is_busy_and_nobody_sleeps() -> None:
    async def work() -> None:
        clock = VirtualClock(START)
        assert not clock.still.is_set()
        with clock.busy():
            pass
        await clock.still.wait()
        sleeping = asyncio.create_task(clock.sleep_until(START + 1))
        await asyncio.sleep(0)
        assert not clock.still.is_set()
        await sleeping
        await clock.still.wait()

    run(work())


def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    async def work() -> None:
        for clock in (VirtualClock(START), RealClock()):
            before = clock.now()
            await clock.sleep_until(before - 1)
            assert clock.now() - before < 0.5

    run(work())


def test_the_real_clock_is_the_time_and_never_wakes_early() -> None:
    async def work() -> None:
        clock = RealClock()
        assert abs(clock.now() - time.time()) < 1
        moment = clock.now() + 0.01
        with clock.busy(), clock.idle():
            await clock.sleep_until(moment)
        assert time.time() >= moment

    run(work())


def test_an_event_ends_a_wait_for_a_moment_and_leaves_no_sleeper() -> None:
    async def work() -> None:
        clock, event = VirtualClock(START), asyncio.Event()
        for moment in (START + 10, float("inf")):
            event.clear()
            with clock.busy():
                waiting = asyncio.create_task(event_or_moment(clock, event, moment))
                await asyncio.sleep(0)
                event.set()
                await waiting
        await clock.still.wait()
        assert clock.now() == START

    run(work())

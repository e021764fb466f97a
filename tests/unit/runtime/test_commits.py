"""What an engine does when its store does not: nothing acknowledged is lost, nothing is done twice, and it goes on."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from driving import (
    ACTIVITY,
    CALLBACK,
    START,
    Failing,
    Ledger,
    chain,
    check_books,
    closed,
    machine,
    never,
    open_engine,
    quiet,
    run,
    settled,
    task,
    types,
    wait,
    waits,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.errors import ApiError, Conflict, Corrupt, StoreError, Unavailable
from treadle.machine.commands import StartTimer
from treadle.machine.events import TimerDue
from treadle.machine.journal import Entry
from treadle.machine.limits import Limits
from treadle.runtime import live
from treadle.runtime.clock import VirtualClock
from treadle.runtime.ports import Call, Commit, Store
from treadle.stores import MemoryStore
from treadle.testing.store_samples import write

FAILURES: dict[str, tuple[StoreError, bool]] = {
    "full disk": (Unavailable("full"), False),
    "written all the same": (Unavailable("who knows"), True),
    "conflict": (Conflict("moved on"), False),
}
INNER = {"StartAt": "I", "States": {"I": {**task(), "Next": "J"}, "J": {**wait(3), "End": True}}}
BUSY = machine(chain(task(), {"Type": "Map", "ItemProcessor": INNER}, wait(5), task()), "busy")


def at(number: int, how: str) -> Any:
    """Fail at one commit."""
    return lambda count, commit: FAILURES[how] if count == number else None


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("number", range(1, 9))
def test_an_execution_goes_on_when_the_store_does(number: int, how: str, store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        failing: Any = Failing(store, at(number, how))
        async with open_engine(failing, ledger) as engine:
            started = await engine.start(BUSY, [1, 2, 3], "b")
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"
            assert Counter(call.state for call in ledger.calls) == {"A": 1, "I": 3, "D": 1}
            await check_books(store)

    run(work())


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_a_store_that_fails_at_random_delays_everything_and_loses_nothing(seed: int, percent: int) -> None:
    async def work() -> None:
        luck = random.Random(seed)

        def plan(count: int, commit: Commit) -> Any:
            # A store calls a new execution known only where it is.
            possible = [each for name, each in FAILURES.items() if commit.expected or name != "conflict"]
            return luck.choice(possible) if luck.randrange(100) < percent else None

        ledger = Ledger()
        failing: Any = Failing(MemoryStore(), plan)
        async with open_engine(failing, ledger) as engine:
            arns = [await persistent_start(engine, number) for number in range(5)]
            for arn in arns:
                assert (await closed(engine, arn)).status == "SUCCEEDED"
            calls = Counter((call.execution_arn, call.wait) for call in ledger.calls)
            assert set(calls.values()) == {1} and len(calls) == 5 * 5

    run(work())


async def persistent_start(engine: Any, number: int) -> str:
    """Start until it is acknowledged, as a client does."""
    while True:
        try:
            return (await engine.start(BUSY, [1, 2, 3], f"n{number}")).arn
        except (Unavailable, Conflict):
            await engine.clock.sleep_until(engine.clock.now() + 0.1)
        except ApiError as error:
            # It was written, and it has ended since.
            assert error.code == "ExecutionAlreadyExists"
            return engine.arn_of(BUSY, f"n{number}")


def test_a_start_that_the_store_refused_is_refused_and_leaves_nothing(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        failing: Any = Failing(store, at(0, "full disk"))
        async with open_engine(failing, ledger) as engine:
            with pytest.raises(Unavailable, match="full"):
                await engine.start(BUSY, [1], "b")
            await settled(engine)
            with pytest.raises(ApiError, match="ExecutionDoesNotExist"):
                await engine.summary(engine.arn_of(BUSY, "b"))
            assert (await engine.start(BUSY, [1], "b")).new

    run(work())


@pytest.mark.parametrize("ask", ["nobody", "summary", "start", "stop"])
def test_a_start_that_was_written_although_it_was_refused_runs(ask: str, store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        failing: Any = Failing(store, at(0, "written all the same"))
        async with open_engine(failing, ledger) as engine:
            with pytest.raises(Unavailable):
                await engine.start(BUSY, [1], "b")
            arn = engine.arn_of(BUSY, "b")
            if ask == "start":
                assert not (await engine.start(BUSY, [1], "b")).new
            elif ask == "stop":
                await engine.stop(arn)
            elif ask == "summary":
                await engine.summary(arn)
            await engine.clock.sleep_until(START + 3)
            assert (await closed(engine, arn)).status == ("ABORTED" if ask == "stop" else "SUCCEEDED")
            assert Counter(call.state for call in ledger.calls)["A"] == (0 if ask == "stop" else 1) or ask == "stop"

    run(work())


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("order", ["succeed", "fail", "stop", "redrive", "take", "fork"])
def test_who_asks_is_told_and_may_ask_again(order: str, how: str, store: Store) -> None:
    async def work() -> None:
        broken = False

        def plan(count: int, commit: Commit) -> Any:
            nonlocal broken
            now, broken = broken, False
            return FAILURES[how] if now else None

        resource = ACTIVITY if order == "take" else CALLBACK
        failing: Any = Failing(store, plan)
        async with open_engine(failing) as engine:
            started = await engine.start(machine(chain(task(resource))), 1, "x")
            await quiet(engine)
            token = engine.token(started.arn, (await waits(engine, started.arn))[0].wait)
            if order == "redrive":
                await engine.fail_task(token, "No")

            async def ask() -> Any:
                match order:
                    case "succeed":
                        await engine.succeed_task(token, 1)
                    case "fail":
                        await engine.fail_task(token, "E")
                    case "stop":
                        await engine.stop(started.arn)
                    case "redrive":
                        await engine.redrive(started.arn)
                    case "take":
                        assert await engine.take_activity(ACTIVITY, patience=0) is not None
                    case _:
                        await engine.fork(started.arn, 2, name="copy")

            broken = True
            with pytest.raises((StoreError, ApiError)):
                await ask()
            try:
                await ask()
            except (ApiError, AssertionError):
                assert FAILURES[how][1], "only what was written may have happened already"
            await settled(engine)
            await check_books(store)
            expected = {"succeed": "SUCCEEDED", "fail": "FAILED", "stop": "ABORTED"}
            assert (await engine.summary(started.arn)).status == expected.get(order, "RUNNING")

    run(work())


def test_what_comes_while_the_store_is_gone_is_taken_when_it_is_back(store: Store) -> None:
    async def work() -> None:
        gone = False

        def plan(count: int, commit: Commit) -> Any:
            return FAILURES["full disk"] if gone else None

        failing: Any = Failing(store, plan)
        async with open_engine(failing) as engine:
            started = await engine.start(machine(chain(wait(10), task())), 1, "x")
            await settled(engine)
            gone = True
            await engine.clock.sleep_until(START + 100)
            assert (await engine.summary(started.arn)).status == "RUNNING"
            gone = False
            summary = await closed(engine, started.arn)
            assert summary.status == "SUCCEEDED" and 100 <= (summary.stopped_at or 0) - START < 103

    run(work())


def test_a_store_that_cannot_be_read_either_is_waited_for(store: Store) -> None:
    class Gone(Failing):
        reads = 3

        async def journal(self, arn: str) -> list[Entry]:
            if self.commits == 2 and self.reads:
                self.reads -= 1
                raise Unavailable("gone")
            return await self.inner.journal(arn)

    async def work() -> None:
        failing: Any = Gone(store, at(1, "full disk"))
        async with open_engine(failing) as engine:
            started = await engine.start(BUSY, [1], "b")
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"
            assert failing.reads == 0

    run(work())


@pytest.mark.parametrize("error", [Corrupt("row 7"), ValueError("a fault of ours")])
def test_an_execution_that_cannot_go_on_leaves_the_others_alone(error: Exception, store: Store) -> None:
    async def work() -> None:
        def plan(count: int, commit: Commit) -> Any:
            return (error, False) if commit.summary.name == "bad" and commit.expected else None

        failing: Any = Failing(store, plan)
        async with open_engine(failing) as engine:
            bad = await engine.start(BUSY, [1], "bad")
            good = await engine.start(BUSY, [1], "good")
            assert (await closed(engine, good.arn)).status == "SUCCEEDED"
            assert (await engine.summary(bad.arn)).status == "RUNNING"
            with pytest.raises(type(error)):
                await engine.stop(bad.arn)
        async with open_engine(store) as engine:
            assert (await closed(engine, bad.arn)).status == "SUCCEEDED"

    run(work())


def test_events_behind_the_one_that_broke_an_execution_are_taken(store: Store) -> None:
    """The interpreter has run ahead of the store: nothing more may come from it."""
    branches = [chain(task(CALLBACK)), {"StartAt": "W", "States": {"W": {**wait(500), "End": True}}}]
    both = machine({"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": branches, "End": True}}})

    class Slow(Failing):
        breaks = False

        async def outcome(self, commit: Commit) -> Exception | None:
            if self.breaks:
                self.breaks = False
                writing.set()
                await asyncio.sleep(0)
                return ValueError("a fault of ours")
            return await super().outcome(commit)

    writing = asyncio.Event()

    async def work() -> None:
        slow: Any = Slow(store, lambda count, commit: None)
        async with open_engine(slow) as engine:
            started = await engine.start(both, 1, "x")
            await settled(engine)
            callback, timer = await waits(engine, started.arn)
            slow.breaks = True
            bad = asyncio.create_task(engine.succeed_task(engine.token(started.arn, callback.wait), 1))
            await writing.wait()
            engine._lives.deliver(started.arn, TimerDue(timer.wait))
            with pytest.raises(ValueError, match="fault"):
                await bad
            await settled(engine)
            assert [row.wait for row in await waits(engine, started.arn)] == [callback.wait]
            await check_books(store)

    run(work())


# ---- pages -------------------------------------------------------------------------------------------------------

LOOP = machine(
    {
        "StartAt": "Count",
        "States": {
            "Count": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Enough"},
            "Enough": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericLessThan": 100, "Next": "Count"}],
                "Default": "Ask",
            },
            "Ask": {**task(), "End": True},
        },
    },
    "loop",
)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PAGE", 10)


@pytest.mark.usefixtures("small_pages")
def test_a_long_run_is_committed_page_by_page(store: Store) -> None:
    async def work() -> None:
        counting: Any = Failing(store, lambda count, commit: None)
        async with open_engine(counting) as engine:
            started = await engine.start(LOOP, {"n": 0}, "l")
            summary = await closed(engine, started.arn)
            assert summary.status == "SUCCEEDED" and counting.commits > summary.length / 15

    run(work())


@pytest.mark.usefixtures("small_pages")
def test_a_loop_without_end_is_acknowledged_lets_others_run_and_can_be_stopped(store: Store) -> None:
    async def work() -> None:
        never: Any = {"Variable": "$.never", "IsPresent": True, "Next": "End"}
        states = {"A": {"Type": "Choice", "Choices": [never], "Default": "A"}, "End": {"Type": "Succeed"}}
        endless = machine({"StartAt": "A", "States": states}, "endless")
        async with open_engine(store, limits=Limits(history_events=None)) as engine:
            started = await engine.start(endless, {}, "e")
            beside = await engine.start(machine(chain(task()), "beside"), 1, "b")
            assert (await closed(engine, beside.arn)).status == "SUCCEEDED"
            await engine.stop(started.arn)
            assert (await closed(engine, started.arn)).status == "ABORTED"

    run(work())


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("number", [1, 2, 7, 30])
def test_a_crash_between_two_pages_leaves_the_rest_to_the_next_engine(number: int, written: bool, store: Store) -> None:
    """No wait of the execution tells that there is more to come: the timer that stands for it must."""

    async def work() -> None:
        dead = asyncio.Event()

        class Dying(Failing):
            async def outcome(self, commit: Commit) -> Exception | None:
                self.commits += 1
                if self.commits <= number or (written and self.commits == number + 1):
                    await write(self.inner, commit)
                if self.commits > number:
                    dead.set()
                    await asyncio.get_running_loop().create_future()
                return None

        dying: Any = Dying(store, lambda count, commit: None)
        async with open_engine(dying) as engine:
            starting = asyncio.create_task(engine.start(LOOP, {"n": 0}, "l"))
            await dead.wait()
        assert (await starting).new  # its first page was durable
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            arn = engine.arn_of(LOOP, "l")
            (row,) = await waits(engine, arn)
            assert row.wait == 0 and isinstance(row.command, StartTimer)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert len(ledger.calls) == 1

    run(work())


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("number", [0, 1, 2, 9])
def test_a_store_that_fails_between_two_pages_stops_nothing(number: int, how: str, store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        failing: Any = Failing(store, at(number, how))
        async with open_engine(failing, ledger) as engine:
            try:
                await engine.start(LOOP, {"n": 0}, "l")
            except (Unavailable, Conflict, ApiError):
                await persistent_loop(engine)
            assert (await closed(engine, engine.arn_of(LOOP, "l"))).status == "SUCCEEDED"
            assert len(ledger.calls) == 1

    run(work())


async def persistent_loop(engine: Any) -> None:
    try:
        await engine.start(LOOP, {"n": 0}, "l")
    except ApiError as error:
        assert error.code == "ExecutionAlreadyExists"


# ---- the same again ----------------------------------------------------------------------------------------------

CHANCES = machine(
    {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Output": "{% {'u': $uuid(), 'r': $random()} %}", "Next": "B"},
            "B": {
                "Type": "Task",
                "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
                "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 5, "JitterStrategy": "FULL"}],
                "End": True,
            },
        },
    },
    "chances",
)


async def chanced(seed: str, name: str = "x") -> list[Entry]:
    async def answer(call: Call) -> Any:
        if call.attempt < 4:
            raise ValueError("again")
        return call.arguments

    async with open_engine(ledger=Ledger(answer), seed=seed) as engine:
        started = [await engine.start(CHANCES, None, f"{name}{number}") for number in range(3)]
        journals = [(await engine.wait_closed(each.arn), await engine.journal(each.arn))[1] for each in started]
    return [entry for journal in journals for entry in journal]


def test_two_runs_with_one_seed_are_the_same_and_two_with_others_are_not() -> None:
    def shape(journal: list[Entry]) -> Any:
        return [(each.type, each.at, each.details, {**each.note, "identity": None}) for each in journal]

    one, same, other = (run(chanced(seed)) for seed in ("a", "a", "b"))
    assert one == same
    assert shape(one) != shape(other)
    assert types(one) == types(other)


def test_a_clock_that_is_set_back_turns_no_journal_back() -> None:
    class Back(VirtualClock):
        back = 0.0

        def now(self) -> float:
            return super().now() - self.back

    async def work() -> None:
        clock, store = Back(START), MemoryStore()
        async with open_engine(store, clock=clock) as engine:
            started = await engine.start(machine(chain(task(CALLBACK), task())), 1, "x")
            await settled(engine)
            clock.back = 500
            token = engine.token(started.arn, (await waits(engine, started.arn))[0].wait)
        async with open_engine(store, clock=clock) as engine:
            await engine.succeed_task(token, 1)
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"

    run(work())


def test_an_engine_that_cannot_take_up_its_work_lets_go_of_the_store() -> None:
    class Unreadable(Failing):
        closed = False

        async def open_calls(self, after: Any = None, limit: int = 1000) -> Any:
            raise Corrupt("row 3")

        async def close(self) -> None:
            self.closed = True

    async def work() -> None:
        store: Any = Unreadable(MemoryStore(), lambda count, commit: None)
        with pytest.raises(Corrupt, match="row 3"):
            async with open_engine(store):
                raise AssertionError("it must not open")
        assert store.closed

    run(work())


def test_what_fails_beside_an_engine_is_raised_as_it_is() -> None:
    async def work() -> None:
        with pytest.raises(LookupError, match="mine"):
            async with open_engine(ledger=Ledger(never)) as engine:
                await engine.start(BUSY, [1], "b")
                raise LookupError("mine")

    run(work())

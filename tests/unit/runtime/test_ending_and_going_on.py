"""Stop, redrive, fork: how an execution ends by order, and goes on by order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from driving import (
    CALLBACK,
    LAMBDA,
    START,
    Ledger,
    chain,
    closed,
    machine,
    open_engine,
    quiet,
    run,
    settled,
    task,
    types,
    wait,
    waits,
)

from treadle.errors import ApiError, StatesError
from treadle.machine.limits import Limits
from treadle.runtime.ports import Call, Store

# ---- stop --------------------------------------------------------------------------------------------------------


def test_a_stopped_execution_has_ended_and_its_calls_are_cancelled(store: Store) -> None:
    async def work() -> None:
        async def hang(call: Call) -> Any:
            with engine.clock.idle():
                await asyncio.get_running_loop().create_future()

        ledger = Ledger(hang)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(machine(chain(task())), 1, "s")
            await settled(engine)
            stopped = await engine.stop(started.arn, "Mine", "because")
            summary = await closed(engine, started.arn)
            assert (summary.status, summary.error, summary.cause) == ("ABORTED", "Mine", "because")
            assert summary.stopped_at == stopped
            assert await waits(engine, started.arn) == []
            await settled(engine)
            assert len(ledger.interrupted) == 1

    run(work())


@pytest.mark.parametrize("how", ["stopped", "succeeded"])
def test_stopping_what_has_ended_gives_the_time_at_which_it_ended(how: str, store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(machine(chain(wait(10))), 1, "s")
            if how == "stopped":
                await engine.stop(started.arn, "First")
            summary = await engine.wait_closed(started.arn)
            length = summary.length
            await engine.clock.sleep_until(START + 100)
            assert await engine.stop(started.arn, "Second") == summary.stopped_at
            after = await engine.summary(started.arn)
            assert (after.length, after.error) == (length, summary.error)

    run(work())


def test_fifty_stops_at_once_are_one() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            started = await engine.start(machine(chain(wait(10))), 1, "s")
            times = await asyncio.gather(*(engine.stop(started.arn, str(number)) for number in range(50)))
            assert len(set(times)) == 1
            assert types(await engine.journal(started.arn)).count("ExecutionAborted") == 1

    run(work())


def test_a_result_after_the_stop_changes_nothing(store: Store) -> None:
    async def work() -> None:
        late: list[Any] = []

        async def stubborn(call: Call) -> Any:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                late.append(call)
                return "late"

        async with open_engine(store, Ledger(stubborn)) as engine:
            started = await engine.start(machine(chain(task())), 1, "s")
            await asyncio.sleep(0)
            await engine.stop(started.arn)
            length = (await engine.summary(started.arn)).length
            for _ in range(5):
                await asyncio.sleep(0)
            assert late and (await closed(engine, started.arn)).length == length

    run(work())


@pytest.mark.parametrize("order", ["stop", "redrive", "summary", "journal", "result", "wait_closed", "fork"])
def test_an_order_to_an_execution_that_is_not_there_is_refused(order: str, store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            with pytest.raises(ApiError) as refused:
                await getattr(engine, order)("arn:gone", *([1] if order == "fork" else []))
            assert refused.value.code == "ExecutionDoesNotExist"

    run(work())


# ---- redrive -----------------------------------------------------------------------------------------------------


def failing_first(times: int) -> Ledger:
    """Fails so many calls, then answers."""

    async def answer(call: Call) -> Any:
        if len(ledger.calls) <= times:
            raise StatesError("Boom", "not yet")
        return {"call": len(ledger.calls)}

    ledger = Ledger(answer)
    return ledger


def test_a_redrive_goes_on_where_the_execution_failed(store: Store) -> None:
    async def work() -> None:
        ledger = failing_first(1)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(machine(chain(wait(5), task())), 1, "r")
            failed = await closed(engine, started.arn)
            assert (failed.status, failed.error) == ("FAILED", "Boom")
        async with open_engine(store, ledger) as engine:
            moment = await engine.redrive(started.arn)
            summary = await closed(engine, started.arn)
            assert (summary.status, summary.redrives, summary.redriven_at) == ("SUCCEEDED", 1, moment)
            assert summary.error is None and summary.cause is None
            assert types(await engine.journal(started.arn)).count("WaitStateEntered") == 1

    run(work())


def test_only_what_ended_unhappily_is_redriven() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            started = await engine.start(machine(chain(wait(5))), 1, "r")
            for status in ("RUNNING", "SUCCEEDED"):
                if status != "RUNNING":
                    await engine.wait_closed(started.arn)
                with pytest.raises(ApiError) as refused:
                    await engine.redrive(started.arn)
                assert refused.value.code == "ExecutionNotRedrivable"
                assert refused.value.message == f"Execution is {status} and cannot be redriven"

    run(work())


@pytest.mark.parametrize("how", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_what_was_stopped_timed_out_or_failed_is_redriven(how: str, store: Store) -> None:
    async def work() -> None:
        ledger = failing_first(1)
        limited = machine(chain(wait(20), task(), TimeoutSeconds=5 if how == "TIMED_OUT" else 500))
        async with open_engine(store, ledger) as engine:
            started = await engine.start(limited, 1, "r")
            if how == "ABORTED":
                await engine.stop(started.arn)
            assert (await closed(engine, started.arn)).status == how
            await engine.redrive(started.arn)
            assert (await closed(engine, started.arn)).redrives == 1

    run(work())


def test_of_two_redrives_at_once_one_happens() -> None:
    async def work() -> None:
        async with open_engine(ledger=failing_first(1)) as engine:
            started = await engine.start(machine(chain(task(), wait(50))), 1, "r")
            await engine.wait_closed(started.arn)
            outcomes = await asyncio.gather(*(engine.redrive(started.arn) for _ in range(2)), return_exceptions=True)
            assert [isinstance(each, ApiError) for each in outcomes] == [False, True]
            assert (await closed(engine, started.arn)).redrives == 1

    run(work())


def test_a_full_history_is_not_redriven() -> None:
    async def work() -> None:
        async with open_engine(ledger=failing_first(100), limits=Limits(history_events=6)) as engine:
            started = await engine.start(machine(chain({"Type": "Pass"}, task())), 1, "r")
            assert (await engine.wait_closed(started.arn)).status == "FAILED"
            with pytest.raises(ApiError, match="history"):
                await engine.redrive(started.arn)

    run(work())


# ---- fork --------------------------------------------------------------------------------------------------------

STEPS = machine(chain(task(Assign={"v.$": "$"}), task(), {"Type": "Pass", "Parameters": {"v.$": "$v", "in.$": "$"}}))


async def entering(engine: Any, arn: str, name: str) -> int:
    """The event that enters a state."""
    journal = await engine.journal(arn)
    return next(each.id for each in journal if each.type.endswith("Entered") and each.details["name"] == name)


@pytest.mark.parametrize(
    ("edits", "output"),
    [
        ({}, {"v": {"n": 1}, "in": {"n": 1}}),
        ({"input": {"n": 2}}, {"v": {"n": 1}, "in": {"n": 2}}),
        ({"input": None}, {"v": {"n": 1}, "in": None}),
        ({"variables": {"v": "new"}}, {"v": "new", "in": {"n": 1}}),
        ({"input": [], "variables": {"v": 0}}, {"v": 0, "in": []}),
    ],
)
def test_a_fork_goes_on_from_a_state_with_what_is_edited(edits: dict[str, Any], output: Any, store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            started = await engine.start(STEPS, {"n": 1}, "source")
            await closed(engine, started.arn)
            before = await engine.journal(started.arn)
            fork = await engine.fork(started.arn, await entering(engine, started.arn, "B"), name="copy", **edits)
            assert (await closed(engine, fork.arn)).status == "SUCCEEDED"
            assert (await engine.result(fork.arn)).output == output
            assert fork.arn.endswith(":m:copy") and (await engine.summary(fork.arn)).name == "copy"
            assert [call.state for call in ledger.calls] == ["A", "B", "B"]
            assert await engine.journal(started.arn) == before

    run(work())


def test_a_fork_does_again_what_was_under_way_beside_it(store: Store) -> None:
    branches = [chain(task(), {"Type": "Pass"}), {"StartAt": "X", "States": {"X": {**task(), "End": True}}}]
    both = machine({"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": branches, "End": True}}})

    async def work() -> None:
        async def answer(call: Call) -> Any:
            if call.state == "X":
                with engine.clock.idle():
                    await engine.clock.sleep_until(engine.clock.now() + 60)
            return call.state

        ledger = Ledger(answer)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(both, 1, "source")
            await closed(engine, started.arn)
            fork = await engine.fork(started.arn, await entering(engine, started.arn, "B"), input="edited")
            assert (await closed(engine, fork.arn)).status == "SUCCEEDED"
            assert (await engine.result(fork.arn)).output == ["edited", "X"]
            assert sorted((call.execution_arn == fork.arn, call.state) for call in ledger.calls) == [
                (False, "A"),
                (False, "X"),
                (True, "X"),
            ]

    run(work())


def test_a_fork_of_a_running_execution_leaves_it_alone(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(machine(chain(wait(100), task())), 1, "source")
            await settled(engine)
            fork = await engine.fork(started.arn, await entering(engine, started.arn, "A"), input=2)
            for arn, output in ((started.arn, 1), (fork.arn, 2)):
                await closed(engine, arn)
                assert (await engine.result(arn)).output == output

    run(work())


def test_a_fork_made_much_later_has_its_whole_time_limit(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(machine(chain(wait(50), task(), TimeoutSeconds=100)), 1, "source")
            await closed(engine, started.arn)
            await engine.clock.sleep_until(START + 10_000)
            fork = await engine.fork(started.arn, await entering(engine, started.arn, "A"))
            assert (await closed(engine, fork.arn)).status == "SUCCEEDED"

    run(work())


@pytest.mark.parametrize("event", [0, 1, 3, 999, -1])
def test_a_fork_starts_where_a_state_is_entered(event: int) -> None:
    async def work() -> None:
        async with open_engine() as engine:
            started = await engine.start(STEPS, {"n": 1}, "source")
            await engine.wait_closed(started.arn)
            with pytest.raises(ApiError) as refused:
                await engine.fork(started.arn, event)
            assert refused.value.code == "ValidationException" and str(event) in refused.value.message

    run(work())


def test_a_fork_needs_a_name_that_is_free(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(STEPS, {"n": 1}, "source")
            await engine.wait_closed(started.arn)
            with pytest.raises(ApiError) as refused:
                await engine.fork(started.arn, 2, name="source")
            assert refused.value.code == "ExecutionAlreadyExists"

    run(work())


def test_a_fork_in_the_middle_of_a_callback_waits_for_it_again(store: Store) -> None:
    branches = [chain(wait(5), {"Type": "Pass"}), {"StartAt": "X", "States": {"X": {**task(CALLBACK), "End": True}}}]
    both = machine({"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": branches, "End": True}}})

    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(both, 1, "source")
            await quiet(engine)
            fork = await engine.fork(started.arn, await entering(engine, started.arn, "B"))
            await quiet(engine)
            (row,) = await waits(engine, fork.arn)
            assert row.kind == "callback"
            await engine.succeed_task(engine.token(fork.arn, row.wait), "done")
            assert (await closed(engine, fork.arn)).status == "SUCCEEDED"
            assert (await engine.summary(started.arn)).status == "RUNNING"

    run(work())


def test_the_lambda_resource_is_what_the_ledger_sees() -> None:
    async def work() -> None:
        ledger = Ledger()
        async with open_engine(ledger=ledger) as engine:
            started = await engine.start(machine(chain(task())), {"x": 1}, "r")
            await closed(engine, started.arn)
            (call,) = ledger.calls
            assert (call.resource, call.arguments, call.state) == (LAMBDA, {"x": 1}, "A")
            assert (call.attempt, call.again, call.token) == (0, False, None)

    run(work())

"""Calls of integrations: what they may do to an engine, and what becomes of those nobody waits for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from driving import JOB, START, Ledger, chain, closed, machine, never, open_engine, quiet, run, settled, task, types

from treadle.errors import StatesError, Unavailable
from treadle.runtime.ports import Call, Redelivery, Store

CALLING = machine(chain(task()), "calling")
RUNNING = machine(chain(task(JOB)), "running")


class Odd(Exception):
    """An error that nobody has thought of."""


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


RAISED = [Odd("x"), ValueError(), KeyError("k"), AssertionError(), RecursionError(), Unavailable("disk"), SystemExit(3)]


@pytest.mark.parametrize("error", [*RAISED, asyncio.CancelledError(), TimeoutError()], ids=repr)
def test_whatever_an_integration_raises_is_the_failure_of_its_task(error: BaseException, store: Store) -> None:
    async def work() -> None:
        async def fail(call: Call) -> Any:
            raise error

        async with open_engine(store, Ledger(fail)) as engine:
            started = await engine.start(CALLING, 1, "c")
            summary = await closed(engine, started.arn)
            assert (summary.status, summary.error) == ("FAILED", "States.TaskFailed")
            other = await engine.start(machine(chain({"Type": "Pass"})), 1, "other")
            assert (await closed(engine, other.arn)).status == "SUCCEEDED"

    run(work())


@pytest.mark.parametrize(
    "output", [object(), "\ud800", {"x": {1, object()}}, Odd], ids=["object", "half", "set", "type"]
)
def test_a_result_that_is_not_json_is_the_failure_of_its_task(output: Any, store: Store) -> None:
    async def work() -> None:
        async def answer(call: Call) -> Any:
            return output

        async with open_engine(store, Ledger(answer)) as engine:
            started = await engine.start(CALLING, 1, "c")
            summary = await closed(engine, started.arn)
            assert (summary.status, summary.error) == ("FAILED", "States.TaskFailed")

    run(work())


def test_a_result_nested_beyond_measure_is_the_failure_of_its_task() -> None:
    async def work() -> None:
        async def answer(call: Call) -> Any:
            return deep()

        async with open_engine(ledger=Ledger(answer)) as engine:
            started = await engine.start(CALLING, 1, "c")
            assert (await closed(engine, started.arn)).error == "States.TaskFailed"

    run(work())


def test_an_error_of_the_workflow_keeps_its_name_and_cause(store: Store) -> None:
    async def work() -> None:
        async def fail(call: Call) -> Any:
            raise StatesError("Mine", "because")

        async with open_engine(store, Ledger(fail)) as engine:
            started = await engine.start(CALLING, 1, "c")
            summary = await closed(engine, started.arn)
            assert (summary.error, summary.cause) == ("Mine", "because")

    run(work())


def test_a_resource_that_nothing_serves_fails_its_task() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            engine.integrations.clear()  # type: ignore[attr-defined]
            started = await engine.start(CALLING, 1, "c")
            summary = await closed(engine, started.arn)
            assert summary.error == "States.Runtime" and "function:f" in (summary.cause or "")

    run(work())


@pytest.mark.parametrize(
    "name", ["arn:aws:lambda:us-east-1:123456789012:function:f", "lambda:f", "lambda"], ids=["arn", "action", "kind"]
)
def test_the_nearest_integration_serves_a_resource(name: str) -> None:
    async def work() -> None:
        near, far = Ledger(), Ledger()
        async with open_engine(ledger=far, integrations={name: near}) as engine:
            await closed(engine, (await engine.start(CALLING, 1, "c")).arn)
            assert (len(near.calls), len(far.calls)) == (1, 0)

    run(work())


@pytest.mark.parametrize(("redelivery", "status"), [("again", "SUCCEEDED"), ("fail", "FAILED")])
def test_a_call_that_was_under_way_when_the_engine_ended(redelivery: Redelivery, status: str, store: Store) -> None:
    async def work() -> None:
        first, second = Ledger(never), Ledger(redelivery=redelivery)
        async with open_engine(store, first) as engine:
            started = await engine.start(CALLING, 1, "c")
            for _ in range(5):
                await asyncio.sleep(0)
        async with open_engine(store, second) as engine:
            summary = await closed(engine, started.arn)
            assert summary.status == status
            if redelivery == "again":
                (one,), (two,) = first.calls, second.calls
                assert (one.again, two.again) == (False, True)
                assert (one.wait, one.idempotency) == (two.wait, two.idempotency)
            else:
                assert second.calls == [] and "may not be repeated" in (summary.cause or "")

    run(work())


def test_each_attempt_has_a_key_of_its_own() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]

    async def work() -> None:
        async def fail(call: Call) -> Any:
            raise StatesError("Boom")

        ledger = Ledger(fail)
        async with open_engine(ledger=ledger) as engine:
            await closed(engine, (await engine.start(machine(chain(task(Retry=retry))), 1, "c")).arn)
            assert [call.attempt for call in ledger.calls] == [0, 1, 2]
            assert len({call.idempotency for call in ledger.calls}) == 3

    run(work())


def test_a_call_that_times_out_is_cancelled(store: Store) -> None:
    async def work() -> None:
        async def hang(call: Call) -> Any:
            with engine.clock.idle():
                await never(call)

        ledger = Ledger(hang)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(machine(chain(task(TimeoutSeconds=30))), 1, "c")
            summary = await closed(engine, started.arn)
            assert (summary.error, summary.stopped_at) == ("States.Timeout", START + 30)
            await quiet(engine)
            assert len(ledger.interrupted) == 1

    run(work())


# ---- jobs --------------------------------------------------------------------------------------------------------


async def job(call: Call) -> Any:
    return {"JobId": call.idempotency}


def test_a_job_is_submitted_and_asked_after(store: Store) -> None:
    async def work() -> None:
        async def poll(call: Call) -> Any:
            return {"done": call.job}

        ledger = Ledger(job, poll)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(RUNNING, 1, "j")
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"
            key = ledger.calls[0].idempotency
            assert (await engine.result(started.arn)).output == {"done": {"JobId": key}}
            assert "TaskSubmitted" in types(await engine.journal(started.arn)) and ledger.cancels == []

    run(work())


def test_a_job_is_asked_after_again_and_not_submitted_again(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger(job, never)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(RUNNING, 1, "j")
            await quiet(engine)
        ledger.job = job
        async with open_engine(store, ledger) as engine:
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"
            assert len(ledger.calls) == 1 and len(ledger.polls) == 2
            assert ledger.polls[0].job == ledger.polls[1].job is not None

    run(work())


@pytest.mark.parametrize("when", ["before it is submitted", "as it is submitted", "while it runs"])
def test_a_job_is_stopped_with_its_execution(when: str, store: Store) -> None:
    async def work() -> None:
        submitted = asyncio.Event()

        async def submit(call: Call) -> Any:
            if when == "before it is submitted":
                with engine.clock.idle():
                    await submitted.wait()
            return {"JobId": "j"}

        ledger = Ledger(submit, never)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(RUNNING, 1, "j")
            if when == "while it runs":
                await quiet(engine)
            while not ledger.calls:
                await asyncio.sleep(0)
            await engine.stop(started.arn)
            submitted.set()
            await settled(engine)
            assert [call.job for call in ledger.cancels] == [{"JobId": "j"}]
            assert (await closed(engine, started.arn)).status == "ABORTED"

    run(work())


@pytest.mark.parametrize("error", [StatesError("No", "gone"), *RAISED[:5]], ids=repr)
def test_a_job_that_cannot_be_stopped_troubles_nobody(error: Exception, store: Store) -> None:
    class Stubborn(Ledger):
        async def cancel(self, call: Call) -> None:
            await super().cancel(call)
            raise error

    async def work() -> None:
        ledger = Stubborn(job, never)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(RUNNING, 1, "j")
            await quiet(engine)
            await engine.stop(started.arn)
            await settled(engine)
            assert len(ledger.cancels) == 1
            other = await engine.start(machine(chain({"Type": "Pass"})), 1, "other")
            assert (await closed(engine, other.arn)).status == "SUCCEEDED"

    run(work())


def test_a_job_that_times_out_is_stopped(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger(job, never)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(machine(chain(task(JOB, TimeoutSeconds=60))), 1, "j")
            assert (await closed(engine, started.arn)).error == "States.Timeout"
            await quiet(engine)
            assert len(ledger.cancels) == 1

    run(work())

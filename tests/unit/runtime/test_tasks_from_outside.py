"""Callbacks, heartbeats and activities: tasks that somebody outside ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from driving import (
    ACTIVITY,
    CALLBACK,
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

from treadle.errors import ApiError
from treadle.runtime.engine import Engine
from treadle.runtime.ports import Store
from treadle.runtime.takers import ActivityTask
from treadle.stores import MemoryStore

ASKING = machine(chain(task(CALLBACK)), "asking")
WORKED = machine(chain(task(ACTIVITY)), "worked")


async def asked(engine: Engine, of: Any = ASKING, input: Any = 1) -> tuple[str, str]:
    """A started execution that waits to be called back, and the token."""
    started = await engine.start(of, input)
    await settled(engine)
    (row,) = await waits(engine, started.arn)
    assert row.kind == "callback"
    return started.arn, engine.token(started.arn, row.wait)


def code(error: BaseException) -> str:
    assert isinstance(error, ApiError)
    return error.code


# ---- callbacks ---------------------------------------------------------------------------------------------------


def test_the_token_in_the_request_is_the_token_of_the_task(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            arn, token = await asked(engine)
            assert ledger.calls[0].arguments["MessageBody"] == ledger.calls[0].token == token
            await engine.succeed_task(token, {"yes": True})
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert (await engine.result(arn)).output == {"yes": True}

    run(work())


def test_who_is_called_back_before_the_carrier_has_answered_comes_after_it_in_the_history(store: Store) -> None:
    async def work() -> None:
        sent, answering = asyncio.Event(), asyncio.Event()

        async def carry(_: Any) -> Any:
            sent.set()
            await answering.wait()
            return "carried"

        ledger = Ledger(carry)
        async with open_engine(store, ledger) as engine:
            started = await engine.start(ASKING, 1)
            await sent.wait()
            ending = asyncio.create_task(engine.succeed_task(ledger.calls[0].token or "", 2))
            await asyncio.sleep(0)
            answering.set()
            await ending
            await closed(engine, started.arn)
            told = types(await engine.journal(started.arn))
            assert [each for each in told if each in ("TaskSubmitted", "TaskSucceeded")] == [
                "TaskSubmitted",
                "TaskSucceeded",
            ]

    run(work())


@pytest.mark.parametrize(("error", "cause"), [("No", "never"), (None, None), ("No", None), (None, "only why")])
def test_a_failed_task_fails_with_what_was_told(error: str | None, cause: str | None, store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            arn, token = await asked(engine)
            await engine.fail_task(token, error, cause)
            summary = await closed(engine, arn)
            assert (summary.status, summary.error, summary.cause) == ("FAILED", error, cause)

    run(work())


@pytest.mark.parametrize("order", ["succeed_task", "fail_task", "heartbeat_task"])
def test_a_late_answer_is_told_so_and_changes_nothing(order: str, store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            arn, token = await asked(engine)
            await engine.succeed_task(token, 1)
            length = (await closed(engine, arn)).length
            with pytest.raises(ApiError) as refused:
                await getattr(engine, order)(token, *([2] if order == "succeed_task" else []))
            assert refused.value.code == "TaskTimedOut"
            assert (await engine.summary(arn)).length == length

    run(work())


@pytest.mark.parametrize("order", ["succeed_task", "fail_task", "heartbeat_task"])
@pytest.mark.parametrize("whose", ["unknown", "other store", "forged", "empty"])
def test_a_token_that_is_none_of_ours_is_refused(order: str, whose: str) -> None:
    async def work() -> None:
        async with open_engine(MemoryStore()) as other, open_engine(MemoryStore()) as engine:
            arn, token = await asked(engine)
            bad, expected = {
                "unknown": (engine.token("arn:gone", 3), "TaskDoesNotExist"),
                "other store": (other.token(arn, 3), "InvalidToken"),
                "forged": (token[:-4] + "AAAA", "InvalidToken"),
                "empty": ("", "InvalidToken"),
            }[whose]
            with pytest.raises(ApiError) as refused:
                await getattr(engine, order)(bad, *([2] if order == "succeed_task" else []))
            assert refused.value.code == expected
            assert (await engine.summary(arn)).status == "RUNNING"

    run(work())


def test_of_fifty_answers_at_once_exactly_one_wins(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            arn, token = await asked(engine)
            outcomes = await asyncio.gather(
                *(engine.succeed_task(token, n) for n in range(25)),
                *(engine.fail_task(token, str(n)) for n in range(25)),
                return_exceptions=True,
            )
            won = [n for n, each in enumerate(outcomes) if each is None]
            assert len(won) == 1
            assert {code(each) for each in outcomes if each is not None} == {"TaskTimedOut"}
            summary = await closed(engine, arn)
            told = (await engine.result(arn)).output if won[0] < 25 else int(summary.error or "") + 25
            assert told == won[0]

    run(work())


def test_an_answer_that_is_not_json_is_refused_and_the_task_waits_on() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            arn, token = await asked(engine)
            with pytest.raises(ApiError) as refused:
                await engine.succeed_task(token, object())
            assert refused.value.code == "InvalidOutput"
            await engine.succeed_task(token, "fine")
            assert (await closed(engine, arn)).status == "SUCCEEDED"

    run(work())


def test_an_answer_may_come_while_the_request_is_still_being_made(store: Store) -> None:
    async def work() -> None:
        async def answer(call: Any) -> Any:
            await engine.succeed_task(call.token, "early")
            return {"sent": True}

        async with open_engine(store, Ledger(answer)) as engine:
            started = await engine.start(ASKING, 1)
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"
            assert (await engine.result(started.arn)).output == "early"

    run(work())


def test_a_callback_survives_a_restart_and_the_request_is_not_made_again(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            arn, token = await asked(engine)
        async with open_engine(store, ledger) as engine:
            await engine.succeed_task(token, "after")
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert len(ledger.calls) == 1

    run(work())


def test_each_attempt_has_a_token_of_its_own(store: Store) -> None:
    retrying = machine(chain(task(CALLBACK, Retry=[{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1}])))

    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            arn, first = await asked(engine, retrying)
            await engine.fail_task(first, "Again")
            await quiet(engine)
            second = ledger.calls[1].token
            assert second is not None and second != first
            with pytest.raises(ApiError) as refused:
                await engine.succeed_task(first, 1)
            assert refused.value.code == "TaskTimedOut"
            await engine.succeed_task(second, 2)
            assert (await closed(engine, arn)).status == "SUCCEEDED"

    run(work())


# ---- time limits and heartbeats ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [({"TimeoutSeconds": 30}, 30), ({"HeartbeatSeconds": 10}, 10), ({"TimeoutSeconds": 90, "HeartbeatSeconds": 7}, 7)],
)
def test_silence_times_a_task_out(fields: dict[str, int], seconds: int, store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            arn, token = await asked(engine, machine(chain(task(CALLBACK, **fields))))
            summary = await closed(engine, arn)
            assert (summary.status, summary.stopped_at) == ("FAILED", START + seconds)
            assert "TaskTimedOut" in types(await engine.journal(arn))
            with pytest.raises(ApiError, match="TaskTimedOut"):
                await engine.succeed_task(token, 1)

    run(work())


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("silence", [10, 400])
def test_a_heartbeat_moves_the_moment_and_the_last_missed_one_ends_it(
    silence: int, restart: bool, store: Store
) -> None:
    """Within what the agenda holds in memory, and beyond it."""

    async def work() -> None:
        beating = machine(chain(task(CALLBACK, HeartbeatSeconds=silence)))
        async with open_engine(store) as engine:
            arn, token = await asked(engine, beating)
            for _ in range(5):
                await engine.clock.sleep_until(engine.clock.now() + silence * 0.75)
                await engine.heartbeat_task(token)
                assert (await engine.summary(arn)).status == "RUNNING"
            last = engine.clock.now()
            if not restart:
                assert (await closed(engine, arn)).stopped_at == pytest.approx(last + silence)
        if restart:
            async with open_engine(store, clock=engine.clock) as engine:
                assert (await closed(engine, arn)).stopped_at == pytest.approx(last + silence)

    run(work())


def test_a_heartbeat_changes_no_journal(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            arn, token = await asked(engine, machine(chain(task(CALLBACK, HeartbeatSeconds=50))))
            length = (await engine.summary(arn)).length
            await engine.heartbeat_task(token)
            assert (await engine.summary(arn)).length == length

    run(work())


def test_a_heartbeat_for_a_task_that_needs_none_is_fine() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            _, token = await asked(engine)
            await engine.heartbeat_task(token)

    run(work())


def test_a_time_limit_that_passed_while_nobody_was_there_counts(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            arn, _ = await asked(engine, machine(chain(task(CALLBACK, TimeoutSeconds=30))))
            clock = engine.clock
        await_later = type(clock)(START + 10_000)
        async with open_engine(store, clock=await_later) as engine:
            assert (await closed(engine, arn)).stopped_at == START + 10_000

    run(work())


# ---- activities --------------------------------------------------------------------------------------------------


async def take(engine: Engine, patience: float = 0, worker: str | None = None) -> ActivityTask:
    taken = await engine.take_activity(ACTIVITY, worker, patience)
    assert taken is not None
    return taken


def test_a_worker_takes_a_task_and_ends_it(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(WORKED, {"n": 1})
            taken = await take(engine, worker="me")
            assert taken.input == {"n": 1}
            assert await engine.take_activity(ACTIVITY, patience=0) is None
            await engine.succeed_task(taken.token, "done")
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"
            journal = await engine.journal(started.arn)
            assert [each.details for each in journal if each.type == "ActivityStarted"] == [{"workerName": "me"}]

    run(work())


def test_tasks_are_offered_the_oldest_first_and_per_activity(store: Store) -> None:
    other = ACTIVITY + "2"

    async def work() -> None:
        async with open_engine(store) as engine:
            for n in range(3):
                await engine.start(WORKED, n)
                await engine.clock.sleep_until(engine.clock.now() + 1)
            await engine.start(machine(chain(task(other)), "other"), "other")
            assert [(await take(engine)).input for _ in range(3)] == [0, 1, 2]
            assert await engine.take_activity(ACTIVITY, patience=0) is None
            assert (await engine.take_activity(other, patience=0)) is not None

    run(work())


@pytest.mark.parametrize(("tasks", "workers"), [(1, 20), (20, 20), (20, 5), (150, 150)])
def test_each_task_goes_to_one_worker(tasks: int, workers: int, store: Store) -> None:
    async def work() -> None:
        done: list[int] = []
        async with open_engine(store) as engine:

            async def worker() -> None:
                while taken := await engine.take_activity(ACTIVITY, patience=30):
                    done.append(taken.input)
                    await engine.succeed_task(taken.token, taken.input)

            polling = [asyncio.create_task(worker()) for _ in range(workers)]
            started = [await engine.start(WORKED, n) for n in range(tasks)]
            for each in started:
                assert (await closed(engine, each.arn)).status == "SUCCEEDED"
            assert engine.clock.now() < START + 30  # nobody waited in vain while there was work
            await asyncio.gather(*polling)
            assert sorted(done) == list(range(tasks))

    run(work())


def test_waiting_workers_all_hear_of_tasks_that_come_together(store: Store) -> None:
    inner = {"StartAt": "I", "States": {"I": {**task(ACTIVITY), "End": True}}}
    both = machine(chain({"Type": "Map", "ItemProcessor": inner}))

    async def work() -> None:
        async with open_engine(store) as engine:
            polling = [asyncio.create_task(engine.take_activity(ACTIVITY, patience=50)) for _ in range(8)]
            await settled(engine)
            await engine.start(both, list(range(8)))
            taken = [each for each in await asyncio.gather(*polling) if each is not None]
            assert sorted(each.input for each in taken) == list(range(8))
            assert engine.clock.now() < START + 1

    run(work())


def test_a_long_poll_ends_with_nothing_after_its_patience() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            assert await engine.take_activity(ACTIVITY, patience=60) is None
            assert engine.clock.now() == START + 60

    run(work())


def test_a_worker_that_goes_away_while_polling_takes_nothing(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            gone = asyncio.create_task(engine.take_activity(ACTIVITY))
            await settled(engine)
            gone.cancel()
            await asyncio.wait((gone,))
            await engine.start(WORKED, "here")
            assert (await take(engine)).input == "here"

    run(work())


@pytest.mark.parametrize(
    ("fields", "seconds", "error"),
    [({"TimeoutSeconds": 30}, 30, "States.Timeout"), ({"HeartbeatSeconds": 10}, 10, "States.Timeout")],
)
def test_the_time_of_an_activity_runs_from_when_it_is_taken(
    fields: dict[str, int], seconds: int, error: str, store: Store
) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(machine(chain(task(ACTIVITY, **fields))), 1)
            await engine.clock.sleep_until(START + 500)
            taken = await take(engine)
            summary = await closed(engine, started.arn)
            assert (summary.error, summary.stopped_at) == (error, START + 500 + seconds)
            with pytest.raises(ApiError, match="TaskTimedOut"):
                await engine.succeed_task(taken.token, 1)

    run(work())


def test_a_taken_task_survives_a_restart_and_is_not_offered_again(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(WORKED, 1)
            taken = await take(engine)
        async with open_engine(store) as engine:
            assert await engine.take_activity(ACTIVITY, patience=0) is None
            await engine.succeed_task(taken.token, "after")
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"

    run(work())


def test_a_stopped_execution_offers_its_task_no_more(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(WORKED, 1)
            await engine.stop(started.arn)
            assert await engine.take_activity(ACTIVITY, patience=0) is None

    run(work())


def test_a_token_before_the_task_is_taken_ends_nothing() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            started = await engine.start(machine(chain(wait(1), task(ACTIVITY))), 1)
            await engine.clock.sleep_until(START + 5)
            (row,) = await waits(engine, started.arn)
            with pytest.raises(ApiError, match="TaskTimedOut"):
                await engine.succeed_task(engine.token(started.arn, row.wait), 1)
            assert (await engine.summary(started.arn)).status == "RUNNING"

    run(work())

"""Starting: what is the same start, what is another, and what is refused."""

from __future__ import annotations

import asyncio

import pytest
from driving import LAMBDA, Ledger, chain, check_books, closed, machine, open_engine, run, settled, task, types, wait

from treadle.errors import ApiError, DefinitionError
from treadle.runtime.ports import Store

PATIENT = machine(chain(wait(60), task()))


def test_a_start_is_durable_when_it_is_acknowledged(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            started = await engine.start(PATIENT, {"n": 1}, "first")
            assert (await store.summary(started.arn)).status == "RUNNING"
            assert types(await store.journal(started.arn))[0] == "ExecutionStarted"
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"
            assert (await engine.result(started.arn)).output == {"n": 1}

    run(work())


def test_the_same_start_while_it_runs_is_the_first_one(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            first = await engine.start(PATIENT, {"a": [1]}, "once")
            await settled(engine)
            again = await engine.start(PATIENT, {"a": [1]}, "once")
            assert (again.arn, again.started_at, again.new) == (first.arn, first.started_at, False)

    run(work())


@pytest.mark.parametrize("input", [{"a": 1}, {"a": 2}, None, {"b": 1, "a": 1}])
@pytest.mark.parametrize("over", [False, True])
def test_another_start_of_a_name_is_refused(over: bool, input: object) -> None:
    async def work() -> None:
        async with open_engine() as engine:
            first = await engine.start(PATIENT, {"a": 1}, "once")
            if over:
                await engine.wait_closed(first.arn)
            elif input == {"a": 1}:
                return
            with pytest.raises(ApiError) as refused:
                await engine.start(PATIENT, input, "once")
            assert refused.value.code == "ExecutionAlreadyExists"
            assert first.arn in refused.value.message

    run(work())


def test_the_same_start_after_a_restart_is_the_first_one(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            first = await engine.start(PATIENT, 1, "once")
        async with open_engine(store) as engine:
            again = await engine.start(PATIENT, 1, "once")
            assert (again.arn, again.started_at, again.new) == (first.arn, first.started_at, False)
            with pytest.raises(ApiError):
                await engine.start(PATIENT, 2, "once")

    run(work())


def test_of_many_starts_at_once_one_is_new(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            started = await asyncio.gather(*(engine.start(PATIENT, 1, "once") for _ in range(30)))
            assert [each.new for each in started].count(True) == 1
            assert len({(each.arn, each.started_at) for each in started}) == 1
            await closed(engine, started[0].arn)
            assert len(ledger.calls) == 1

    run(work())


def test_of_many_starts_at_once_with_other_inputs_one_wins(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            outcomes = await asyncio.gather(
                *(engine.start(PATIENT, number, "once") for number in range(20)), return_exceptions=True
            )
            won = [each for each in outcomes if not isinstance(each, BaseException)]
            assert len(won) == 1 and won[0].new
            assert {each.code for each in outcomes if isinstance(each, ApiError)} == {"ExecutionAlreadyExists"}

    run(work())


def test_a_name_belongs_to_its_machine() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            one = await engine.start(machine(chain(wait(1)), "one"), 1, "same")
            two = await engine.start(machine(chain(wait(1)), "two"), 2, "same")
            assert one.new and two.new and one.arn != two.arn

    run(work())


def test_a_start_without_a_name_is_always_new() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            assert len({(await engine.start(PATIENT)).arn for _ in range(5)}) == 5

    run(work())


def test_a_definition_that_cannot_run_is_refused_and_leaves_nothing(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            with pytest.raises(DefinitionError):
                await engine.start(machine({"StartAt": "Gone", "States": {}}))
            assert (await store.executions()).executions == []

    run(work())


@pytest.mark.parametrize("input", [object(), "\ud800", {"deep": float}], ids=["object", "surrogate", "type"])
def test_an_input_that_is_not_json_is_refused(input: object) -> None:
    async def work() -> None:
        async with open_engine() as engine:
            with pytest.raises(ApiError) as refused:
                await engine.start(PATIENT, input)
            assert refused.value.code == "InvalidExecutionInput"

    run(work())


def test_a_running_execution_keeps_the_definition_it_was_started_with(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            old = await engine.start(PATIENT, 1, "old")
        async with open_engine(store, ledger) as engine:
            new = await engine.start(machine(chain(wait(1))), 1, "new")
            for arn in (old.arn, new.arn):
                await closed(engine, arn)
            assert [call.execution_arn for call in ledger.calls] == [old.arn]

    run(work())


def test_a_caller_that_goes_away_does_not_take_the_start_with_it(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            for _ in range(10):
                starting = asyncio.create_task(engine.start(PATIENT, 1, "once"))
                await asyncio.sleep(0)
                starting.cancel()
            again = await engine.start(PATIENT, 1, "once")
            assert (await closed(engine, again.arn)).status == "SUCCEEDED"

    run(work())


def test_what_asks_while_the_engine_closes_is_told_so() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            started = await engine.start(PATIENT, 1, "once")
            waiting = asyncio.create_task(engine.wait_closed(started.arn))
            starting = asyncio.create_task(engine.start(PATIENT, 1, "late"))
            await asyncio.sleep(0)
        with pytest.raises(Exception, match="closed"):
            await waiting
        with pytest.raises(Exception, match="closed"):
            await starting
        await check_books(engine.store)

    run(work())


def test_a_wide_map_takes_few_commits(store: Store) -> None:
    inner = {"StartAt": "I", "States": {"I": {**task(), "End": True}}}
    wide = machine(chain({"Type": "Map", "ItemProcessor": inner, "MaxConcurrency": 0}))

    async def work() -> None:
        ledger = Ledger()
        async with open_engine(store, ledger) as engine:
            started = await engine.start(wide, list(range(40)))
            assert (await closed(engine, started.arn)).status == "SUCCEEDED"
            assert (await engine.result(started.arn)).output == list(range(40))
            assert len(ledger.calls) == 40 and {call.resource for call in ledger.calls} == {LAMBDA}

    run(work())

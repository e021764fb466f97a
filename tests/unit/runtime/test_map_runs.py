"""Distributed Maps in the engine: children, results, redrive, stop, restart, and what is seen from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from driving import Failing, Ledger, chain, check_books, closed, machine, open_engine, run, settled, task, types

from treadle.errors import ApiError, StatesError, Unavailable
from treadle.language.scope import Json
from treadle.machine.limits import Limits
from treadle.runtime.engine import Engine
from treadle.runtime.ports import Call, Commit, ItemPage, MapResults, Store
from treadle.stores import MemoryStore

PASS = {"Type": "Pass"}
BUCKET = {"Bucket": "b", "Key": "k"}
READER = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": BUCKET, "ReaderConfig": {"InputType": "JSON"}}
WRITER = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}}


def distributed(*states: dict[str, Any], kind: str = "STANDARD", **fields: Any) -> dict[str, Any]:
    """A distributed Map whose children run these states."""
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    names = {"StartAt": "W", "States": {}}
    inner = chain(*states)
    renamed = {name: f"{name}{name}" for name in inner["States"]}
    names["StartAt"] = renamed["A"]
    for name, state in inner["States"].items():
        names["States"][renamed[name]] = {**state, **({"Next": renamed[state["Next"]]} if "Next" in state else {})}
    return {"Type": "Map", "Label": "each", "ItemProcessor": {"ProcessorConfig": config, **names}, **fields}


@dataclass
class Pages:
    """A reader of so many items in pages; it remembers how far it was read."""

    items: list[Any]
    size: int = 10
    given: int = 0
    fails_at: int | None = None
    opened: list[int] = field(default_factory=list)

    async def pages(self, reader: Mapping[str, Json], skip: int) -> AsyncIterator[ItemPage]:
        self.opened.append(skip)
        assert reader["arguments"] == BUCKET
        for first in range(skip, len(self.items), self.size):
            if self.fails_at is not None and first >= self.fails_at:
                self.fails_at = None
                raise StatesError("States.ItemReaderFailed", "no such key")
            page = self.items[first : first + self.size]
            self.given += len(page)
            yield ItemPage(page, "S3://b/k")


@dataclass
class Writes:
    """A writer that keeps what it was given."""

    written: list[list[Any]] = field(default_factory=list)

    async def write(self, writer: Mapping[str, Json], results: MapResults) -> Json:
        self.written.append([record async for record in results.records()])
        return {"MapRunArn": results.map_run_arn, "Bucket": writer["arguments"]["Bucket"]}


async def started(engine: Engine, state: dict[str, Any], input: Any, name: str = "x") -> str:
    return (await engine.start(machine(chain(state)), input, name)).arn


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_every_item_is_an_execution_of_its_own(store: Store, kind: str) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            arn = await started(engine, distributed(task(), kind=kind), [1, 2, 3])
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert (await engine.result(arn)).output == [1, 2, 3]
            [summary] = await engine.map_runs.list(arn)
            assert summary.arn.startswith("arn:aws:states:us-east-1:123456789012:mapRun:m/each:")
            assert summary.machine_arn == "arn:aws:states:us-east-1:123456789012:stateMachine:m/each"
            page = await engine.map_runs.children(summary.arn)
            kinds = {"STANDARD": "execution", "EXPRESS": "express"}
            for child in page.executions:
                assert child.arn.startswith(f"arn:aws:states:us-east-1:123456789012:{kinds[kind]}:m/each:")
                assert child.machine_arn == summary.machine_arn
                assert (child.map_run_arn, child.status) == (summary.arn, "SUCCEEDED")
                assert types(await engine.journal(child.arn))[0] == "ExecutionStarted"
                assert (await engine.result(child.arn)).output == child.member.child + 1
            assert len(page.executions) == 3
            assert [each.arn for each in (await engine.store.executions()).executions] == [arn]
            await check_books(engine.store)

    run(work())


def test_the_history_is_that_of_a_distributed_map() -> None:
    async def work() -> None:
        async with open_engine() as engine:
            arn = await started(engine, distributed(PASS), [1])
            await closed(engine, arn)
            assert types(await engine.journal(arn)) == [
                "ExecutionStarted",
                "MapStateEntered",
                "MapStateStarted",
                "MapRunStarted",
                "MapRunSucceeded",
                "MapStateSucceeded",
                "MapStateExited",
                "ExecutionSucceeded",
            ]

    run(work())


def test_a_run_reads_page_by_page_and_no_further_than_it_needs_soon(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        most = [0]
        reader = Pages(list(range(1500)))

        async def answer(call: Call) -> Any:
            most[0] = max(most[0], reader.given - len(ledger.calls))
            return call.arguments

        ledger.answer = answer
        async with open_engine(store, ledger, reader=reader) as engine:
            arn = await started(engine, distributed(task(), ItemReader=READER, MaxConcurrency=50), {})
            summary = await closed(engine, arn)
            assert summary.status == "SUCCEEDED", summary.cause
            assert len((await engine.result(arn)).output) == 1500
            assert sorted(call.arguments for call in ledger.calls) == list(range(1500))
            assert most[0] < 1200
            assert reader.opened == [0]
            assert (await engine.map_runs.list(arn))[0].progress.items.total == 1500

    run(work())


def test_no_more_children_run_than_the_concurrency_allows_until_it_is_updated(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        running, most = [0], [0]

        async def answer(call: Call) -> Any:
            running[0] += 1
            most[0] = max(most[0], running[0])
            await engine.clock.sleep_until(engine.clock.now() + 1)
            running[0] -= 1

        async def slow(call: Call) -> Any:
            with engine.clock.idle():
                return await answer(call)

        ledger.answer = slow
        async with open_engine(store, ledger) as engine:
            arn = await started(engine, distributed(task(), MaxConcurrency=2), list(range(12)))
            await engine.clock.sleep_until(engine.clock.now() + 2.5)
            assert most == [2]
            [summary] = await engine.map_runs.list(arn)
            assert (summary.progress.children.running, summary.progress.children.pending) == (2, 6)
            await engine.map_runs.update(summary.arn, concurrency=4, tolerated_count=3, tolerated_percentage=5.5)
            await closed(engine, arn)
            assert most == [4]
            summary = await engine.map_runs.describe(summary.arn)
            assert (summary.progress.concurrency, summary.progress.tolerated_count) == (4, 3)
            assert summary.progress.tolerated_percentage == 5.5
            with pytest.raises(ApiError, match="ValidationException"):
                await engine.map_runs.update(summary.arn, concurrency=1)
            with pytest.raises(ApiError, match="ResourceNotFound"):
                await engine.map_runs.update(arn, concurrency=1)

    run(work())


def test_thousands_of_children_wait_at_the_same_time(store: Store) -> None:
    """More than are kept in memory when nothing happens in them, and more than start at once."""

    async def work() -> None:
        async with open_engine(store, reader=Pages(list(range(2500)))) as engine:
            state = distributed({"Type": "Wait", "Seconds": 1000}, ItemReader=READER, MaxConcurrency=2300)
            arn = await started(engine, state, {})
            await engine.clock.sleep_until(engine.clock.now() + 500)
            [summary] = await engine.map_runs.list(arn)
            assert (summary.progress.children.running, summary.progress.children.pending) == (2300, 200)
            await engine.map_runs.update(summary.arn, concurrency=2400)
            await engine.clock.sleep_until(engine.clock.now() + 100)
            [summary] = await engine.map_runs.list(arn)
            assert (summary.progress.children.running, summary.progress.children.pending) == (2400, 100)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert (await engine.result(arn)).output == list(range(2500))

    run(work())


async def odd_ones_fail(call: Call) -> Any:
    if call.arguments % 2:
        raise StatesError("Odd", "it is odd")
    return call.arguments


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_a_redrive_runs_again_what_did_not_succeed(store: Store, kind: str) -> None:
    async def work() -> None:
        ledger = Ledger(odd_ones_fail)
        async with open_engine(store, ledger) as engine:
            arn = await started(engine, distributed(PASS, task(), kind=kind, MaxConcurrency=1), [0, 2, 3, 4])
            summary = await closed(engine, arn)
            assert (summary.status, summary.error) == ("FAILED", "States.ExceedToleratedFailureThreshold")
            [before] = await engine.map_runs.list(arn)
            assert (before.status, before.progress.items.pending) == ("FAILED", 1)
            failed = (await engine.map_runs.children(before.arn, "FAILED")).executions[0]
            with pytest.raises(ApiError, match="ExecutionNotRedrivable"):
                await engine.redrive(failed.arn)
            ledger.answer, done = odd_ones_fail, len(ledger.calls)
            ledger.answer = lambda call: asyncio.sleep(0, call.arguments)
            await engine.redrive(arn)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert (await engine.result(arn)).output == [0, 2, 3, 4]
            assert [call.arguments for call in ledger.calls[done:]] == [3, 4]
            [after] = await engine.map_runs.list(arn)
            assert (after.arn, after.status, after.redrives) == (before.arn, "SUCCEEDED", 1)
            assert after.redriven_at is not None
            journal = types(await engine.journal(failed.arn))
            assert ("ExecutionRedriven" in journal) == (kind == "STANDARD")
            assert "MapRunRedriven" in types(await engine.journal(arn))
            await check_books(engine.store)

    run(work())


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_a_stop_stops_the_children_and_a_redrive_goes_on(store: Store, kind: str) -> None:
    async def work() -> None:
        ledger = Ledger()
        held = asyncio.Event()

        async def answer(call: Call) -> Any:
            if call.arguments and not held.is_set():
                with engine.clock.idle():
                    await asyncio.get_running_loop().create_future()
            return call.arguments

        ledger.answer = answer
        async with open_engine(store, ledger) as engine:
            arn = await started(engine, distributed(task(), kind=kind), [0, 1, 2])
            await settled(engine)
            await engine.stop(arn)
            held.set()
            await engine.redrive(arn)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert (await engine.result(arn)).output == [0, 1, 2]
            assert [call.arguments for call in ledger.calls].count(0) == 1
            [summary] = await engine.map_runs.list(arn)
            assert summary.redrives == 1
            await check_books(engine.store)

    run(work())


def test_a_stopped_run_comes_to_rest(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            arn = await started(engine, distributed({"Type": "Wait", "Seconds": 1000}), [0, 1, 2])
            await settled(engine)
            [before] = await engine.map_runs.list(arn)
            assert before.status == "RUNNING"
            await engine.stop(arn)
            await settled(engine)
            [after] = await engine.map_runs.list(arn)
            assert (after.status, after.progress.children.aborted) == ("ABORTED", 3)
            assert after.stopped_at == engine.clock.now() - 0.001
            await check_books(engine.store)

    run(work())


def test_a_failing_sibling_aborts_a_run_and_its_children(store: Store) -> None:
    async def work() -> None:
        waiting = distributed({"Type": "Wait", "Seconds": 1000})
        soon = {"Type": "Wait", "Seconds": 1, "Next": "F"}
        branches = [
            {"StartAt": "M", "States": {"M": {**waiting, "End": True}}},
            {"StartAt": "S", "States": {"S": soon, "F": {"Type": "Fail", "Error": "E"}}},
        ]
        async with open_engine(store) as engine:
            arn = await started(engine, {"Type": "Parallel", "Branches": branches}, [0, 1])
            assert (await closed(engine, arn)).status == "FAILED"
            assert "MapRunAborted" in types(await engine.journal(arn))
            await settled(engine)
            await check_books(engine.store)

    run(work())


def test_a_retry_starts_a_new_run(store: Store) -> None:
    async def work() -> None:
        again = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]
        ledger = Ledger(odd_ones_fail)
        async with open_engine(store, ledger) as engine:
            arn = await started(engine, distributed(task(), Retry=again), [1])
            assert (await closed(engine, arn)).status == "FAILED"
            runs = await engine.map_runs.list(arn)
            assert [each.status for each in runs] == ["FAILED", "FAILED"]
            assert runs[0].arn != runs[1].arn
            await check_books(engine.store)

    run(work())


def test_results_that_are_too_large_together_fail_the_run_and_a_redrive_starts_a_new_one(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger()
        ledger.answer = lambda call: asyncio.sleep(0, "x" * 300)
        async with open_engine(store, ledger, limits=Limits(payload_bytes=1000)) as engine:
            arn = await started(engine, distributed(task()), [1, 2, 3, 4])
            summary = await closed(engine, arn)
            assert (summary.status, summary.error) == ("FAILED", "States.DataLimitExceeded")
            ledger.answer = lambda call: asyncio.sleep(0, "x")
            await engine.redrive(arn)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert [each.status for each in await engine.map_runs.list(arn)] == ["SUCCEEDED", "FAILED"]

    run(work())


def test_a_writer_gets_a_record_of_each_child(store: Store) -> None:
    async def work() -> None:
        writer = Writes()
        state = distributed(task(), ResultWriter=WRITER, ToleratedFailureCount=9)
        async with open_engine(store, Ledger(odd_ones_fail), writer=writer) as engine:
            arn = await started(engine, state, [0, 1])
            await closed(engine, arn)
            [summary] = await engine.map_runs.list(arn)
            assert (await engine.result(arn)).output == {"MapRunArn": summary.arn, "Bucket": "b"}
            good, bad = writer.written[0]
            when = "2026-01-01T00:00:00Z"
            assert good == {
                "ExecutionArn": good["ExecutionArn"],
                "Input": "0",
                "InputDetails": {"Included": True},
                "Name": good["ExecutionArn"].rpartition(":")[2],
                "Output": "0",
                "OutputDetails": {"Included": True},
                "RedriveCount": 0,
                "RedriveStatus": "NOT_REDRIVABLE",
                "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
                "StartDate": when,
                "StateMachineArn": summary.machine_arn,
                "Status": "SUCCEEDED",
                "StopDate": when,
            }
            assert (bad["Status"], bad["Error"], bad["Cause"]) == ("FAILED", "Odd", "it is odd")
            assert "Output" not in bad
            assert summary.progress.items.results_written == 2

    run(work())


def pending(*inputs: str) -> list[dict[str, Any]]:
    return [{"Input": each, "InputDetails": {"Included": True}, "Status": "PENDING"} for each in inputs]


def test_what_was_never_started_is_told_to_the_writer_to_the_end_of_the_data_set(store: Store) -> None:
    async def work() -> None:
        writer, reader = Writes(), Pages([1, *range(2, 3001)])
        state = distributed(task(), ResultWriter=WRITER, ItemReader=READER, MaxConcurrency=1)
        async with open_engine(store, Ledger(odd_ones_fail), reader=reader, writer=writer) as engine:
            arn = await started(engine, state, {})
            assert (await closed(engine, arn)).error == "States.ExceedToleratedFailureThreshold"
            first, *rest = writer.written[0]
            assert first["Status"] == "FAILED"
            assert rest == pending(*map(str, range(2, 3001)))
            [summary] = await engine.map_runs.list(arn)
            counts = summary.progress.children
            assert (counts.pending, counts.failed, counts.total) == (2999, 1, 3000)
            assert counts == summary.progress.items
            await check_books(engine.store)

    run(work())


def test_a_reader_that_breaks_off_does_not_hide_why_the_run_failed(store: Store) -> None:
    async def work() -> None:
        writer, reader = Writes(), Pages([1, *range(2, 3001)], fails_at=2000)
        state = distributed(task(), ResultWriter=WRITER, ItemReader=READER, MaxConcurrency=1)
        async with open_engine(store, Ledger(odd_ones_fail), reader=reader, writer=writer) as engine:
            arn = await started(engine, state, {})
            assert (await closed(engine, arn)).error == "States.ExceedToleratedFailureThreshold"
            assert len(writer.written[0]) == 2000

    run(work())


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_a_stop_leaves_the_results_and_what_was_never_started_to_the_writer(store: Store, kind: str) -> None:
    async def work() -> None:
        writer = Writes()
        waiting = {"Type": "Wait", "Seconds": 100}
        state = distributed(waiting, kind=kind, ResultWriter=WRITER, MaxConcurrency=2)
        async with open_engine(store, writer=writer) as engine:
            arn = await started(engine, state, ["a", "b", "c"])
            await settled(engine)
            await engine.stop(arn)
            await settled(engine)
            [summary] = await engine.map_runs.list(arn)
            assert summary.status == "ABORTED"
            assert [each["Status"] for each in writer.written[0]] == ["ABORTED", "ABORTED", "PENDING"]
            assert writer.written[0][2:] == pending('"c"')
            await engine.redrive(arn)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert [each["Status"] for each in writer.written[1]] == ["SUCCEEDED"] * 3
            await check_books(engine.store)

    run(work())


def test_the_results_of_a_stopped_run_are_written_by_the_next_process_where_the_last_one_could_not(
    store: Store,
) -> None:
    async def work() -> None:
        class Stuck(Writes):
            async def write(self, writer: Mapping[str, Json], results: MapResults) -> Json:
                begun.set()
                with engine.clock.idle():
                    return await asyncio.get_running_loop().create_future()

        begun, writer = asyncio.Event(), Writes()
        state = distributed({"Type": "Wait", "Seconds": 100}, ResultWriter=WRITER, MaxConcurrency=1)
        async with open_engine(store, writer=Stuck()) as engine:
            arn = await started(engine, state, ["a", "b"])
            await settled(engine)
            await engine.stop(arn)
            await begun.wait()
        async with open_engine(store, writer=writer) as engine:
            await settled(engine)
            assert [each["Status"] for each in writer.written[0]] == ["ABORTED", "PENDING"]
            [summary] = await engine.map_runs.list(arn)
            assert summary.status == "ABORTED"
            await check_books(engine.store)

    run(work())


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_children_that_wait_to_be_redriven_can_be_listed(store: Store, kind: str) -> None:
    async def work() -> None:
        ledger = Ledger()
        broken = [True]

        async def answer(call: Call) -> Any:
            if broken[0]:
                raise StatesError("Odd")
            with engine.clock.idle():
                await engine.clock.sleep_until(engine.clock.now() + 10)
            return call.arguments

        ledger.answer = answer
        state = distributed(task(), kind=kind, MaxConcurrency=1, ToleratedFailureCount=4)
        async with open_engine(store, ledger) as engine:
            arn = await started(engine, state, list(range(6)))
            await closed(engine, arn)
            [summary] = await engine.map_runs.list(arn)
            broken[0] = False
            await engine.redrive(arn)
            await engine.clock.sleep_until(engine.clock.now() + 1)
            map_runs = engine.map_runs
            first = await map_runs.children(summary.arn, "PENDING_REDRIVE", 3)
            rest = await map_runs.children(summary.arn, "PENDING_REDRIVE", 3, first.next)
            numbers = [each.member.child for each in (*first.executions, *rest.executions) if each.member]
            assert (numbers, rest.next) == ([4, 3, 2, 1], None)
            assert all(map_runs.pending_redrive(each) for each in first.executions)
            assert (await map_runs.children(summary.arn, "FAILED")).executions == []
            [again] = (await map_runs.children(summary.arn, "RUNNING")).executions
            assert (again.member.child, again.status, map_runs.pending_redrive(again)) == (0, "RUNNING", False)
            counts = (await map_runs.describe(summary.arn)).progress.children
            assert (counts.running, counts.pending_redrive, counts.pending, counts.total) == (1, 4, 1, 6)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert (await map_runs.children(summary.arn, "PENDING_REDRIVE")).executions == []
            times = [each.times_redriven for each in (await map_runs.children(summary.arn)).executions]
            assert times == [0, 1, 1, 1, 1, 1]
            await check_books(engine.store)

    run(work())


def test_a_child_with_a_full_history_stays_failed(store: Store) -> None:
    async def work() -> None:
        ledger = Ledger(odd_ones_fail)
        async with open_engine(store, ledger, limits=Limits(history_events=20)) as engine:
            choice = {
                "Type": "Choice",
                "Choices": [{"Variable": "$", "NumericEquals": 0, "Next": "AA"}],
                "Default": "BB",
            }
            state = distributed(choice, task(), MaxConcurrency=1, ToleratedFailureCount=1)
            arn = await started(engine, state, [0, 1, 3])
            assert (await closed(engine, arn)).error == "States.ExceedToleratedFailureThreshold"
            [summary] = await engine.map_runs.list(arn)
            assert summary.progress.children.failures_not_redrivable == 1
            ledger.answer = lambda call: asyncio.sleep(0, call.arguments)
            calls = len(ledger.calls)
            await engine.redrive(arn)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert [call.arguments for call in ledger.calls[calls:]] == [1, 3]

    run(work())


def test_a_run_that_fails_leaves_its_results_to_the_writer(store: Store) -> None:
    async def work() -> None:
        writer = Writes()
        slow = {"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 0, "Next": "CC"}], "Default": "BB"}
        state = distributed(slow, task(), {"Type": "Wait", "Seconds": 100}, ResultWriter=WRITER)
        async with open_engine(store, Ledger(odd_ones_fail), writer=writer) as engine:
            arn = await started(engine, state, [0, 1])
            assert (await closed(engine, arn)).error == "States.ExceedToleratedFailureThreshold"
            assert [each["Status"] for each in writer.written[0]] == ["ABORTED", "FAILED"]
            await check_books(engine.store)

    run(work())


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"ItemReader": READER}, "States.ItemReaderFailed"), ({"ResultWriter": WRITER}, "States.ResultWriterFailed")],
)
def test_without_anybody_to_read_or_write_the_run_fails(fields: dict[str, Any], error: str) -> None:
    async def work() -> None:
        async with open_engine() as engine:
            arn = await started(engine, distributed(PASS, **fields), [0])
            assert (await closed(engine, arn)).error == error

    run(work())


def test_a_reader_that_failed_is_asked_again_by_a_redrive(store: Store) -> None:
    async def work() -> None:
        reader = Pages(list(range(30)), fails_at=10)
        async with open_engine(store, reader=reader) as engine:
            arn = await started(engine, distributed(PASS, ItemReader=READER), {})
            assert (await closed(engine, arn)).error == "States.ItemReaderFailed"
            await engine.redrive(arn)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert sorted((await engine.result(arn)).output) == list(range(30))
            assert reader.opened == [0, 10]

    run(work())


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_a_writer_that_failed_is_asked_again_by_a_redrive_and_no_child_is(store: Store, kind: str) -> None:
    async def work() -> None:
        class Broken(Writes):
            async def write(self, writer: Mapping[str, Json], results: MapResults) -> Json:
                if broken.pop("once", False):
                    raise StatesError("States.ResultWriterFailed", "no such bucket")
                return await super().write(writer, results)

        broken, ledger, writer = {"once": True}, Ledger(), Broken()
        state = distributed(task(), kind=kind, ResultWriter=WRITER)
        async with open_engine(store, ledger, writer=writer) as engine:
            arn = await started(engine, state, [1, 2])
            assert (await closed(engine, arn)).error == "States.ResultWriterFailed"
            await engine.redrive(arn)
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert len(ledger.calls) == 2
            assert [each["Output"] for each in writer.written[0]] == ["1", "2"]
            [summary] = await engine.map_runs.list(arn)
            assert (summary.redrives, summary.progress.children.results_written) == (1, 2)
            await check_books(engine.store)

    run(work())


def test_express_children_that_run_are_listed(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            state = distributed({"Type": "Wait", "SecondsPath": "$"}, kind="EXPRESS")
            arn = await started(engine, state, [0, 100, 100])
            await engine.clock.sleep_until(engine.clock.now() + 1)
            [summary] = await engine.map_runs.list(arn)
            listed = await engine.map_runs.children(summary.arn)
            assert [each.status for each in listed.executions] == ["RUNNING", "RUNNING", "SUCCEEDED"]
            first = await engine.map_runs.children(summary.arn, "RUNNING", 1)
            rest = await engine.map_runs.children(summary.arn, "RUNNING", 5, first.next)
            assert [each.arn for each in (*first.executions, *rest.executions)] == [
                each.arn for each in listed.executions[:2]
            ]

    run(work())


def test_express_children_have_five_minutes(store: Store) -> None:
    async def work() -> None:
        async with open_engine(store) as engine:
            state = distributed({"Type": "Wait", "Seconds": 1000}, kind="EXPRESS", ToleratedFailureCount=1)
            arn = await started(engine, state, [0])
            await closed(engine, arn)
            [summary] = await engine.map_runs.list(arn)
            assert summary.progress.children.timed_out == 1
            assert engine.clock.now() - summary.started_at == pytest.approx(300, abs=1)

    run(work())


def test_a_map_in_a_child_is_a_run_of_its_own(store: Store) -> None:
    async def work() -> None:
        inner = distributed(PASS, Label="inner")
        inner["ItemProcessor"] = {
            **inner["ItemProcessor"],
            "StartAt": "Z",
            "States": {"Z": {"Type": "Pass", "End": True}},
        }
        async with open_engine(store) as engine:
            arn = await started(engine, distributed(inner), [[1, 2], [3]])
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert (await engine.result(arn)).output == [[1, 2], [3]]
            await check_books(engine.store)

    run(work())


def test_a_child_knows_who_it_is() -> None:
    async def work() -> None:
        show = {
            "Type": "Pass",
            "Parameters": {"machine.$": "$$.StateMachine", "item.$": "$$.Map.Item", "arn.$": "$$.Execution.Id"},
        }
        async with open_engine() as engine:
            arn = await started(engine, distributed(show), {"k": 7})
            await closed(engine, arn)
            [told] = (await engine.result(arn)).output
            assert told["machine"] == {"Id": "arn:aws:states:us-east-1:123456789012:stateMachine:m/each", "Name": "m"}
            assert told["item"] == {"Index": 0, "Key": "k", "Value": 7, "Source": "STATE_DATA"}
            [summary] = await engine.map_runs.list(arn)
            assert told["arn"] == (await engine.map_runs.children(summary.arn)).executions[0].arn

    run(work())


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_a_store_that_fails_now_and_then_changes_nothing(kind: str, written: bool) -> None:
    def plan(number: int, commit: Commit) -> tuple[Unavailable, bool] | None:
        return (Unavailable("the disk is full"), written) if number % 7 == 5 else None

    async def work() -> None:
        store: Any = Failing(MemoryStore(), plan)
        async with open_engine(store) as engine:
            arn = await started(engine, distributed(PASS, task(), kind=kind), list(range(20)))
            assert (await closed(engine, arn)).status == "SUCCEEDED"
            assert (await engine.result(arn)).output == list(range(20))
            await settled(engine)
            await check_books(engine.store)

    run(work())

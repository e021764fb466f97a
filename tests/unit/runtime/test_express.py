"""Express executions: the same machine on a store that forgets, five minutes, and a log of what happened."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from driving import CALLBACK, START, Failing, Ledger, chain, machine, never, open_engine, run, settled, task, wait

from treadle.errors import ApiError, DefinitionError, StatesError
from treadle.machine.journal import Entry
from treadle.runtime.engine import Engine
from treadle.runtime.execution_log import MAX_BYTES, Level, log_records
from treadle.runtime.express import Express
from treadle.runtime.ports import Call, Summary
from treadle.stores import MemoryStore

QUICK = machine(chain({"Type": "Pass", "Assign": {"v": 1}}, task()), "quick", type="EXPRESS")


class Forgetful(Failing):
    """A memory store that can let an execution go."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), lambda count, commit: None)
        self.forgotten: list[str] = []

    def forget(self, arn: str) -> None:
        self.forgotten.append(arn)
        del self.inner._executions[arn]  # type: ignore[attr-defined]


class Bench:
    """An engine that runs Express executions, and their logs."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.store = Forgetful()
        self.logs: dict[str, list[Entry]] = {}
        self.engine: Engine = open_engine(self.store, ledger)  # type: ignore[arg-type]
        self.express = Express(self.engine, self._keep, self.store.forget)

    def _keep(self, summary: Summary, journal: list[Entry]) -> None:
        self.logs[summary.arn] = journal

    async def logged(self, arn: str) -> list[str]:
        while arn not in self.logs:
            await asyncio.sleep(0)
        return [entry.type for entry in self.logs[arn] if entry.id]


async def failing(call: Call) -> Any:
    raise StatesError("Boom", "it failed")


def test_a_synchronous_run_gives_the_result_and_leaves_only_its_log() -> None:
    async def work() -> None:
        bench = Bench()
        async with bench.engine:
            result = await bench.express.run(QUICK, {"n": 1}, "x")
            assert (result.summary.status, result.input, result.output) == ("SUCCEEDED", {"n": 1}, {"n": 1})
            assert ":express:quick:x:" in result.summary.arn
            assert (await bench.logged(result.summary.arn))[-1] == "ExecutionSucceeded"
            assert bench.store.forgotten == [result.summary.arn]
            with pytest.raises(ApiError, match="ExecutionDoesNotExist"):
                await bench.engine.summary(result.summary.arn)
            assert len(bench.engine._lives) == 0

    run(work())


def test_an_asynchronous_run_ends_by_itself_and_leaves_only_its_log() -> None:
    async def work() -> None:
        bench = Bench()
        async with bench.engine:
            started = await bench.express.start(QUICK, 1)
            assert (await bench.logged(started.arn))[-1] == "ExecutionSucceeded"
            await settled(bench.engine)
            assert bench.store.forgotten == [started.arn] and len(bench.engine._lives) == 0

    run(work())


def test_every_start_runs_even_under_the_same_name() -> None:
    async def work() -> None:
        ledger = Ledger()
        bench = Bench(ledger)
        async with bench.engine:
            results = await asyncio.gather(*(bench.express.run(QUICK, 1, "same") for _ in range(5)))
            arns = {each.summary.arn for each in results} | {(await bench.express.start(QUICK, 1, "same")).arn}
            assert len(arns) == 6
            for arn in arns:
                await bench.logged(arn)
            assert len(ledger.calls) == 6

    run(work())


@pytest.mark.parametrize("limit", [None, 100, 1000])
def test_five_minutes_are_the_most_that_it_may_take(limit: int | None) -> None:
    async def work() -> None:
        definition = chain(wait(400)) | ({"TimeoutSeconds": limit} if limit else {})
        bench = Bench()
        async with bench.engine:
            result = await bench.express.run(machine(definition, type="EXPRESS"))
            summary = result.summary
            assert (summary.status, summary.error, summary.cause) == ("TIMED_OUT", None, None)
            assert summary.stopped_at == START + min(limit or 300, 300)

    run(work())


def test_a_failed_run_gives_its_error() -> None:
    async def work() -> None:
        bench = Bench(Ledger(failing))
        async with bench.engine:
            summary = (await bench.express.run(QUICK)).summary
            assert (summary.status, summary.error, summary.cause) == ("FAILED", "Boom", "it failed")

    run(work())


def test_a_caller_that_goes_away_does_not_take_the_run_with_it() -> None:
    async def work() -> None:
        bench = Bench()
        async with bench.engine:
            running = asyncio.create_task(bench.express.run(machine(chain(wait(10)), type="EXPRESS")))
            while not [each async for each in bench.store.every()]:
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait((running,))
            starting = asyncio.create_task(bench.express.start(QUICK))
            await asyncio.sleep(0)
            starting.cancel()
            await asyncio.wait((starting,))
            await bench.engine.clock.sleep_until(START + 20)
            assert len(bench.store.forgotten) == len(bench.logs) == 2

    run(work())


def test_a_log_that_cannot_be_written_troubles_no_execution() -> None:
    async def work() -> None:
        def full(arn: str, journal: list[Entry]) -> None:
            raise OSError("no space")

        bench = Bench()
        bench.express = Express(bench.engine, full, bench.store.forget)
        async with bench.engine:
            started = await bench.express.start(QUICK, 1)
            assert (await bench.express.run(QUICK, 1)).summary.status == "SUCCEEDED"
            await settled(bench.engine)
            assert started.arn in bench.store.forgotten

    run(work())


def test_what_only_standard_executions_can_is_refused() -> None:
    async def work() -> None:
        bench = Bench()
        async with bench.engine:
            with pytest.raises(DefinitionError):
                await bench.express.run(machine(chain(task(CALLBACK)), type="EXPRESS"))

    run(work())


@pytest.mark.parametrize(("synchronous", "shown"), [(True, {}), (False, {"redrives": 0})])
def test_a_synchronous_run_does_not_know_of_redrives(synchronous: bool, shown: Any) -> None:
    context = {"Type": "Pass", "Parameters": {"context.$": "$$.Execution"}}

    async def work() -> None:
        bench = Bench()
        async with bench.engine:
            of = machine(chain(context), type="EXPRESS")
            arn = (await bench.express.run(of)).summary.arn if synchronous else (await bench.express.start(of)).arn
            await bench.logged(arn)
            told = bench.logs[arn][-1].details["output"]["context"]
            assert ("RedriveCount" in told) == bool(shown)

    run(work())


# ---- the log -----------------------------------------------------------------------------------------------------


async def journal_of(definition: Any, ledger: Ledger | None = None, input: Any = 1) -> list[Entry]:
    async with open_engine(ledger=ledger) as engine:
        started = await engine.start(machine(definition), input, "x")
        await engine.wait_closed(started.arn)
        return await engine.journal(started.arn)


def test_a_record_has_strings_only_and_the_names_of_cloudwatch() -> None:
    journal = run(journal_of(chain({"Type": "Pass"}), input={"n": 1}))
    first, second, *_, last = log_records("arn:x", journal)
    assert first == {
        "id": "1",
        "type": "ExecutionStarted",
        "details": {
            "input": '{"n":1}',
            "inputDetails": {"truncated": False},
            "roleArn": "arn:aws:iam::123456789012:role/r",
        },
        "previous_event_id": "0",
        "event_timestamp": str(round(START * 1000)),
        "execution_arn": "arn:x",
        "redrive_count": "0",
    }
    assert second["details"]["name"] == "A" and last["type"] == "ExecutionSucceeded"


def test_without_data_inputs_and_outputs_vanish_and_the_rest_stays() -> None:
    journal = run(journal_of(chain({"Type": "Pass"}, task()), Ledger(failing)))
    for record in log_records("arn:x", journal, include_data=False):
        assert not {"input", "output", "inputDetails", "outputDetails", "parameters"} & record["details"].keys()
    told = {record["type"]: record["details"] for record in log_records("arn:x", journal, include_data=False)}
    assert told["ExecutionStarted"] == {"roleArn": "arn:aws:iam::123456789012:role/r"}
    assert told["TaskStateEntered"] == {"name": "B"}
    assert told["ExecutionFailed"] == {"error": "Boom", "cause": "it failed"}


FAILING = chain(task(Catch=[{"ErrorEquals": ["States.ALL"], "Next": "B"}]), {"Type": "Fail", "Error": "E"})


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("ERROR", ["LambdaFunctionFailed", "FailStateEntered", "ExecutionFailed"]),
        ("FATAL", ["ExecutionFailed"]),
        ("OFF", []),
    ],
)
def test_a_level_chooses_the_types(level: Level, expected: list[str]) -> None:
    journal = run(journal_of(FAILING, Ledger(failing)))
    assert [record["type"] for record in log_records("arn:x", journal, level)] == expected
    everything = [record["id"] for record in log_records("arn:x", journal)]
    assert everything == [str(number) for number in range(1, len(everything) + 1)]


def test_data_that_is_too_long_is_cut_and_says_so() -> None:
    journal = run(journal_of(chain({"Type": "Pass"}), input="ä" * 129_000))
    details = next(log_records("arn:x", journal))["details"]
    assert details["inputDetails"] == {"truncated": True}
    assert len(details["input"].encode()) <= MAX_BYTES < 2 * 129_000


def test_records_after_a_redrive_count_it() -> None:
    async def work() -> list[Entry]:
        ledger = Ledger(failing)
        async with open_engine(ledger=ledger) as engine:
            started = await engine.start(machine(chain(task())), 1, "x")
            await engine.wait_closed(started.arn)
            await engine.redrive(started.arn)
            await engine.wait_closed(started.arn)
            return await engine.journal(started.arn)

    counts = [record["redrive_count"] for record in log_records("arn:x", run(work()))]
    assert sorted(set(counts)) == ["0", "1"] and counts == sorted(counts)


def test_a_run_that_never_ends_by_itself_is_ended_after_five_minutes() -> None:
    async def work() -> None:
        async def hang(call: Call) -> Any:
            with bench.engine.clock.idle():
                await never(call)

        bench = Bench(Ledger(hang))
        async with bench.engine:
            summary = (await bench.express.run(QUICK)).summary
            assert (summary.status, summary.stopped_at) == ("TIMED_OUT", START + 300)

    run(work())

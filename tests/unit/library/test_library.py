"""treadle within a program: functions, results, callbacks, going on after a crash."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import treadle

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"


def task(function: str, **fields: Any) -> dict[str, Any]:
    state = {"Type": "Task", "Resource": LAMBDA + function, "End": True, **fields}
    return {"StartAt": "Do", "States": {"Do": state}}


ASK: dict[str, Any] = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
            "End": True,
        }
    },
}


def double(payload: Any) -> Any:
    return {"twice": payload["n"] * 2}


async def test_plain_and_async_functions_are_called_by_name() -> None:
    async def later(payload: Any) -> Any:
        await asyncio.sleep(0)
        return payload["n"]

    async with treadle.open("memory:", functions={"double": double, "later": later}) as engine:
        first = await engine.start(task("double"), {"n": 4})
        second = await engine.start(task("later"), {"n": 5}, machine="other")
        assert (await first.result(), await second.result()) == ({"twice": 8}, 5)
        assert await first.status() == "SUCCEEDED"
        assert [event["type"] for event in await first.history()][-1] == "ExecutionSucceeded"
        assert {each.arn for each in await engine.executions()} == {first.arn, second.arn}
        assert [each.arn for each in await engine.executions(machine="other")] == [second.arn]


async def test_a_function_that_blocks_holds_nobody_up() -> None:
    met = threading.Barrier(2, timeout=20)

    def meet(payload: Any) -> Any:
        met.wait()
        return payload

    async with treadle.open("memory:", functions={"meet": meet}) as engine:
        runs = [await engine.start(task("meet"), n) for n in (1, 2)]
        assert [await run.result() for run in runs] == [1, 2]


async def test_what_a_function_raises_is_the_error_that_retry_and_catch_see() -> None:
    tried: list[tuple[int, str]] = []

    def fails(payload: Any) -> Any:
        call = treadle.current_call()
        tried.append((call.attempt, call.idempotency))
        raise ValueError("no") if len(tried) == 1 else treadle.StatesError("Card.Declined", "no money")

    retry = [{"ErrorEquals": ["ValueError"]}]
    async with treadle.open("memory:", functions={"fails": fails}, virtual_time=True) as engine:
        run = await engine.start(task("fails", Retry=retry))
        with pytest.raises(treadle.ExecutionFailed) as raised:
            await run.result()
    assert (raised.value.status, raised.value.error) == ("FAILED", "Card.Declined")
    assert json.loads(raised.value.cause or "")["errorMessage"] == "no money"
    assert len(set(tried)) == 2


async def test_the_call_is_known_only_within_a_function() -> None:
    with pytest.raises(LookupError):
        treadle.current_call()


async def test_in_virtual_time_a_day_of_waiting_takes_no_time() -> None:
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 86400, "End": True}}}
    async with treadle.open("memory:", virtual_time=True) as engine:
        run = await engine.start(wait)
        await run.result()
        summary = await run.summary()
        assert summary.stopped_at == summary.started_at + 86400


async def test_a_task_is_ended_by_its_token() -> None:
    asked: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask(payload: Any) -> None:
        asked.set_result(payload["token"])

    async with treadle.open("memory:", functions={"ask": ask}) as engine:
        run = await engine.start(ASK)
        token = await asked
        await engine.heartbeat(token)
        await engine.succeed(token, {"by": "mira"})
        assert await run.result() == {"by": "mira"}
        with pytest.raises(treadle.ApiError, match="TaskTimedOut"):
            await engine.fail(token, "Late")


async def test_open_tasks_are_listed_without_showing_their_tokens() -> None:
    async with treadle.open("memory:", functions={"ask": lambda payload: None}, virtual_time=True) as engine:
        run = await engine.start(ASK)
        while not (open_tasks := await run.open_tasks()):
            await asyncio.sleep(0)
        (waiting,) = open_tasks
        assert (waiting.state, waiting.token in repr(waiting)) == ("Ask", False)
        await engine.fail(waiting.token, "Refused", "too much")
        with pytest.raises(treadle.ExecutionFailed, match="Refused: too much"):
            await run.result()


async def test_a_worker_takes_the_task_of_an_activity() -> None:
    definition = task("x", Resource="arn:aws:states:us-east-1:123456789012:activity:pack")
    async with treadle.open("memory:") as engine:
        run = await engine.start(definition, {"box": 1})
        taken = await engine.take("pack", "me")
        assert taken is not None
        assert taken.input == {"box": 1}
        await engine.succeed(taken.token, "packed")
        assert await run.result() == "packed"


async def test_stop_and_redrive() -> None:
    broken = True

    def works(payload: Any) -> str:
        if broken:
            raise RuntimeError("broken")
        return "works"

    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 86400, "End": True}}}
    async with treadle.open("memory:", functions={"works": works}) as engine:
        run = await engine.start(task("works"))
        with pytest.raises(treadle.ExecutionFailed, match="RuntimeError"):
            await run.result()
        broken = False
        await run.redrive()
        assert await run.result() == "works"
        waiting = await engine.start(wait, name="w")
        await waiting.stop("Enough", "too long")
        with pytest.raises(treadle.ExecutionFailed, match="w ABORTED: Enough: too long"):
            await engine.execution("w").result()


async def test_the_name_makes_an_execution_what_it_is() -> None:
    async with treadle.open("memory:", functions={"double": double}) as engine:
        first = await engine.start(task("double"), {"n": 1}, name="one")
        assert await first.result() == {"twice": 2}
        again = await engine.start(task("double"), {"n": 1}, name="one")
        assert (again.arn, await again.result()) == (first.arn, {"twice": 2})
        with pytest.raises(treadle.ApiError, match="ExecutionAlreadyExists"):
            await engine.start(task("double"), {"n": 2}, name="one")


async def test_nested_executions_start_machines_by_name(tmp_path: Path) -> None:
    (tmp_path / "child.asl.json").write_text(json.dumps(task("double")))
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {
            "StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:child",
            "Input": {"n": 3},
        },
        "OutputPath": "$.Output",
        "End": True,
    }
    parent = {"StartAt": "N", "States": {"N": nested}}
    machines = {"child": tmp_path / "child.asl.json", "parent": parent}
    async with treadle.open("memory:", functions={"double": double}, machines=machines) as engine:
        run = await engine.start("parent")
        assert ":parent:" in run.arn
        assert await run.result() == {"twice": 6}


FAIL: dict[str, Any] = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Sold", "Cause": "out"}}}


async def test_an_express_execution_gives_its_output_and_leaves_nothing(tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []

    def log(summary: treadle.Summary, history: list[dict[str, Any]]) -> None:
        told.append((summary.name, summary.status, history[-1]["type"]))

    async with treadle.open(tmp_path, functions={"double": double}, express_log=log) as engine:
        for _ in range(2):  # Express names may repeat
            assert await engine.run_express(task("double"), {"n": 4}, name="twice") == {"twice": 8}
        with pytest.raises(treadle.ExecutionFailed, match="FAILED: Sold: out") as failed:
            await engine.run_express(FAIL, name="sold")
        assert (failed.value.execution, failed.value.status, failed.value.error) == ("sold", "FAILED", "Sold")
        assert await engine.executions() == []
    ended = ("ExecutionSucceeded", "ExecutionFailed")
    assert told == [*[("twice", "SUCCEEDED", ended[0])] * 2, ("sold", "FAILED", ended[1])]


async def test_an_express_execution_is_started_and_told_of_at_its_end() -> None:
    ends: asyncio.Queue[treadle.Summary] = asyncio.Queue()

    def log(summary: treadle.Summary, history: list[dict[str, Any]]) -> None:
        ends.put_nowait(summary)

    async with treadle.open("memory:", functions={"double": double}, express_log=log) as engine:
        arn = await engine.start_express(task("double"), {"n": 1}, name="a", machine="doubler")
        assert arn.startswith("arn:aws:states:us-east-1:123456789012:express:doubler:a:")
        ended = await ends.get()
        assert (ended.arn, ended.status) == (arn, "SUCCEEDED")


async def test_an_express_execution_ends_after_five_minutes() -> None:
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 301, "End": True}}}
    async with treadle.open("memory:", virtual_time=True) as engine:
        with pytest.raises(treadle.ExecutionFailed, match="TIMED_OUT"):
            await engine.run_express(wait)


async def test_what_express_does_not_allow_is_refused() -> None:
    async with treadle.open("memory:", functions={"ask": double}) as engine:
        with pytest.raises(treadle.DefinitionError):
            await engine.run_express(ASK)
    with pytest.raises(treadle.TreadleError, match="'a' is in machines and in express_machines"):
        async with treadle.open("memory:", machines={"a": FAIL}, express_machines={"a": FAIL}):
            pass


async def test_nested_executions_start_express_machines_and_do_not_wait_for_them() -> None:
    ends: asyncio.Queue[str] = asyncio.Queue()
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:inner"
    resource = "arn:aws:states:::states:startExecution"
    start = {"Type": "Task", "Resource": resource, "Parameters": {"StateMachineArn": arn}, "End": True}
    outer = {"StartAt": "Start", "States": {"Start": start}}

    def log(summary: treadle.Summary, history: list[dict[str, Any]]) -> None:
        ends.put_nowait(summary.arn)

    async with treadle.open("memory:", express_machines={"inner": FAIL}, express_log=log) as engine:
        run = await engine.start(outer)
        assert (await run.result())["ExecutionArn"] == await ends.get()


async def test_integrations_of_the_program_serve_other_resources() -> None:
    class Queue:
        redelivery = "again"

        async def call(self, call: treadle.Call) -> Any:
            return {"sent": call.arguments["MessageBody"]}

        async def poll(self, call: treadle.Call) -> Any:
            raise AssertionError("it has no jobs")

        async def cancel(self, call: treadle.Call) -> None:
            raise AssertionError("it has no jobs")

    send = task("x", Resource="arn:aws:states:::sqs:sendMessage", Parameters={"QueueUrl": "q", "MessageBody": "hi"})
    async with treadle.open("memory:", integrations={"sqs": Queue()}) as engine:
        assert await (await engine.start(send)).result() == {"sent": "hi"}


@pytest.mark.parametrize(
    ("definition", "machine", "error"),
    [
        ({"StartAt": "A"}, None, treadle.DefinitionError),
        (Path("nowhere.asl.json"), None, treadle.TreadleError),
        (task("double"), "no name!", treadle.TreadleError),
    ],
)
async def test_what_cannot_be_started_is_refused(definition: Any, machine: str | None, error: type[Exception]) -> None:
    async with treadle.open("memory:") as engine:
        with pytest.raises(error):
            await engine.start(definition, machine=machine)


async def test_a_result_that_is_no_json_fails_its_task() -> None:
    async with treadle.open("memory:", functions={"odd": lambda payload: object()}) as engine:
        with pytest.raises(treadle.ExecutionFailed, match="TypeError"):
            await (await engine.start(task("odd"))).result()


PROGRAM = """
import asyncio, os, sys, treadle
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
STATES = {"A": {"Type": "Task", "Resource": LAMBDA + "first", "Next": "B"},
          "B": {"Type": "Task", "Resource": LAMBDA + "second", "End": True}}

def note(name):
    with open("ledger", "a") as ledger:
        ledger.write(name + " " + treadle.current_call().idempotency + "\\n")

def first(payload):
    note("first")
    return 1

def second(payload):
    note("second")
    if not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), 9)
    return payload + 1

async def main():
    async with treadle.open("orders.db", functions={"first": first, "second": second}) as engine:
        run = await engine.start({"StartAt": "A", "States": STATES}, name="one")
        print(await run.result())

asyncio.run(main())
"""


def test_a_program_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    def program() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert program().returncode == -9
    again = program()
    assert (again.stdout, again.returncode) == ("2\n", 0), again.stderr
    ledger = [line.split() for line in (tmp_path / "ledger").read_text().splitlines()]
    assert [name for name, _ in ledger] == ["first", "second", "second"]
    assert ledger[1][1] == ledger[2][1]


def test_importing_treadle_imports_nothing_heavy() -> None:
    script = "import sys, treadle, treadle.errors; print([m for m in sys.modules if m.startswith('treadle.')])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "['treadle.exports', 'treadle.errors']\n"


def test_every_public_name_is_there_and_no_more_than_twenty() -> None:
    assert len(treadle.__all__) <= 20
    assert all(getattr(treadle, name) is not None for name in treadle.__all__)
    assert set(treadle.__all__) <= set(dir(treadle))
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = treadle.opne  # type: ignore[attr-defined]

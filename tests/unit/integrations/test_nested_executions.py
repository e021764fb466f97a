"""Nested executions: what the parent gets, who is stopped with whom, and that a child is started once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from treadle.errors import ApiError, StatesError
from treadle.integrations.states import Machines, StatesIntegration
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.express import Express
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Call, Redelivery, Store
from treadle.stores import MemoryStore, SqliteStore
from treadle.testing.checker import check_journal

ACCOUNT = "us-east-1:123456789012"
START = 1_767_225_600.0
RESOURCE = "arn:aws:states:::states:startExecution"
FUNCTION = f"arn:aws:lambda:{ACCOUNT}:function:f"


def arn_of(name: str) -> str:
    return f"arn:aws:states:{ACCOUNT}:stateMachine:{name}"


def machine(name: str, **states: Any) -> StateMachine:
    names = list(states)
    onward: list[dict[str, Any]] = [*({"Next": each} for each in names[1:]), {"End": True}]
    written = {
        each: state if state["Type"] == "Fail" else {**state, **following}
        for (each, state), following in zip(states.items(), onward, strict=True)
    }
    definition = json.dumps({"StartAt": names[0], "States": written})
    return StateMachine(arn=arn_of(name), name=name, definition=definition, role_arn="arn:aws:iam::1:role/r")


def run_child(pattern: str = "", machine: str = "child", **parameters: Any) -> dict[str, Any]:
    given = {"StateMachineArn": arn_of(machine), "Input.$": "$"} | parameters
    return {"Type": "Task", "Resource": RESOURCE + pattern, "Parameters": given}


class Calling:
    """Functions whose answer may be told to wait."""

    redelivery: Redelivery = "again"

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def call(self, call: Call) -> Any:
        self.calls.append(call)
        return call.arguments

    async def poll(self, call: Call) -> Any:
        raise AssertionError

    async def cancel(self, call: Call) -> None:
        raise AssertionError


CHILD = machine("child", W={"Type": "Wait", "Seconds": 30}, T={"Type": "Task", "Resource": FUNCTION})
FAILS = machine("fails", F={"Type": "Fail", "Error": "Mine", "Cause": "because"})


def _finding(table: Mapping[str, StateMachine]) -> Machines:
    async def find(arn: str) -> StateMachine | None:
        return table.get(arn)

    return find


def open_engine(store: Store, *machines: StateMachine, at: float = START, calling: Calling | None = None) -> Engine:
    table = {each.arn: each for each in (CHILD, FAILS, *machines)}
    states = StatesIntegration(lambda: engine, _finding(table))
    engine = Engine(store, {"states": states, "lambda": calling or Calling()}, clock=VirtualClock(at))
    return engine


def run(work: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(bounded())


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "treadle.db")


async def closed(engine: Engine, arn: str) -> Any:
    summary = await engine.wait_closed(arn)
    check_journal(await engine.journal(arn))
    return await engine.result(summary.arn)


async def children(engine: Engine) -> list[Any]:
    """Executions that another one started, the oldest first."""
    with engine.clock.busy():
        return [each async for each in engine.store.every() if each.parent is not None]


# ---- what the parent gets ----------------------------------------------------------------------------------------


def test_a_plain_start_gives_the_child_and_does_not_wait(store: Store) -> None:
    async def work() -> None:
        parent = machine("parent", A=run_child())
        async with open_engine(store, parent) as engine:
            started = await engine.start(parent, {"n": 1}, "p")
            result = await closed(engine, started.arn)
            (child,) = await children(engine)
            assert result.summary.stopped_at == START
            assert result.output["ExecutionArn"] == child.arn and result.output["StartDate"] == START * 1000
            assert (await closed(engine, child.arn)).output == {"n": 1}

    run(work())


@pytest.mark.parametrize("pattern", ["", ".sync", ".sync:2"])
def test_an_express_child_is_started_but_not_waited_for(pattern: str, store: Store) -> None:
    async def work() -> None:
        quick = replace(machine("quick", P={"Type": "Pass"}), type="EXPRESS")
        logged: list[str] = []
        express = Express(engine, lambda summary, journal: logged.append(summary.status), lambda arn: None)
        states = StatesIntegration(lambda: engine, _finding({quick.arn: quick}), lambda: express)
        call = Call(arn_of("p"), 3, RESOURCE + pattern, {"StateMachineArn": quick.arn}, None, None, 0, "key")
        async with engine:
            if not pattern:
                assert "quick" in (await states.call(call))["ExecutionArn"]
                while not logged:
                    await asyncio.sleep(0)
            else:
                with pytest.raises(StatesError, match="aws-sdk:sfn:startSyncExecution") as failed:
                    await states.call(call)
                assert failed.value.name == "StepFunctions.StateMachineTypeNotSupportedException"
        assert len(logged) == (not pattern)

    engine = open_engine(store)
    run(work())


@pytest.mark.parametrize(("pattern", "data"), [(".sync", '{"n":1}'), (".sync:2", {"n": 1})])
def test_a_child_that_is_waited_for_gives_its_description(pattern: str, data: Any, store: Store) -> None:
    async def work() -> None:
        parent = machine("parent", A=run_child(pattern))
        async with open_engine(store, parent) as engine:
            started = await engine.start(parent, {"n": 1}, "p")
            output = (await closed(engine, started.arn)).output
            (child,) = await children(engine)
            assert output == {
                "ExecutionArn": child.arn,
                "Input": data,
                "InputDetails": {"Included": True},
                "Name": child.name,
                "Output": data,
                "OutputDetails": {"Included": True},
                "StartDate": START * 1000,
                "StateMachineArn": CHILD.arn,
                "Status": "SUCCEEDED",
                "StopDate": (START + 30) * 1000,
            }

    run(work())


@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
def test_a_child_that_fails_fails_the_task_with_its_description(pattern: str, store: Store) -> None:
    async def work() -> None:
        parent = machine("parent", A=run_child(pattern, "fails"))
        async with open_engine(store, parent) as engine:
            started = await engine.start(parent, {}, "p")
            summary = (await closed(engine, started.arn)).summary
            assert summary.error == "States.TaskFailed"
            told = json.loads(summary.cause)
            assert (told["Status"], told["Error"], told["Cause"]) == ("FAILED", "Mine", "because")
            assert "Output" not in told and list(told) == sorted(told)

    run(work())


@pytest.mark.parametrize("pattern", ["", ".sync", ".sync:2"])
def test_a_machine_that_is_not_there_fails_the_task_with_awss_words(pattern: str) -> None:
    async def work() -> None:
        parent = machine("parent", A=run_child(pattern, "gone"))
        async with open_engine(MemoryStore(), parent) as engine:
            started = await engine.start(parent, {}, "p")
            summary = (await closed(engine, started.arn)).summary
            assert summary.error == "StepFunctions.StateMachineDoesNotExistException"
            assert "Service: AWSStepFunctions; Status Code: 400" in summary.cause

    run(work())


@pytest.mark.parametrize(("given", "input"), [('{"x": [1]}', {"x": [1]}), ("7", 7), ({"y": 2}, {"y": 2})])
def test_an_input_that_is_text_is_the_json_itself(given: Any, input: Any) -> None:
    async def work() -> None:
        task = run_child(".sync:2") | {"Parameters": {"Input": given, "StateMachineArn": CHILD.arn}}
        parent = machine("parent", A=task)
        async with open_engine(MemoryStore(), parent) as engine:
            started = await engine.start(parent, {}, "p")
            assert (await closed(engine, started.arn)).output["Input"] == input

    run(work())


def test_an_input_that_is_no_json_is_refused() -> None:
    async def work() -> None:
        task = run_child(".sync:2") | {"Parameters": {"Input": "{", "StateMachineArn": CHILD.arn}}
        parent = machine("parent", A=task)
        async with open_engine(MemoryStore(), parent) as engine:
            started = await engine.start(parent, {}, "p")
            summary = (await closed(engine, started.arn)).summary
            assert summary.error == "StepFunctions.InvalidExecutionInputException"

    run(work())


def test_a_name_that_is_taken_fails_the_task(store: Store) -> None:
    async def work() -> None:
        parent = machine("parent", A=run_child(".sync:2", Name="taken"))
        async with open_engine(store, parent) as engine:
            other = await engine.start(CHILD, "another input", "taken")
            started = await engine.start(parent, {}, "p")
            summary = (await closed(engine, started.arn)).summary
            assert summary.error == "StepFunctions.ExecutionAlreadyExistsException" and other.arn in summary.cause

    run(work())


# ---- who is stopped with whom ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [".sync", ".sync:2"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_child_is_stopped_with_its_parent(pattern: str, restart: bool, store: Store) -> None:
    async def work() -> None:
        parent = machine("parent", A=run_child(pattern))
        async with open_engine(store, parent) as engine:
            started = await engine.start(parent, {}, "p")
            await engine.clock.sleep_until(START + 5)
            if not restart:
                await stop_both(engine, started.arn)
        if restart:
            async with open_engine(store, parent, at=START + 6) as engine:
                await engine.clock.sleep_until(START + 7)
                await stop_both(engine, started.arn)

    async def stop_both(engine: Engine, arn: str) -> None:
        await engine.stop(arn)
        (child,) = await children(engine)
        assert (await closed(engine, child.arn)).summary.status == "ABORTED"

    run(work())


def test_a_child_that_is_not_waited_for_runs_on(store: Store) -> None:
    async def work() -> None:
        parent = machine("parent", A=run_child(), W={"Type": "Wait", "Seconds": 10})
        async with open_engine(store, parent) as engine:
            started = await engine.start(parent, {}, "p")
            await engine.clock.sleep_until(START + 5)
            await engine.stop(started.arn)
            (child,) = await children(engine)
            assert (await closed(engine, child.arn)).summary.status == "SUCCEEDED"

    run(work())


def test_a_parent_whose_child_is_stopped_fails(store: Store) -> None:
    async def work() -> None:
        parent = machine("parent", A=run_child(".sync:2"))
        async with open_engine(store, parent) as engine:
            started = await engine.start(parent, {}, "p")
            await engine.clock.sleep_until(START + 5)
            (child,) = await children(engine)
            await engine.stop(child.arn, "By hand")
            summary = (await closed(engine, started.arn)).summary
            assert summary.error == "States.TaskFailed" and json.loads(summary.cause)["Status"] == "ABORTED"

    run(work())


# ---- once --------------------------------------------------------------------------------------------------------


def test_each_attempt_starts_a_child_of_its_own(store: Store) -> None:
    async def work() -> None:
        retry = {"Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]}
        parent = machine("parent", A=run_child(".sync:2", "fails") | retry)
        async with open_engine(store, parent) as engine:
            started = await engine.start(parent, {}, "p")
            await closed(engine, started.arn)
            assert len({child.arn for child in await children(engine)}) == 3

    run(work())


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("named", [{}, {"Name": "mine"}])
def test_a_call_that_is_made_again_finds_the_child_it_started(named: dict[str, str], ended: bool) -> None:
    async def work() -> None:
        async with open_engine(MemoryStore()) as engine:
            states = engine.integrations["states"]
            call = Call("arn:parent", 3, RESOURCE, {"StateMachineArn": CHILD.arn, **named}, None, None, 0, "key")
            first = await states.call(call)
            if ended:
                await engine.wait_closed(first["ExecutionArn"])
            assert await states.call(call) == first
            assert len(await children(engine)) == 1

    run(work())


def test_a_child_of_another_wait_is_not_taken_for_its_own() -> None:
    async def work() -> None:
        async with open_engine(MemoryStore()) as engine:
            states = engine.integrations["states"]
            given = {"StateMachineArn": CHILD.arn, "Name": "mine"}
            first = await states.call(Call("arn:parent", 3, RESOURCE, given, None, None, 0, "key"))
            await engine.wait_closed(first["ExecutionArn"])
            with pytest.raises(StatesError) as refused:
                await states.call(Call("arn:parent", 9, RESOURCE, given, None, None, 1, "other"))
            assert refused.value.name == "StepFunctions.ExecutionAlreadyExistsException"

    run(work())


def test_a_parent_waits_for_its_child_across_a_restart(store: Store) -> None:
    async def work() -> None:
        parent, calling = machine("parent", A=run_child(".sync:2")), Calling()
        async with open_engine(store, parent, calling=calling) as engine:
            started = await engine.start(parent, {"n": 1}, "p")
            await engine.clock.sleep_until(START + 5)
        async with open_engine(store, parent, at=START + 100, calling=calling) as engine:
            assert (await closed(engine, started.arn)).output["Output"] == {"n": 1}
            assert len(await children(engine)) == len(calling.calls) == 1

    run(work())


def test_a_child_that_cannot_be_stopped_is_told_as_an_error_of_the_workflow() -> None:
    async def work() -> None:
        async with open_engine(MemoryStore()) as engine:
            states: Any = engine.integrations["states"]
            call = Call("arn:p", 3, RESOURCE, {}, None, None, 0, "key", job={"ExecutionArn": "arn:gone"})
            with pytest.raises(StatesError):
                await states.cancel(call)
            with pytest.raises(ApiError):
                await states.poll(call)

    run(work())

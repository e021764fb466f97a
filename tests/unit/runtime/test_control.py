"""The socket of a running engine: who may ask what, bounds, and that both ways to ask are the same."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from treadle.errors import ApiError, StoreError, Unavailable
from treadle.integrations.states import StatesIntegration
from treadle.language.scope import Json
from treadle.runtime import control_socket as module
from treadle.runtime.control import (
    Control,
    EngineControl,
    Fail,
    Heartbeat,
    ListExecutions,
    ListTasks,
    Stop,
    Succeed,
)
from treadle.runtime.control_socket import CONNECTIONS, REQUEST_BYTES, RemoteControl, serve
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.offline import OfflineControl, Parked
from treadle.stores import MemoryStore

ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:work"
ASK = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "HeartbeatSeconds": 50}


class Accepting(Parked):
    async def call(self, call: Any) -> Json:
        return {}


def machine(**states: Any) -> StateMachine:
    definition = {"StartAt": next(iter(states)), "States": states}
    return StateMachine(
        arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
        name="m",
        definition=json.dumps(definition),
        role_arn="r",
    )


ASKING = machine(Ask={**ASK, "Parameters": {"MessageBody.$": "$$.Task.Token"}, "End": True})
WORKING = machine(Work={"Type": "Task", "Resource": ACTIVITY, "End": True})


@asynccontextmanager
async def running(path: Path, store: MemoryStore | None = None) -> AsyncGenerator[tuple[Engine, Control]]:
    """An engine that listens, and the way to it through its socket."""
    integrations = dict.fromkeys(("service", "states"), Accepting())
    async with Engine(store or MemoryStore(), integrations) as engine, serve(EngineControl(engine), path):
        yield engine, RemoteControl(path)


async def opened(engine: Engine, kind: str) -> None:
    """Return when a wait of this kind stands in the store."""
    while not [
        each async for each in engine.store.every() for row in await engine.store.waits(each.arn) if row.kind == kind
    ]:
        await asyncio.sleep(0)


Body = Callable[[Engine, Control], Awaitable[None]]


def both(tmp_path: Path, body: Body) -> None:
    """The same through the socket and in the process itself."""

    async def remote() -> None:
        async with running(tmp_path / "s") as (engine, control):
            await body(engine, control)

    async def here() -> None:
        async with running(tmp_path / "s") as (engine, _):
            await body(engine, EngineControl(engine))

    asyncio.run(remote())
    asyncio.run(here())


def test_a_callback_is_listed_kept_alive_and_answered(tmp_path: Path) -> None:
    async def body(engine: Engine, control: Control) -> None:
        started = await engine.start(ASKING, {}, "a")
        await opened(engine, "callback")
        (task,) = await control.tasks(ListTasks())
        assert (task.state, task.kind, task.token) == ("Ask", "callback", None)
        (with_token,) = await control.tasks(ListTasks(arn=started.arn, tokens=True))
        assert with_token.token == engine.token(started.arn, task.wait)
        await control.answer(Heartbeat(started.arn, task.wait))
        await control.answer(Succeed(arn=started.arn, wait=task.wait, output={"x": 2**70, "y": "ü"}))
        described = await control.describe(started.arn)
        assert (described.summary.status, described.output, described.waits) == (
            "SUCCEEDED",
            {"x": 2**70, "y": "ü"},
            [],
        )
        assert [entry.type for entry in await control.journal(started.arn)][-1] == "ExecutionSucceeded"
        with pytest.raises(ApiError, match="TaskDoesNotExist"):
            await control.answer(Fail(arn=started.arn, wait=task.wait))

    both(tmp_path, body)


def test_the_task_of_an_activity_is_taken_and_failed(tmp_path: Path) -> None:
    async def body(engine: Engine, control: Control) -> None:
        started = await engine.start(WORKING, {}, "a")
        (task,) = await control.tasks(ListTasks())
        await control.answer(Fail(arn=started.arn, wait=task.wait, error="E", cause="c"))
        assert (await control.describe(started.arn)).summary.error == "E"
        types = [entry.type for entry in await control.journal(started.arn)]
        assert types[-3:] == ["ActivityStarted", "ActivityFailed", "ExecutionFailed"]

    both(tmp_path, body)


def test_executions_are_listed_page_by_page_and_stopped(tmp_path: Path) -> None:
    async def body(engine: Engine, control: Control) -> None:
        for name in "abc":
            await engine.start(WORKING, {}, name)
        names: list[str] = []
        after: str | None = None
        while True:
            page, after = await control.executions(ListExecutions(limit=2, after=after))
            names += [each.name for each in page]
            if after is None:
                break
        assert sorted(names) == ["a", "b", "c"]
        arn = engine.arn_of(WORKING, "a")
        first = await control.stop(Stop(arn=arn, error="E"))
        again = await control.stop(Stop(arn=arn, error="other"))
        assert (first, first.status, first.error) == (again, "ABORTED", "E")

    both(tmp_path, body)


def test_an_unknown_execution_is_told(tmp_path: Path) -> None:
    async def body(engine: Engine, control: Control) -> None:
        for ask in (control.describe, control.journal):
            with pytest.raises(ApiError, match="ExecutionDoesNotExist"):
                await ask("arn:nobody")
        with pytest.raises(ApiError, match="ExecutionDoesNotExist"):
            await control.tasks(ListTasks(arn="arn:nobody"))

    both(tmp_path, body)


# ---- the socket itself -------------------------------------------------------------------------------------------


def test_the_socket_is_for_its_user_alone_and_goes_with_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def body() -> None:
        async with running(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_ISSOCK(path.stat().st_mode)

    asyncio.run(body())
    assert not path.exists()
    path.write_text("left over by a process that was killed")
    asyncio.run(body())


def test_a_path_longer_than_a_socket_may_have_works(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 150)
    folder.mkdir()

    async def body() -> None:
        async with running(folder / "s") as (_, control):
            assert await control.tasks(ListTasks()) == []

    asyncio.run(body())


BAD = {
    "no JSON": b"hello\n",
    "no object": b"5\n",
    "an unknown order": b'{"do": "shutdown"}\n',
    "a wrong type": b'{"do": "describe", "arn": 5}\n',
    "a page too large": b'{"do": "executions", "limit": 100000}\n',
    "nested too deep": b"[" * 100_000 + b"\n",
    "too long": b" " * (REQUEST_BYTES + 2) + b"\n",
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
def test_what_is_no_request_is_refused(tmp_path: Path, line: bytes) -> None:
    async def body() -> None:
        async with running(tmp_path / "s") as (_, control):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(line)
            reply = json.loads(await reader.readline())
            assert reply["error"]["code"] == "ValidationException"
            writer.close()
            assert await control.tasks(ListTasks()) == []

    asyncio.run(body())


def test_connections_are_bounded(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path / "s") as (_, control):
            open_ones = [await asyncio.open_unix_connection(tmp_path / "s") for _ in range(CONNECTIONS)]
            with pytest.raises(ApiError, match="too many connections"):
                await control.tasks(ListTasks())
            for _, writer in open_ones:
                writer.close()
                await writer.wait_closed()

    asyncio.run(body())


def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = type("Stranger", (), {"getsockopt": lambda *_: b"\1\0\0\0" + (4711).to_bytes(4, "little") + b"\0" * 4})
    assert not module._same_user(stranger())
    assert os.getuid() != 4711


def test_nobody_at_the_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        asyncio.run(RemoteControl(tmp_path / "s").tasks(ListTasks()))


def test_a_failing_store_is_told_as_such(tmp_path: Path) -> None:
    class Broken(MemoryStore):
        async def executions(self, *_: Any) -> Any:
            raise Unavailable("the disk is full")

    async def body() -> None:
        async with running(tmp_path / "s", Broken()) as (_, control):
            with pytest.raises(Unavailable, match="the disk is full"):
                await control.executions(ListExecutions())

    asyncio.run(body())


# ---- without an engine at work -----------------------------------------------------------------------------------


async def left_behind(store: MemoryStore, machine: StateMachine, kind: str) -> str:
    """An execution that an engine started and left."""
    async with Engine(store, dict.fromkeys(("service", "states"), Accepting())) as engine:
        started = await engine.start(machine, {}, "a")
        await opened(engine, kind)
    return started.arn


def test_an_answer_to_a_store_leaves_the_calls_that_follow_open() -> None:
    two = machine(
        Ask={**ASK, "Parameters": {"MessageBody.$": "$$.Task.Token"}, "Next": "Call"},
        Call={"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "End": True},
    )

    async def body() -> None:
        store = MemoryStore()
        arn = await left_behind(store, two, "callback")
        control = OfflineControl(store)
        (task,) = await control.tasks(ListTasks())
        await control.answer(Succeed(arn=arn, wait=task.wait, output=1))
        assert [row.kind for row in await store.waits(arn)] == ["call"]
        assert (await store.summary(arn)).status == "RUNNING"

    asyncio.run(body())


def test_an_answer_after_its_time_is_refused() -> None:
    async def body() -> None:
        store = MemoryStore()
        arn = await left_behind(store, ASKING, "callback")
        (row,) = await store.waits(arn)
        await store.heartbeat(arn, row.wait, 1.0)
        with pytest.raises((ApiError, StoreError), match=r"TaskTimedOut|TaskDoesNotExist"):
            await OfflineControl(store).answer(Succeed(arn=arn, wait=row.wait, output=1))

    asyncio.run(body())


def test_a_nested_execution_stops_with_its_parent_even_before_the_parent_knows_that_it_started() -> None:
    child_arn = "arn:aws:states:us-east-1:123456789012:stateMachine:child"
    child = StateMachine(arn=child_arn, name="child", definition=WORKING.definition, role_arn="r")
    call = {"StateMachineArn": child_arn, "Input": {}}
    parent = machine(
        Run={
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": call,
            "End": True,
        }
    )
    begun = asyncio.Event()

    class Unanswered(StatesIntegration):
        async def call(self, call: Any) -> Json:
            await super().call(call)
            begun.set()
            return await asyncio.get_running_loop().create_future()

    async def find(arn: str) -> StateMachine | None:
        return child

    async def body() -> None:
        store = MemoryStore()
        table: Any = {"states": Unanswered(lambda: engine, find)}
        async with Engine(store, table) as engine:
            started = await engine.start(parent, {}, "p")
            await begun.wait()
        assert [row.kind for row in await store.waits(started.arn)] == ["call"]
        await OfflineControl(store).stop(Stop(arn=started.arn))
        assert [each.status async for each in store.every()] == ["ABORTED", "ABORTED"]

    asyncio.run(body())

"""The process that test_kill.py kills: an engine on SQLite, driven through its pipes, that keeps a ledger of its calls.

    python kill_workload.py FOLDER

It takes orders as lines of JSON on its standard input and acknowledges them on its standard output, each only when it
is durable. Before and after each call of a task it writes a line to `ledger` in the folder and flushes it to the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from treadle.errors import ApiError, StatesError
from treadle.integrations.states import StatesIntegration
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Call, Redelivery
from treadle.stores import SqliteStore

ACCOUNT = "us-east-1:123456789012"
ACTIVITY = f"arn:aws:states:{ACCOUNT}:activity:work"
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
NESTED = "arn:aws:states:::states:startExecution"
LONGEST_CALL = 0.05
FAILURES = 2
"""How often a flaky task fails before it answers."""

AGAIN = {"ErrorEquals": ["Boom"], "IntervalSeconds": 1, "MaxAttempts": FAILURES, "BackoffRate": 1.0}
TAKEN_BY_THE_DEAD = {"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 99, "BackoffRate": 1.0}


def function(name: str, **fields: Any) -> dict[str, Any]:
    """A Task that calls a function."""
    return {"Type": "Task", "Resource": f"arn:aws:lambda:{ACCOUNT}:function:{name}", **fields}


def child(machine: str, pattern: str) -> dict[str, Any]:
    """A scope that runs another machine and waits for it."""
    parameters = {"StateMachineArn": machine_arn(machine), "Input.$": "$"}
    return scope(**{f"Run {machine}": {"Type": "Task", "Resource": f"{NESTED}.{pattern}", "Parameters": parameters}})


def scope(**states: dict[str, Any]) -> dict[str, Any]:
    """States that follow one another."""
    names = list(states)
    following: list[dict[str, Any]] = [*({"Next": name} for name in names[1:]), {"End": True}]
    ends = ("Fail", "Succeed")
    return {
        "StartAt": names[0],
        "States": {
            name: state if state["Type"] in ends else {**state, **onward}
            for (name, state), onward in zip(states.items(), following, strict=True)
        },
    }


def machine_arn(name: str) -> str:
    """The ARN of a machine."""
    return f"arn:aws:states:{ACCOUNT}:stateMachine:{name}"


DEFINITIONS = {
    "retrying": scope(Flaky=function("flaky", Retry=[AGAIN]), Steady=function("steady")),
    "mapping": scope(
        Each={
            "Type": "Map",
            "ItemsPath": "$.items",
            "MaxConcurrency": 3,
            "ItemProcessor": scope(One=function("steady"), Two=function("flaky", Retry=[AGAIN])),
        },
        After=function("steady"),
    ),
    "spreading": scope(
        Spread={
            "Type": "Map",
            "ItemsPath": "$.items",
            "Label": "each",
            "MaxConcurrency": 4,
            "ItemProcessor": {
                **scope(Plain={"Type": "Pass"}, Call=function("steady"), Shaky=function("flaky", Retry=[AGAIN])),
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            },
        },
        After=function("steady"),
    ),
    "asking": scope(
        Ask={"Type": "Task", "Resource": CALLBACK, "Parameters": {"MessageBody.$": "$$.Task.Token", "QueueUrl": "q"}},
        Answered=function("steady"),
    ),
    "nesting": scope(
        Both={"Type": "Parallel", "Branches": [child("retrying", "sync:2"), child("asking", "sync")]},
        After={"Type": "Pass", "Result": "both"},
    ),
    "working": scope(
        Pause={"Type": "Wait", "Seconds": 1},
        Work={"Type": "Task", "Resource": ACTIVITY, "TimeoutSeconds": 2, "Retry": [TAKEN_BY_THE_DEAD]},
        After=function("steady"),
    ),
    "failing": scope(Hopeless=function("hopeless", Retry=[{**AGAIN, "MaxAttempts": 1}]), Never=function("steady")),
}
MACHINES = {
    machine_arn(name): StateMachine(
        arn=machine_arn(name), name=name, definition=json.dumps(definition), role_arn="arn:aws:iam::1:role/r"
    )
    for name, definition in DEFINITIONS.items()
}


class Ledger:
    """Lines that are on the disk when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, **line: Any) -> None:
        os.write(self._file, json.dumps({**line, "at": time.time(), "process": os.getpid()}).encode() + b"\n")
        os.fsync(self._file)


class Functions:
    """Calls what a task names; a callback's request is one line in the ledger for whoever answers it."""

    redelivery: Redelivery = "again"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def call(self, call: Call) -> Any:
        line = {
            "execution": call.execution_arn,
            "wait": call.wait,
            "attempt": call.attempt,
            "key": call.idempotency,
            "again": call.again,
            "token": call.token,
        }
        self._ledger.write(what="begin", **line)
        await asyncio.sleep(random.uniform(0, LONGEST_CALL))
        self._ledger.write(what="end", **line)
        name = call.resource.rpartition(":")[2]
        if name == "hopeless" or (name == "flaky" and call.attempt < FAILURES):
            raise StatesError("Boom", f"attempt {call.attempt}")
        return call.arguments

    async def poll(self, call: Call) -> Any:
        raise AssertionError("these have no jobs")

    async def cancel(self, call: Call) -> None:
        raise AssertionError("these have no jobs")


class Worker:
    """Does what its parent says, and works on the activity."""

    def __init__(self, engine: Engine, ledger: Ledger) -> None:
        self._engine, self._ledger = engine, ledger

    async def run(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        self.tell(ready=True)
        async with asyncio.TaskGroup() as group:
            working = group.create_task(self._work())
            while line := await reader.readline():
                group.create_task(self._obey(json.loads(line)))
            working.cancel()

    def tell(self, **words: Any) -> None:
        print(json.dumps(words), flush=True)

    async def _obey(self, order: dict[str, Any]) -> None:
        match order:
            case {"start": machine, "name": name, "input": input}:
                try:
                    await self._engine.start(MACHINES[machine_arn(machine)], input, name)
                except ApiError as error:
                    # It had ended before this acknowledgement of it could be given.
                    assert error.code == "ExecutionAlreadyExists", error
                self.tell(started=name)
            case {"answer": token, "output": output}:
                try:
                    await self._engine.succeed_task(token, output)
                except ApiError as error:
                    assert error.code == "TaskTimedOut", error
                self.tell(answered=token)
            case {"ended": arns}:
                for arn in arns:
                    await self._engine.wait_closed(arn)
                self.tell(ended=True)
            case _:
                raise AssertionError(f"no such order: {order}")

    async def _work(self) -> None:
        while True:
            taken = await self._engine.take_activity(ACTIVITY, f"process {os.getpid()}", 5)
            if taken is not None:
                self._ledger.write(what="worked", token=taken.token)
                await self._engine.succeed_task(taken.token, taken.input)


async def _machine(arn: str) -> StateMachine | None:
    return MACHINES.get(arn)


async def main(folder: Path) -> None:
    ledger = Ledger(folder / "ledger")
    functions = Functions(ledger)
    nested = StatesIntegration(lambda: engine, _machine)
    integrations = {"lambda": functions, "sqs": functions, "states": nested}
    # Named before it is opened: opening takes up the calls of its predecessor, nested executions among them.
    engine = Engine(SqliteStore(folder / "treadle.db"), integrations)
    async with engine:
        await Worker(engine, ledger).run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

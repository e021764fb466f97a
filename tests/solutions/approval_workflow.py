"""The approval solution in one process and in virtual time: the real definition, engine, API and functions.

Tables, bucket, secrets and topic are in the local cloud; the functions are called as Lambda and behind HTTP routes that
can be told to misbehave. No time passes but what a test lets pass, so a day takes as long as what happens in it.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import uvicorn
import yaml
from approval_functions import Deployed, answered
from approval_template import SAM
from small_service import Answering

from treadle.api.app import StatesApp
from treadle.api.host import Host
from treadle.integrations.aws.sessions import AwsSessions, Keys
from treadle.library.callables import Callables
from treadle.runtime.clock import VirtualClock
from treadle.solutions.approval import FOLDER
from treadle.stores import open_store

DEADLINE = 60.0
RELEASE = json.loads((FOLDER / "inputs" / "workflow-input.json").read_text())
ORDER: dict[str, Any] = yaml.safe_load((FOLDER / "statemachine.asl.yaml").read_text())
CONTEXT = SimpleNamespace(get_remaining_time_in_millis=lambda: 50_000)


def soon(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
    return found


class Routes:
    """The HTTP API: each path is a function.

    `faults` has what a path answers before it works again, 0 for nothing. The next answer of a path in `lost` is lost.
    """

    def __init__(self) -> None:
        self.faults: dict[str, list[int]] = {}
        self.lost: dict[str, int] = {}
        self.functions: dict[str, Any] = {}
        routes = self

        class Handler(Answering):
            def do_POST(self) -> None:
                body = self.body()
                faults = routes.faults.get(self.path)
                if faults and faults[0] == 0:
                    self.close_connection = faults.pop(0) == 0
                    return
                if faults:
                    status, content = faults.pop(0), b'{"message": "out of order"}'
                else:
                    event = {"headers": dict(self.headers.items()), "body": body.decode(), "isBase64Encoded": False}
                    answer = routes.functions[self.path.strip("/")](event, CONTEXT)
                    status, content = answer["statusCode"], answer["body"].encode()
                    if routes.lost.pop(self.path, 0):
                        self.close_connection = True
                        return
                self.give(status, content)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


class Engine:
    """Step Functions in a thread, where time stands still. `store` is what it keeps executions in."""

    def __init__(self, deployed: Deployed, store: Path, functions: dict[str, Any]) -> None:
        self._deployed, self._store, self._functions = deployed, store, functions
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Engine:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def let_pass(self, seconds: float) -> None:
        """Let this time pass, and everything happen that falls into it."""
        asyncio.run_coroutine_threadsafe(self._let_pass(seconds), self._loop).result(DEADLINE)

    async def _let_pass(self, seconds: float) -> None:
        moment = self.clock.now() + seconds
        with self.clock.idle():
            await self.clock.sleep_until(moment)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        # The functions take the time of this machine.
        self.clock = VirtualClock(time.time())
        aws = AwsSessions(endpoint_url=self._deployed.cloud.endpoint, keys=Keys("testing", "testing"))
        called = Callables(self._functions, on_the_loop=False)
        with self.clock.busy():
            async with Host(open_store(str(self._store)), functions=called, aws=aws, clock=self.clock) as host:
                config = uvicorn.Config(StatesApp(host), log_config=None, lifespan="off", loop="none")
                self._server = uvicorn.Server(config)
                serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
                while not self._server.started:
                    await asyncio.sleep(0.01)
                self._ready.set()
                await serving
                with self.clock.idle():
                    await asyncio.sleep(0)


class Workflow:
    """The deployed solution, as a person with the command line has it."""

    def __init__(self, deployed: Deployed, engine: Engine, routes: Routes, bucket: str) -> None:
        self.deployed, self.engine, self.routes, self.bucket = deployed, engine, routes, bucket
        self.s3 = deployed.cloud.client("s3")
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        self.states: Any = boto3.client("stepfunctions", endpoint_url=engine.url, **keys)  # type: ignore[call-overload]
        text = (FOLDER / "statemachine.asl.yaml").read_text()
        given = {"Bucket": bucket, "Table": deployed.approvals, "CallFunction": "call"}
        assert set(given) == set(SAM["Workflow"]["Properties"]["DefinitionSubstitutions"])
        definition = json.dumps(yaml.safe_load(re.sub(r"\$\{(\w+)\}", lambda each: given[each[1]], text)))
        role = "arn:aws:iam::123456789012:role/workflow"
        made = self.states.create_state_machine(name="approval", definition=definition, roleArn=role)
        self.machine = made["stateMachineArn"]

    def start(self, story: str, **more: Any) -> Release:
        """Put a release into the bucket and start it."""
        content = json.dumps(RELEASE | {"story": story} | more)
        name = self.deployed.cloud.unique("e")
        self.s3.put_object(Bucket=self.bucket, Key=f"inputs/{name}.json", Body=content.encode())
        return self.start_with(name, {"input_key": f"inputs/{name}.json"}, story)

    def start_with(self, name: str, given: dict[str, Any], story: str = "") -> Release:
        started = self.states.start_execution(stateMachineArn=self.machine, name=name, input=json.dumps(given))
        return Release(self, name, story, started["executionArn"])

    def callback(self, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
        """What the callback endpoint answers; with the token unless headers are given."""
        token = {"authorization": f"Bearer {self.deployed.tokens['callback']}"}
        event = {"headers": headers or token, "body": json.dumps(body), "isBase64Encoded": False}
        return answered(self.routes.functions["callback"](event, CONTEXT))

    def sweep(self) -> dict[str, int]:
        return self.routes.functions["sweep"]({}, CONTEXT)

    @contextmanager
    def without_bucket(self) -> Iterator[None]:
        """The bucket is gone meanwhile, and empty afterwards."""
        for each in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", []):
            self.s3.delete_object(Bucket=self.bucket, Key=each["Key"])
        self.s3.delete_bucket(Bucket=self.bucket)
        yield
        self.s3.create_bucket(Bucket=self.bucket)

    def object(self, key: str) -> str | None:
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode()
        except self.s3.exceptions.NoSuchKey:
            return None


class Release:
    """One execution."""

    def __init__(self, workflow: Workflow, name: str, story: str, arn: str) -> None:
        self.workflow, self.name, self.story, self.arn = workflow, name, story, arn

    def row(self) -> dict[str, Any]:
        return self.workflow.deployed.row(self.story, self.name)

    def waits(self) -> Release:
        """See that it waits for a decision."""

        def submitted() -> bool:
            events = self.events()
            assert events[-1]["type"] not in ("ExecutionFailed", "ExecutionSucceeded"), events[-1]
            told = [each.get("taskSubmittedEventDetails", {}) for each in events[-8:]]
            return any(each.get("resourceType") == "aws-sdk:dynamodb" for each in told)

        soon(submitted)
        return self

    def ended(self) -> dict[str, Any]:
        """How it ended."""
        return soon(lambda: None if (told := self.described())["status"] == "RUNNING" else told)

    def described(self) -> dict[str, Any]:
        return self.workflow.states.describe_execution(executionArn=self.arn)

    def events(self) -> list[dict[str, Any]]:
        pages = self.workflow.states.get_paginator("get_execution_history").paginate(executionArn=self.arn)
        return [each for page in pages for each in page["events"]]

    def history(self) -> list[str]:
        """Its events by the state that they belong to, in the order of the definition: `State: Event Event`.

        What branches do at the same time has no order of its own.
        """
        belongs: dict[int, str] = {0: "Execution"}
        found: dict[str, list[str]] = {}
        for event in self.events():
            entered = event.get("stateEnteredEventDetails", {}).get("name")
            exited = event.get("stateExitedEventDetails", {}).get("name")
            of_execution = event["type"].startswith("Execution")
            owner = "Execution" if of_execution else entered or exited or belongs[event["previousEventId"]]
            if event["type"].startswith("ParallelState") and not entered and not exited:
                owner = self._parallel(owner)
            belongs[event["id"]] = owner
            found.setdefault(owner, []).append(event["type"])
        return [f"{name}: {' '.join(found[name])}" for name in [*NAMES, "Execution"] if name in found]

    @staticmethod
    def _parallel(state: str) -> str:
        return next((name for name, each in ORDER["States"].items() if state in _inner(each)), state)

    def log(self) -> list[str] | None:
        """The lines of its log, without their times."""
        return lines(self.workflow.object(f"logs/{self.name}/execution.log"))

    def errors(self) -> list[str] | None:
        """The lines of its log of errors, without their times."""
        return lines(self.workflow.object(f"logs/{self.name}/error.log"))

    def result(self) -> dict[str, Any] | None:
        content = self.workflow.object(f"outputs/{self.name}/result.json")
        return None if content is None else json.loads(content)


def lines(content: str | None) -> list[str] | None:
    if content is None:
        return None
    assert content.endswith("\n")
    split = [re.fullmatch(r"(\d{4}-\d\d-\d\dT[\d:.]+Z) (.+)", each) for each in content.splitlines()]
    return [each[2] if each else "a line without a time" for each in split]


def _inner(state: dict[str, Any]) -> list[str]:
    return [name for branch in state.get("Branches", []) for name in branch["States"]]


NAMES = [each for name, state in ORDER["States"].items() for each in (name, *_inner(state))]

"""A template that is up, in this process: for tests that look at what became of it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from treadle.api.host import Host
from treadle.api.server import Server
from treadle.integrations.aws import AwsSessions
from treadle.integrations.aws.sessions import Keys
from treadle.local.platform import Platform
from treadle.local.stack.deploy import Deployed
from treadle.local.template.reading import find_template
from treadle.local.template.resolve import Surrounding
from treadle.runtime.ports import Store
from treadle.stores import MemoryStore

DEADLINE = 60.0


class Up:
    """A template that is up."""

    def __init__(self, platform: Platform, deployed: Deployed) -> None:
        self.platform, self.deployed, self.outputs = platform, deployed, deployed.outputs

    async def call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        client = await asyncio.to_thread(self.platform.client, service)
        return await asyncio.to_thread(getattr(client, operation), **arguments)

    async def execute(self, given: Any, machine: str = "Machine") -> dict[str, Any]:
        started = await self.call(
            "stepfunctions", "start_execution", stateMachineArn=self.outputs[machine], input=json.dumps(given)
        )

        async def ended() -> Any:
            told = await self.call("stepfunctions", "describe_execution", executionArn=started["executionArn"])
            return told if told["status"] != "RUNNING" else None

        return await soon(ended)

    async def receive(self, url: str) -> str:
        async def message() -> Any:
            received = await self.call("sqs", "receive_message", QueueUrl=url, WaitTimeSeconds=1)
            return received.get("Messages")

        return (await soon(message))[0]["Body"]

    def physical(self, name: str) -> str:
        return next(step.made.id for step in self.deployed.steps if step.made.name == name)


async def soon(look: Callable[[], Awaitable[Any]]) -> Any:
    """What `look` gives once it gives something."""
    until = time.monotonic() + DEADLINE
    while not (found := await look()):
        assert time.monotonic() < until, "it did not happen"
        await asyncio.sleep(0.05)
    return found


@asynccontextmanager
async def up(template: Path, folder: Path, *, store: Store | None = None) -> AsyncGenerator[Up]:
    """A template that is up until the block ends; everything in it is memory's unless `store` says otherwise."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    store = store or MemoryStore()
    platform = Platform(store, folder, endpoint, Surrounding(template.name))
    aws = AwsSessions(endpoint_url=endpoint, keys=Keys("local", "local"), region="us-east-1")
    host = Host(store, registry=platform.functions, aws_endpoint_url=endpoint, aws=aws)
    async with host, platform.on(host, {}) as app:
        ready = asyncio.Event()
        server = Server(app, ready=ready.set, stopping=host.closing.set)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await ready.wait()
        try:
            _, deployed = await platform.deploy(find_template(template), {})
            yield Up(platform, deployed)
        finally:
            server.should_exit = True
            await serving

"""HTTP tasks through the durable engine, at a server on this machine in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from durable import machine, once
from figures import Figure

from treadle.integrations.connections import Connections, read_parameters
from treadle.integrations.http import HttpIntegration
from treadle.integrations.sealing import Sealer
from treadle.runtime.engine import Engine
from treadle.stores import open_store

TASKS = 1000
SERVER = """
import asyncio
from aiohttp import web

async def answer(request):
    return web.json_response({"ok": True})

async def main():
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def definition(address: str, connection: str) -> dict[str, Any]:
    """One HTTP task."""
    given = {"ApiEndpoint": address, "Method": "GET", "InvocationConfig": {"ConnectionArn": connection}}
    task = {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": given, "End": True}
    return {"StartAt": "Call", "States": {"Call": task}}


async def per_second(address: str) -> float:
    """Executions of one HTTP task per second, all started at once."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"{folder}/treadle.db")
        connections = Connections(store, Sealer(None, {}))
        http = HttpIntegration(connections)
        try:
            async with Engine(store, {"http": http}) as running:
                basic = json.dumps({"BasicAuthParameters": {"Username": "bench", "Password": "bench"}})
                arn = await connections.put("bench", read_parameters(basic))
                each = machine("http", definition(address, arn))
                await once(running, each, {})
                begin = time.perf_counter()
                await asyncio.gather(*(once(running, each, {}) for _ in range(TASKS)))
                return TASKS / (time.perf_counter() - begin)
        finally:
            await http.close()


def figures() -> Iterator[Figure]:
    """The rows of this part."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as server:
        assert server.stdout is not None
        try:
            address = f"http://127.0.0.1:{server.stdout.readline().strip()}/"
            yield Figure("1,000 HTTP tasks at once, durable", asyncio.run(per_second(address)), "tasks/s")
        finally:
            server.terminate()

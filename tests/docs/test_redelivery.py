"""The page of redelivery says what the integrations do: each call of its tables is made as one that is made again."""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import mcp_rogue
from http_server import contexts
from treadle.errors import StatesError
from treadle.functions import InProcessFunctions
from treadle.integrations.assembly import Parts, assembled
from treadle.integrations.aws import AwsSessions, Keys
from treadle.integrations.connections import Connections, read_parameters
from treadle.integrations.mcp_servers import McpServer
from treadle.integrations.sealing import Sealer
from treadle.language.resources import MCP_ACTIONS, OPTIMISED
from treadle.runtime.calls import integration_for
from treadle.runtime.engine import Engine
from treadle.runtime.ports import Integration
from treadle.stores import MemoryStore
from treadle.testing.integration_contract import call_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "redelivery.md"
ROW = re.compile(r"^\| (?P<calls>.+) \| (?P<again>yes|no) \| .+ \|$", re.MULTILINE)
NAMED = re.compile(r"`(arn:[^`]+|[a-z0-9-]+(?::[a-zA-Z0-9-]+)+)`")
METHOD = re.compile(r"\b[A-Z]{3,}\b")

NOWHERE = "http://127.0.0.1:9"
TOOLS = {"a tool with": "add", "any other": "wait"}


def rows() -> Iterator[tuple[str, str, bool]]:
    """A resource, a method or tool where it depends on that, and whether the page says that it is called again."""
    for row in ROW.finditer(PAGE.read_text()):
        said, again = row["calls"], row["again"] == "yes"
        details = METHOD.findall(said) or [tool for words, tool in TOOLS.items() if words in said] or [""]
        for resource in NAMED.findall(said):
            for detail in details:
                yield resource, detail, again


@cache
def authority(place: Path) -> str:
    contexts(place)
    return base64.b64encode((place / "ca.pem").read_bytes()).decode()


def arguments(resource: str, detail: str, place: Path, connection: str) -> Any:
    """What is enough to be called with."""
    match resource:
        case "http:invoke":
            return {"ApiEndpoint": NOWHERE, "Method": detail, "InvocationConfig": {"ConnectionArn": connection}}
        case "apigateway:invoke":
            return {"ApiEndpoint": "127.0.0.1:9", "Method": detail}
        case "eks:call" | "eks:runJob":
            cluster = {"ClusterName": "blue", "Endpoint": NOWHERE, "CertificateAuthority": authority(place)}
            return {**cluster, "Method": detail, "Path": "/api", "Job": {}}
        case "mcp:callTool":
            return {"Server": "tools", "Tool": detail, "Arguments": {}}
        case "mcp:listTools":
            return {"Server": "tools"}
        case "lambda:invoke":
            return {"FunctionName": "f"}
        case "states:startExecution":
            return {"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:none"}
        case _:
            return {}


@asynccontextmanager
async def everything(place: Path) -> AsyncGenerator[tuple[dict[str, Integration], str]]:
    """All integrations, as a host has them, and a connection. Nothing that they call is there, but an MCP server."""
    store = MemoryStore()
    await store.open()
    connections = Connections(store, Sealer(None, {}))
    basic = read_parameters('{"BasicAuthParameters": {"Username": "ann", "Password": "secret"}}')
    connection = await connections.put("partner", basic)
    env = {name: str(place / name.lower()) for name in ("TOLD", "WAITS")}
    server = McpServer(command=sys.executable, args=(mcp_rogue.__file__, "honest"), env=env)
    engine = Engine(MemoryStore(), {})
    parts = Parts(
        engine=lambda: engine,
        machines=_no_machine,
        functions=InProcessFunctions({"f": lambda event, context: event}),
        connections=connections,
        mcp_servers={"tools": server},
        aws=AwsSessions(endpoint_url=NOWHERE, keys=Keys("testing", "testing")),
    )
    async with assembled(parts) as table:
        yield table, connection


async def _no_machine(arn: str) -> None:
    return None


async def is_made(integration: Integration, call: Any) -> bool:
    """Whether a call is made that may have been made before."""
    if integration.redelivery == "fail":
        return False
    try:
        await integration.call(replace(call, again=True))
    except StatesError as error:
        return not (error.name == "States.TaskFailed" and (error.cause or "").startswith("The process that "))
    return True


def test_the_page_says_of_each_call_whether_it_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)

    async def work() -> list[str]:
        wrong: list[str] = []
        async with everything(tmp_path) as (table, connection):
            for resource, detail, again in rows():
                arn = resource if resource.startswith("arn:") else f"arn:aws:states:::{resource}"
                call = call_of(arn, arguments(resource, detail, tmp_path, connection))
                if await is_made(integration_for(table, arn), call) is not again:
                    wrong.append(f"{resource} {detail}".strip())
        return wrong

    assert asyncio.run(work()) == []


def test_the_page_has_every_call_that_there_is(tmp_path: Path) -> None:
    said = {resource for resource, _, _ in rows()}
    optimised = {f"{service}:{action}" for service, actions in OPTIMISED.items() for action in actions}
    assert optimised | {f"mcp:{action}" for action in MCP_ACTIONS} | {"http:invoke"} <= said

    async def kinds() -> set[str]:
        async with everything(tmp_path) as (table, _):
            return set(table)

    mentioned = {prefix for resource in said for prefix in (resource, resource.partition(":")[0])} | {"lambda"}
    assert asyncio.run(kinds()) <= mentioned

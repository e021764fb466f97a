"""Tools of real MCP servers, over standard streams and over HTTP: results, errors, deaths and returns of servers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import mcp_rogue
import mcp_tools
from http_server import api_at_work, contexts
from treadle.errors import StatesError
from treadle.integrations.mcp import McpIntegration
from treadle.integrations.mcp_servers import InvalidServers, McpServer, read_servers
from treadle.integrations.mcp_sessions import Sessions
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.stores import MemoryStore
from treadle.testing.integration_contract import call_of

TOOLS = mcp_tools.__file__
CALL, LIST = "arn:aws:states:::mcp:callTool", "arn:aws:states:::mcp:listTools"


def by_streams(place: Path, **settings: Any) -> McpServer:
    env = {name: str(place / name.lower()) for name in ("TOLD", "STARTS", "WAITS")} | settings.pop("env", {})
    return McpServer(command=sys.executable, args=(TOOLS,), env=env, cwd=str(place), **settings)


@contextmanager
def serving(*more: str) -> Iterator[int]:
    """The tools as a server on a port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, TOOLS, str(port), *more], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def by_http() -> Iterator[McpServer]:
    with serving() as port:
        yield McpServer(url=f"http://127.0.0.1:{port}/mcp")


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[McpServer, Path]]:
    """A server with a certificate, and the authority that it is of."""
    place = tmp_path_factory.mktemp("tls")
    contexts(place)
    with serving(str(place / "server.pem"), str(place / "server.key")) as port:
        yield McpServer(url=f"https://127.0.0.1:{port}/mcp"), place / "ca.pem"


def run(server: McpServer | dict[str, McpServer], work: Callable[[McpIntegration], Awaitable[None]]) -> None:
    async def bounded() -> None:
        servers = server if isinstance(server, dict) else {"tools": server}
        integration = McpIntegration(Sessions(servers))
        try:
            async with asyncio.timeout(120):
                await work(integration)
        finally:
            await integration.close()

    asyncio.run(bounded())


def tool(name: str, **arguments: Any) -> Any:
    return call_of(CALL, {"Server": "tools", "Tool": name, "Arguments": arguments})


async def failure(integration: McpIntegration, call: Any) -> StatesError:
    with pytest.raises(StatesError) as failed:
        await integration.call(call)
    assert failed.value.cause
    return failed.value


@pytest.mark.parametrize("kind", ["streams", "http"])
def test_tools_answer_fail_and_are_listed(kind: str, tmp_path: Path, by_http: McpServer) -> None:
    async def work(integration: McpIntegration) -> None:
        assert await integration.call(tool("add", a=1, b=2)) == {"Result": {"sum": 3}}
        assert await integration.call(tool("say", text="hello")) == {"Result": "hello"}
        for name, error, cause in (
            ("fail", "MCP.ToolError", "fail"),
            ("no-such-tool", "MCP.ToolError", "no-such-tool"),
        ):
            failed = await failure(integration, tool(name))
            assert failed.name == error and cause in (failed.cause or "")
        assert (await failure(integration, tool("add", a="x", b=2))).name == "MCP.ToolError"
        listed = await integration.call(call_of(LIST, {"Server": "tools"}))
        assert {each["Name"] for each in listed["Tools"]} >= {"add", "say"}
        answers = await asyncio.gather(*(integration.call(tool("add", a=n, b=n)) for n in range(50)))
        assert [each["Result"]["sum"] for each in answers] == [2 * n for n in range(50)]

    run(by_http if kind == "http" else by_streams(tmp_path), work)


def test_a_server_over_tls_is_spoken_to_where_its_authority_is_trusted(
    over_tls: tuple[McpServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, authority = over_tls

    async def distrusting(integration: McpIntegration) -> None:
        failed = await failure(integration, tool("add", a=1, b=2))
        assert failed.name == "MCP.ServerUnavailable" and "certificate" in (failed.cause or "").lower(), failed

    run(server, distrusting)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))

    async def trusting(integration: McpIntegration) -> None:
        assert await integration.call(tool("add", a=1, b=2)) == {"Result": {"sum": 3}}

    run(server, trusting)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/status/500", "HTTP 500 Internal Server Error"),
        ("/status/401", "HTTP 401 Unauthorized"),
        ("/typed?type=text/html", "text/html"),
        ("/reset", ""),
    ],
)
def test_an_address_that_has_no_mcp_server_is_an_error_that_says_why(path: str, told: str) -> None:
    async def work() -> None:
        async with api_at_work() as api:
            integration = McpIntegration(Sessions({"tools": McpServer(url=api.url + path, time_limit=5)}))
            failed = await failure(integration, tool("add"))
            await integration.close()
        assert failed.name == "MCP.ServerUnavailable" and told in (failed.cause or ""), failed

    asyncio.run(work())


def test_one_session_serves_all_calls_and_a_server_that_died_is_started_again(tmp_path: Path) -> None:
    async def work(integration: McpIntegration) -> None:
        for _ in range(3):
            await integration.call(tool("add", a=1, b=2))
        assert len((tmp_path / "starts").read_text().split()) == 1
        assert (await failure(integration, tool("die"))).name == "MCP.ServerUnavailable"
        assert await integration.call(tool("add", a=1, b=2)) == {"Result": {"sum": 3}}
        assert len((tmp_path / "starts").read_text().split()) == 2

    run(by_streams(tmp_path), work)


def test_a_server_that_died_while_nobody_called_it_is_noticed_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treadle.integrations.mcp_sessions._TRUSTED", 0.0)

    async def work(integration: McpIntegration) -> None:
        await integration.call(tool("add", a=1, b=2))
        os.kill(int((tmp_path / "starts").read_text()), 9)
        assert await integration.call(tool("add", a=1, b=2)) == {"Result": {"sum": 3}}

    run(by_streams(tmp_path), work)


def test_a_session_that_nobody_uses_is_closed(tmp_path: Path) -> None:
    async def work(integration: McpIntegration) -> None:
        await integration.call(tool("add", a=1, b=2))
        first = int((tmp_path / "starts").read_text())
        while _is_alive(first):
            await asyncio.sleep(0.02)
        await integration.call(tool("add", a=1, b=2))

    run(by_streams(tmp_path, idle=0.2), work)


def _is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_a_call_that_takes_too_long_ends_and_the_session_lives_on(tmp_path: Path) -> None:
    async def work(integration: McpIntegration) -> None:
        await integration.call(tool("add", a=1, b=2))
        # A server takes its time to start, so that only now there may be little.
        servers["tools"] = msgspec.structs.replace(server, time_limit=1.0)
        assert (await failure(integration, tool("wait"))).name == "MCP.Timeout"
        servers["tools"] = server
        await integration.call(tool("add", a=1, b=2))
        assert len((tmp_path / "starts").read_text().split()) == 1
        while "over" not in (tmp_path / "waits").read_text():
            await asyncio.sleep(0.02)

    server = by_streams(tmp_path)
    servers = {"tools": server}
    run(servers, work)


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (McpServer(command="/no/such/program"), "no/such/program"),
        (McpServer(command=sys.executable, args=(TOOLS,), env={"BROKEN": "1"}), "no licence for this server"),
        (McpServer(url="http://127.0.0.1:9/mcp"), "tools"),
    ],
    ids=["missing", "broken", "refused"],
)
def test_a_server_that_cannot_be_reached_is_an_error_that_says_why(server: McpServer, told: str) -> None:
    async def work(integration: McpIntegration) -> None:
        failed = await failure(integration, tool("add", a=1, b=2))
        assert failed.name == "MCP.ServerUnavailable" and told in (failed.cause or "")

    run(server, work)


ROGUES = [
    ("deaf", "MCP.Timeout", "did not answer within 2 s"),
    ("mumbling", "MCP.Timeout", "did not answer within 2 s"),
    ("silent", "MCP.Timeout", "did not answer within 2 s"),
    ("rubbish", "MCP.Timeout", "did not answer within 2 s"),
    ("bytes", "MCP.Timeout", "did not answer within 2 s"),
    ("dying", "MCP.ServerUnavailable", "ended before it answered.\nout of memory"),
    ("shape", "MCP.RequestFailed", "breaks the protocol: "),
    ("refusing", "MCP.RequestFailed", "no such tool (-32602)"),
]


@pytest.mark.parametrize(("mode", "error", "told"), ROGUES, ids=[mode for mode, *_ in ROGUES])
def test_a_server_that_breaks_the_protocol_is_an_error_that_says_how(mode: str, error: str, told: str) -> None:
    async def work(integration: McpIntegration) -> None:
        failed = await failure(integration, tool("add"))
        assert failed.name == error and told in (failed.cause or ""), failed

    run(McpServer(command=sys.executable, args=(mcp_rogue.__file__, mode), time_limit=2), work)


def test_what_a_server_says_beside_the_protocol_does_no_harm() -> None:
    async def work(integration: McpIntegration) -> None:
        assert await integration.call(tool("add")) == {"Result": "all the same"}

    run(McpServer(command=sys.executable, args=(mcp_rogue.__file__, "talkative")), work)


def test_only_a_tool_that_says_that_it_may_is_called_again_after_the_process_died(tmp_path: Path) -> None:
    async def work(integration: McpIntegration) -> None:
        call = tool("add", a=1, b=2)
        await integration.call(call)
        assert await integration.call(replace(call, again=True)) == {"Result": {"sum": 3}}
        assert (tmp_path / "told").read_text().split() == [call.idempotency] * 2
        assert (await failure(integration, replace(tool("say", text="x"), again=True))).name == "States.TaskFailed"

    run(by_streams(tmp_path), work)


def test_catch_and_retry_act_on_the_errors_of_tools(tmp_path: Path) -> None:
    def task(name: str, **more: Any) -> dict[str, Any]:
        return {"Type": "Task", "Resource": CALL, "Parameters": tool(name).arguments, **more}

    states = {
        "A": task("die", Catch=[{"ErrorEquals": ["MCP.ServerUnavailable"], "Next": "B"}], End=True),
        "B": task(
            "fail",
            Retry=[{"ErrorEquals": ["MCP.ToolError"], "MaxAttempts": 2}],
            Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "C"}],
            End=True,
        ),
        "C": task("huge", Catch=[{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "D"}], End=True),
        "D": {"Type": "Pass", "End": True},
    }
    machine = StateMachine(
        arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
        name="m",
        definition=json.dumps({"StartAt": "A", "States": states}),
        role_arn="arn:aws:iam::123456789012:role/r",
    )

    async def work(integration: McpIntegration) -> None:
        async with Engine(MemoryStore(), {"mcp": integration}, clock=VirtualClock(1.7e9)) as engine:
            started = await engine.start(machine, {}, "one")
            assert (await engine.wait_closed(started.arn)).status == "SUCCEEDED"
            journal = await engine.journal(started.arn)
            assert sum(entry.type == "TaskFailed" for entry in journal) == 5

    run(by_streams(tmp_path), work)


# ---- the file of servers -----------------------------------------------------------------------------------------


def test_a_file_names_servers_and_takes_secrets_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "servers.yaml"
    path.write_text(
        "mcpServers:\n"
        "  one: {command: python, args: [a.py], env: {TOKEN: '${TOKEN}'}, cwd: tools}\n"
        "  two: {url: https://example.com/mcp, headers: {Authorization: 'Bearer ${TOKEN}'}, timeLimit: 5}\n"
    )
    servers = read_servers(path, {"TOKEN": "t"})
    assert servers["one"].env == {"TOKEN": "t"} and servers["one"].cwd == str(tmp_path / "tools")
    assert servers["two"].headers == {"Authorization": "Bearer t"} and servers["two"].time_limit == 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "no YAML"),
        ("{}", "mcpServers"),
        ("mcpServers: {a: {}}", "mcpServers.a"),
        ("mcpServers: {a: {command: x, url: 'https://e.com'}}", "either a command or a url"),
        ("mcpServers: {a: {url: 'http://example.com'}}", "https://"),
        ("mcpServers: {a: {command: x, timeLimit: 0}}", "more than 0"),
        ("mcpServers: {a: {comand: x}}", "comand"),
        ("mcpServers: {a: {command: '${NOT_THERE}'}}", "NOT_THERE"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_place(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "servers.yaml"
    path.write_text(text)
    with pytest.raises(InvalidServers) as refused:
        read_servers(path, {})
    assert told in str(refused.value) and str(path) in str(refused.value)

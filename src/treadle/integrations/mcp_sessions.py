"""Sessions with MCP servers: one per server, shared by all calls, opened when first needed.

Owns when a session is opened, found dead and opened anew, and closed. A session lives in a task of its own, since the
client must be closed in the task that opened it. Neighbours: mcp_servers.py (where servers are), mcp.py (what is asked
of them).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, cast

from treadle.errors import StatesError
from treadle.integrations.mcp_servers import McpServer
from treadle.language.scope import Json

if TYPE_CHECKING:
    from mcp import Client

UNAVAILABLE: Final = "MCP.ServerUnavailable"

_TRUSTED: Final = 1.0
"""Seconds after its last answer for which a session is not asked whether it still lives."""

_TOLD: Final = 2000
"""Characters of what a server last wrote to its standard error that are kept, to say why it ended."""

_ENDED: Final = "The session with the MCP server {} ended before it answered."

log = logging.getLogger("treadle.mcp")


class Sessions:
    """The sessions with these servers. Close it after the engine."""

    def __init__(self, servers: Mapping[str, McpServer]) -> None:
        self.servers = servers
        self._open: dict[str, _Session] = {}

    async def ask(self, name: str, work: Callable[[Client], Awaitable[Json]]) -> Json:
        """Let the work ask a server, which must be one of `servers`. Raises what the work raises, and StatesError
        MCP.ServerUnavailable where there is no session or it ends meanwhile."""
        session = await self._session(name)
        with session.used():
            asking = asyncio.ensure_future(work(await session.client()))
            try:
                # The client leaves an answer to be waited for when its own transport has failed.
                await asyncio.wait((asking, session.task), return_when=asyncio.FIRST_COMPLETED)
                if asking.done():
                    return asking.result()
                raise session.over()
            finally:
                await _ended(asking)

    def over(self, name: str) -> StatesError:
        """The failure of a call during which the session ended; the next call opens another one."""
        session = self._open.get(name)
        self.drop(name)
        return StatesError(UNAVAILABLE, _ENDED.format(name)) if session is None else session.over()

    def drop(self, name: str) -> None:
        """The session failed: the next call opens another one."""
        session = self._open.pop(name, None)
        if session is not None:
            session.stop()

    async def close(self) -> None:
        """End every session, and the servers that were started."""
        sessions = list(self._open.values())
        self._open.clear()
        for session in sessions:
            session.stop()
        await asyncio.gather(*(session.task for session in sessions), return_exceptions=True)

    async def _session(self, name: str) -> _Session:
        session = self._open.get(name)
        if session is not None and not await session.lives():
            if self._open.get(name) is session:
                self.drop(name)
            session = self._open.get(name)
        if session is None or session.task.done():
            session = self._open[name] = _Session(name, self.servers[name])
        return session


async def _ended(asking: asyncio.Future[Json]) -> None:
    """Whatever was asked is not waited for any more, and has let go of everything."""
    asking.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await asking


class _Used:
    def __init__(self, session: _Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._session.users += 1

    def __exit__(self, *_: object) -> None:
        self._session.users -= 1
        self._session.touched = asyncio.get_running_loop().time()


class _Session:
    """One session and the task that keeps it."""

    def __init__(self, name: str, server: McpServer) -> None:
        loop = asyncio.get_running_loop()
        self.name, self.server = name, server
        self.users = 0
        self.touched = loop.time()
        self._told = _Told()
        self._stopping = asyncio.Event()
        self._client: asyncio.Future[Client] = loop.create_future()
        self.task = loop.create_task(self._keep(), name=f"MCP session with {name}")

    async def client(self) -> Client:
        """The client, once it is connected. Raises StatesError MCP.ServerUnavailable."""
        return await asyncio.shield(self._client)

    def over(self) -> StatesError:
        """The failure of a call during which the session ended."""
        told = self._told.text()
        return StatesError(UNAVAILABLE, _ENDED.format(self.name) + (f"\n{told}" if told else ""))

    def used(self) -> _Used:
        """A call is going on."""
        return _Used(self)

    def stop(self) -> None:
        """End the session, as soon as nobody uses it."""
        self._stopping.set()

    async def lives(self) -> bool:
        """Whether the server still answers."""
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        if self.task.done() or self._stopping.is_set():
            return False
        if not self._client.done() or self.users or asyncio.get_running_loop().time() - self.touched < _TRUSTED:
            return True
        try:
            with self.used():
                client = await self.client()
                await asyncio.wait_for(client.list_tools(cache_mode="bypass"), self.server.time_limit)
        except MCPError as error:
            # It answered, if only that it has no tools.
            return error.code != CONNECTION_CLOSED
        except Exception as error:
            log.info("the session with the MCP server %s has ended: %s", self.name, error)
            return False
        return True

    async def _keep(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self.server.time_limit):
                    client = await stack.enter_async_context(await self._connect(stack))
                self._client.set_result(client)
                self.touched = asyncio.get_running_loop().time()
                await self._idle()
        except asyncio.CancelledError:
            self._fail("the session was closed")
            raise
        except BaseException as error:
            self._fail(_reason(error))
            if not isinstance(error, Exception | BaseExceptionGroup):
                raise

    def _fail(self, reason: str) -> None:
        if self._client.done():
            log.info("the session with the MCP server %s ended: %s", self.name, reason)
            return
        told = self._told.text()
        cause = f"The MCP server {self.name} cannot be reached: {reason}" + (f"\n{told}" if told else "")
        self._client.set_exception(StatesError(UNAVAILABLE, cause))
        self._client.exception()  # whoever waited may have been cancelled

    async def _idle(self) -> None:
        """Return when nobody has needed the session for long, or it is to end."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            left = self.touched + self.server.idle - loop.time()
            if left <= 0 and not self.users:
                self._stopping.set()
                return
            try:
                await asyncio.wait_for(self._stopping.wait(), max(left, self.server.idle / 10))
            except TimeoutError:
                continue

    async def _connect(self, stack: AsyncExitStack) -> Client:
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamable_http_client

        server = self.server
        if server.url is not None:
            # The client's own settings, which it does not offer by a public name.
            make: Any = importlib.import_module("mcp.client.streamable_http").create_mcp_http_client
            http = await stack.enter_async_context(make(headers=dict(server.headers)))
            http.event_hooks = {"response": [self._told.answered]}
            return Client(streamable_http_client(server.url, http_client=http))
        assert server.command is not None, "the file of servers has been checked"
        errors = stack.enter_context(os.fdopen(await self._told.pipe(stack), "w"))
        parameters = StdioServerParameters(
            command=server.command,
            args=list(server.args),
            env=dict(server.env),
            cwd=server.cwd,
            # Bytes that are no text are as good as a line that is no message; the client would wait for ever.
            encoding_error_handler="replace",
        )
        return Client(stdio_client(parameters, errlog=errors))


class _Told(asyncio.Protocol):
    """What a server says beside the protocol, of which the end is kept: what it writes to its standard error, and a
    status of HTTP that is no success, which the client does not tell."""

    def __init__(self) -> None:
        self._kept = ""

    async def pipe(self, stack: AsyncExitStack) -> int:
        """The end to write to."""
        reading, writing = os.pipe()
        try:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: self, os.fdopen(reading, "rb"))
        except BaseException:
            os.close(writing)
            raise
        stack.callback(transport.close)
        return writing

    def data_received(self, data: bytes) -> None:
        """Keep the end."""
        self._kept = (self._kept + data.decode("utf-8", "replace"))[-_TOLD:]

    async def answered(self, response: Any) -> None:
        """Keep a status that is no success."""
        if response.status_code >= 400:
            self._kept = f"HTTP {response.status_code} {response.reason_phrase}"

    def text(self) -> str:
        """What was kept."""
        return self._kept.strip()


def _reason(error: BaseException) -> str:
    """The innermost reason: the client's task groups wrap it."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return str(error) or type(error).__name__

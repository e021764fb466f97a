"""Tools of MCP servers as Tasks: `arn:aws:states:::mcp:callTool`, and `mcp:listTools`. Not a part of AWS.

Owns the shape of arguments and results, and the error names. Neighbours: mcp_sessions.py, mcp_servers.py.

A call that was under way when the process died is made again where the tool says that it is read-only or idempotent;
any other fails with States.TaskFailed, which the definition may retry. The server is told the same
`treadle/idempotency-key` (in `_meta`) both times.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from treadle.errors import StatesError
from treadle.integrations.arguments import expect_action, members, required_text, unusable
from treadle.integrations.http_client import Turns
from treadle.integrations.mcp_sessions import UNAVAILABLE, Sessions
from treadle.language.scope import Json
from treadle.runtime.ports import Call, Redelivery

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult, Tool

_KEY: Final = "treadle/idempotency-key"
_AT_ONCE: Final = 64
"""Calls of one server that are under way at once; the client's own pool of connections has place for 100."""
_MOST_PAGES: Final = 100
_REASON: Final = 300
"""Characters of what the client says of an answer that it cannot read."""
_DIED: Final = (
    "The process that called the tool {} ended before the answer came, and the tool does not say that it is read-only "
    "or idempotent: retry States.TaskFailed if a second call does no harm."
)


class McpIntegration:
    """Calls tools of MCP servers. Close it after the engine."""

    redelivery: Redelivery = "again"

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._turns = {name: Turns(_AT_ONCE) for name in sessions.servers}

    async def call(self, call: Call) -> Json:
        """Call a tool, or list those of a server. Raises StatesError MCP.*."""
        action = expect_action(call, ("callTool", "listTools"))
        given = members(call.arguments)
        server = required_text(given, "Server")
        if server not in self._sessions.servers:
            known = ", ".join(sorted(self._sessions.servers)) or "none"
            raise unusable(f"There is no MCP server '{server[:80]}' here; known are: {known}")
        limit = self._sessions.servers[server].time_limit
        try:
            async with self._turns[server].turn(limit):
                if action == "listTools":
                    return await self._asked(server, _list)
                tool, arguments = required_text(given, "Tool"), members(given.get("Arguments", {}))
                return await self._asked(server, lambda client: _call(client, tool, dict(arguments), call))
        except TimeoutError:
            raise StatesError("MCP.Timeout", f"The MCP server {server} did not answer within {limit:g} s.") from None

    async def poll(self, call: Call) -> Json:
        """Tools have no jobs."""
        raise AssertionError(f"{call.resource} has no .sync pattern")

    async def cancel(self, call: Call) -> None:
        """The server is told of a cancellation by the client itself."""

    async def close(self) -> None:
        """End every session."""
        await self._sessions.close()

    async def _asked(self, server: str, ask: Callable[[Client], Awaitable[Json]]) -> Json:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED

        try:
            return await self._sessions.ask(server, ask)
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                raise self._sessions.over(server) from None
            raise StatesError("MCP.RequestFailed", f"{error.message} ({error.code})") from None
        except (StatesError, TimeoutError):
            raise
        except UnicodeEncodeError:
            raise unusable("An argument holds half of a surrogate pair, which UTF-8 cannot write") from None
        except ValueError as error:
            # What the client cannot read. The session is as good as before.
            reason = " ".join(str(error).split())[:_REASON]
            cause = f"The answer of the MCP server {server} breaks the protocol: {reason}"
            raise StatesError("MCP.RequestFailed", cause) from None
        except Exception as error:
            # Whatever the client's transport raises: the session is of no use any more.
            self._sessions.drop(server)
            cause = f"The MCP server {server} failed: {str(error) or type(error).__name__}"
            raise StatesError(UNAVAILABLE, cause) from None


async def _call(client: Client, tool: str, arguments: dict[str, Json], call: Call) -> Json:
    if call.again and not await _is_repeatable(client, tool):
        raise StatesError("States.TaskFailed", _DIED.format(tool))
    meta: Any = {_KEY: call.idempotency}
    return _output(await client.call_tool(tool, arguments, meta=meta))


async def _is_repeatable(client: Client, name: str) -> bool:
    hints = next((tool.annotations for tool in await _tools(client) if tool.name == name), None)
    return hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)


async def _list(client: Client) -> Json:
    return {
        "Tools": [
            {"Name": tool.name, "Description": tool.description or "", "InputSchema": tool.input_schema}
            for tool in await _tools(client)
        ]
    }


async def _tools(client: Client) -> list[Tool]:
    page = await client.list_tools()
    tools = list(page.tools)
    for _ in range(_MOST_PAGES):
        if page.next_cursor is None:
            return tools
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    raise StatesError("MCP.RequestFailed", f"The MCP server has more than {_MOST_PAGES} pages of tools.")


def _output(result: CallToolResult) -> Json:
    """Structured content as it is; else the text; else the blocks of content, as the protocol writes them."""
    texts = [block.text for block in result.content if block.type == "text"]
    if result.is_error:
        raise StatesError("MCP.ToolError", "\n".join(texts) or "The tool failed and did not say why.")
    if result.structured_content is not None:
        return {"Result": result.structured_content}
    if len(texts) == len(result.content):
        return {"Result": "\n".join(texts)}
    blocks = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
    return {"Result": "\n".join(texts), "Content": blocks}

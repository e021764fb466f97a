"""An MCP server for tests: on its standard streams, or with a port as streamable HTTP on this machine.

    python mcp_tools.py [PORT [CERTIFICATE KEY]]

It writes the idempotency key of each call of `add` to the file that TOLD names, and a line per start to STARTS.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import ToolAnnotations

server = MCPServer("tools", log_level="ERROR")


def note(variable: str, text: str) -> None:
    if variable in os.environ:
        with Path(os.environ[variable]).open("a") as file:
            file.write(f"{text}\n")


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def add(a: int, b: int, context: Context) -> dict[str, Any]:
    """Add two numbers."""
    meta: Any = context.request_context.meta or {}
    note("TOLD", str(meta.get("treadle/idempotency-key")))
    return {"sum": a + b}


@server.tool(structured_output=False)
def say(text: str) -> str:
    """Give the text back."""
    return text


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("the tool is broken")


@server.tool()
def die() -> str:
    """End the server."""
    os._exit(3)


@server.tool()
async def wait() -> str:
    """Never answer."""
    note("WAITS", "begun")
    try:
        await asyncio.sleep(3600)
    finally:
        note("WAITS", "over")
    return ""


@server.tool(structured_output=False)
def huge() -> str:
    """More than a state may hold."""
    return "x" * 300_000


if __name__ == "__main__":
    note("STARTS", str(os.getpid()))
    if os.environ.get("BROKEN"):
        sys.exit("no licence for this server")
    if len(sys.argv) > 2:
        import uvicorn

        _, port, certificate, key = sys.argv
        app = server.streamable_http_app()
        uvicorn.run(app, port=int(port), ssl_certfile=certificate, ssl_keyfile=key, log_level="error")
    elif len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()

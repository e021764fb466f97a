"""An MCP server for tests that breaks the protocol: python mcp_rogue.py MODE.

It speaks JSON-RPC on its standard streams without any library, so that it can say what none would let it say, and
starts at once. With the mode "honest" it breaks nothing: it has tools, and writes what it is told to the files that
TOLD and WAITS name, as mcp_tools.py does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def say(message: Any) -> None:
    sys.stdout.write(message if isinstance(message, str) else json.dumps(message))
    sys.stdout.write("\n")
    sys.stdout.flush()


def welcome(request: Any) -> Any:
    return {
        "protocolVersion": request["params"]["protocolVersion"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "rogue", "version": "1"},
    }


def answered(mode: str, request: Any) -> None:
    """What a tool is answered with."""
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    match mode:
        case "silent":
            return
        case "rubbish":
            say("Segmentation fault (core dumped)")
            say('{"jsonrpc": "2.0"')
            say({"jsonrpc": "2.0", "id": 999, "result": {}})
        case "bytes":
            sys.stdout.buffer.write(b"\xff\xfe\xff\n")
            sys.stdout.buffer.flush()
        case "shape":
            say({**reply, "result": {"content": "no list"}})
        case "refusing":
            say({**reply, "error": {"code": -32602, "message": "no such tool"}})
        case "talkative":
            sys.stdout.buffer.write(b"Listening \xff\n\n")
            say({**reply, "result": {"content": [{"type": "text", "text": "all the same"}]}})
        case "dying":
            print("out of memory", file=sys.stderr, flush=True)
            os._exit(9)
        case _:
            raise AssertionError(mode)


ANNOTATED = {"name": "add", "inputSchema": {"type": "object"}, "annotations": {"idempotentHint": True}}


def note(variable: str, text: str) -> None:
    with Path(os.environ[variable]).open("a") as file:
        file.write(f"{text}\n")


def honest(request: Any) -> None:
    """Answer a call as its tool does."""
    reply, params = {"jsonrpc": "2.0", "id": request["id"]}, request["params"]
    match params["name"]:
        case "add":
            note("TOLD", params["_meta"]["treadle/idempotency-key"])
            say({**reply, "result": {"content": [], "structuredContent": {"sum": 3}}})
        case "huge":
            say({**reply, "result": {"content": [{"type": "text", "text": "x" * 300_000}]}})
        case "wait":
            note("WAITS", f"begun {request['id']}")
        case _:
            say({**reply, "result": {"content": [{"type": "text", "text": "no"}], "isError": True}})


def serve(mode: str) -> None:
    if mode == "deaf":
        time.sleep(3600)
    for line in sys.stdin:
        request = json.loads(line)
        match request.get("method"):
            case "initialize" if mode == "mumbling":
                say("Hello? Who is there?")
            case "initialize":
                say({"jsonrpc": "2.0", "id": request["id"], "result": welcome(request)})
            case "tools/list":
                say({"jsonrpc": "2.0", "id": request["id"], "result": {"tools": [ANNOTATED]}})
            case "tools/call" if mode == "honest":
                honest(request)
            case "notifications/cancelled" if mode == "honest":
                note("WAITS", f"over {request['params']['requestId']}")
            case "tools/call":
                answered(mode, request)
            case _ if "id" in request:
                say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "no"}})
            case _:
                pass


if __name__ == "__main__":
    serve(sys.argv[1])

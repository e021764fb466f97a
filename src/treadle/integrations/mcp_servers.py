"""Which MCP servers there are: a file with names, and how each is reached.

Owns the form of the file, which is the one that other MCP clients read (`mcpServers`). Definitions name servers only:
what is started on this machine is not theirs to say. `${NAME}` in a value stands for an environment variable, so that
secrets stay out of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
import yaml

from treadle.errors import TreadleError
from treadle.integrations.http_client import address_fault

TIME_LIMIT: Final = 60.0
IDLE: Final = 300.0

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class InvalidServers(TreadleError):
    """The file of servers cannot be used. The message names the place and what to do."""


class McpServer(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """How one server is reached: a command to start, which then speaks on its standard streams, or a URL.

    `time_limit` bounds a call, `idle` how long a connection without calls is kept; both in seconds.
    """

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = {}
    type: Literal["stdio", "http", "streamable-http", None] = None
    time_limit: float = TIME_LIMIT
    idle: float = IDLE


class _File(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    mcp_servers: dict[str, McpServer]


def read_servers(path: Path, environment: Mapping[str, str] = os.environ) -> dict[str, McpServer]:
    """The servers of a YAML or JSON file, by name. A relative `cwd` counts from the file. Raises InvalidServers."""
    try:
        given: Any = yaml.safe_load(path.read_text("utf-8"))
        file = msgspec.convert(_filled(given, str(path), environment), _File)
    except OSError as error:
        raise InvalidServers(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidServers(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    except msgspec.ValidationError as error:
        raise InvalidServers(f"{path}: {error}.") from None
    return {name: _checked(path, name, server) for name, server in file.mcp_servers.items()}


def _filled(value: Any, place: str, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match[1], place, environment), value)
    if isinstance(value, list):
        return [_filled(each, place, environment) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        members = cast("dict[Any, Any]", value)
        return {key: _filled(each, f"{place}: {key}", environment) for key, each in members.items()}
    return value


def _variable(name: str, place: str, environment: Mapping[str, str]) -> str:
    if name not in environment:
        raise InvalidServers(f"{place}: the environment has no {name}.")
    return environment[name]


def _checked(path: Path, name: str, server: McpServer) -> McpServer:
    fault = ""
    if (server.command is None) == (server.url is None):
        fault = "give it either a command or a url"
    elif server.url is not None:
        fault = address_fault(server.url, plain=False)
    elif server.time_limit <= 0 or server.idle <= 0:
        fault = "timeLimit and idle are seconds, more than 0"
    if fault:
        raise InvalidServers(f"{path}: mcpServers.{name}: {fault}.")
    folder = path.absolute().parent
    return msgspec.structs.replace(server, cwd=str(folder / server.cwd) if server.cwd else str(folder))

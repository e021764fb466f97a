"""The Unix socket at which the process that holds a store answers the others.

    async with serve(EngineControl(engine), path): ...        # the process that runs executions
    control = RemoteControl(path)                             # any other one of the same user

Owns how requests travel: one JSON object per line; a reply is any number of `{"item": ..}` lines and then
`{"end": true}` or `{"error": ..}`. The socket has mode 0600 and takes only connections of the same user or root.
Requests, connections and waiting times are bounded. What a request does is control.py's.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, cast

import msgspec

from treadle.errors import ApiError, Conflict, Corrupt, NotFound, StoreError, TreadleError, Unavailable
from treadle.language.scope import Json
from treadle.runtime.control import Control, Request

REQUEST_BYTES: Final = 2 * 1024 * 1024
"""The longest request: a payload of 256 KiB with every character escaped, and room around it."""
REPLY_BYTES: Final = 64 * 1024 * 1024
"""The longest line of a reply."""
CONNECTIONS: Final = 16
SECONDS: Final = 30.0
"""How long a request, an answer to it, or the other side's reading may take."""
LAST_SECONDS: Final = 5.0
"""How long an answer may take when the process is about to end."""
_SOCKET_PATH_BYTES: Final = 100  # sun_path has 104 to 108, by system

# ---- the socket --------------------------------------------------------------------------------------------------


@contextmanager
def _address(path: Path) -> Generator[str]:
    """An address for the socket at a path. Longer paths than the kernel takes are reached through their open folder."""
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        through = Path(f"/proc/self/fd/{folder}")
        if not through.exists():
            raise OSError(f"{path} is longer than the {_SOCKET_PATH_BYTES} bytes that a socket may have")
        yield str(through / path.name)
    finally:
        os.close(folder)


def _listening(path: Path) -> socket.socket:
    """A socket at a path, for this user alone. Whoever calls holds the store, so one that is there is left over."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode must be right from the first moment, and only the mask can make it so.
        mask = os.umask(0o177)
        try:
            with _address(path) as address:
                listener.bind(address)
        finally:
            os.umask(mask)
    except OSError:
        listener.close()
        raise
    return listener


@asynccontextmanager
async def serve(control: Control, path: Path) -> AsyncGenerator[None]:
    """Answer requests at a socket meanwhile. Raises OSError when there can be none at this path."""
    connections: dict[asyncio.Task[None], _Connection] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections[task] = connection = _Connection(control, reader, writer)
        try:
            await connection.run(welcome=len(connections) <= CONNECTIONS)
        except (OSError, TimeoutError, asyncio.CancelledError):
            # The other side has gone or is too slow to be waited for, or this process ends.
            writer.transport.abort()
        finally:
            del connections[task]

    listener = _listening(path)
    async with AsyncExitStack() as stack:
        stack.callback(path.unlink, missing_ok=True)
        server = await asyncio.start_unix_server(connected, sock=listener, limit=REQUEST_BYTES)
        try:
            yield
        finally:
            server.close()
            await _let_end(connections)


async def _let_end(connections: dict[asyncio.Task[None], _Connection]) -> None:
    """Who is being answered gets the answer: it may be what ended the execution, and with it this process."""
    for task, connection in list(connections.items()):
        if connection.answering:
            connection.last = True
        else:
            task.cancel()
    if connections:
        _, late = await asyncio.wait(list(connections), timeout=LAST_SECONDS)
        for task in late:
            task.cancel()


class _Connection:
    """One connection: requests are answered one after another."""

    def __init__(self, control: Control, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._control, self._reader, self._writer = control, reader, writer
        self.answering = False
        self.last = False  # whether to hang up after the answer

    async def run(self, welcome: bool) -> None:
        """Answer until the other side hangs up."""
        refusal = None if welcome else "There are too many connections. Try again in a moment."
        if not _same_user(self._writer.get_extra_info("socket")):
            refusal = "Only the user who runs the executions may do this."
        if refusal is not None:
            await self._send(_error("AccessDeniedException", refusal))
        else:
            while not self.last and (line := await self._line()):
                self.answering = True
                await self._answer(line)
                self.answering = False
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _line(self) -> bytes:
        try:
            async with asyncio.timeout(SECONDS):
                return await self._reader.readline()
        except ValueError:
            await self._send(_error("ValidationException", f"A request has at most {REQUEST_BYTES} bytes."))
            return b""

    async def _answer(self, line: bytes) -> None:
        try:
            request = msgspec.convert(json.loads(line), Request)
        except (ValueError, RecursionError) as error:
            await self._send(_error("ValidationException", f"Not a request: {error}"))
            return
        try:
            async with asyncio.timeout(SECONDS):
                items = self._control.ask(request)
                async for item in items:
                    await self._send({"item": item})
        except TimeoutError:
            await self._send(_error("Unavailable", f"There was no answer within {SECONDS:.0f} seconds."))
        except ApiError as error:
            await self._send(_error(error.code, error.message))
        except TreadleError as error:
            await self._send(_error(type(error).__name__, str(error)))
        else:
            await self._send({"end": True})

    async def _send(self, reply: dict[str, Json]) -> None:
        self._writer.write(json.dumps(reply).encode() + b"\n")
        async with asyncio.timeout(SECONDS):
            await self._writer.drain()


def _error(code: str, message: str) -> dict[str, Json]:
    return {"error": {"code": code, "message": message}}


def _same_user(connection: socket.socket) -> bool:
    """Whether the other side is this user or root; where the system does not tell, the mode of the socket decides."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return user in (os.getuid(), 0)


# ---- in any other process ----------------------------------------------------------------------------------------

_STORE_ERRORS: Final[dict[str, type[StoreError]]] = {
    each.__name__: each for each in (Conflict, Corrupt, NotFound, Unavailable)
}


class RemoteControl(Control):
    """Asks the process that listens at a socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ask(self, request: Request) -> AsyncGenerator[Json]:
        """The items of the reply."""
        reader, writer = await self._connect()
        try:
            writer.write(json.dumps(msgspec.to_builtins(request)).encode() + b"\n")
            while (reply := await self._reply(reader)).keys() == {"item"}:
                yield reply["item"]
        except OSError as error:
            raise Unavailable(f"{self._path}: The process that runs the executions has gone. ({error})") from None
        finally:
            writer.transport.abort()
        if "error" in reply:
            code, message = reply["error"]["code"], reply["error"]["message"]
            raise _STORE_ERRORS[code](message) if code in _STORE_ERRORS else ApiError(code, message)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            with _address(self._path) as address:
                async with asyncio.timeout(SECONDS):
                    return await asyncio.open_unix_connection(address, limit=REPLY_BYTES)
        except OSError as error:
            raise Unavailable(
                f"{self._path}: The process that holds the store does not answer: try again, or stop it. ({error})"
            ) from None

    async def _reply(self, reader: asyncio.StreamReader) -> dict[str, Json]:
        try:
            async with asyncio.timeout(2 * SECONDS):
                line = await reader.readline()
            reply: Json = json.loads(line)
        except ValueError as error:
            # Nothing at all, or too much.
            raise ConnectionError(str(error)) from None
        return cast("dict[str, Json]", reply)

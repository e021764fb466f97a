"""One process that runs one function: its start, its invocations one at a time, its end.

Serves the Runtime API to its process, on a port of its own. Never decides which invocation comes next: that is for
`pool`. Never blocks the event loop: a process that does not answer is killed with everything it started.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from treadle.functions.contract import FunctionsClosed
from treadle.functions.guard import Guard
from treadle.functions.log import LogPipe
from treadle.functions.memory import resident
from treadle.functions.outcome import Outcome, exited, failed, out_of_memory, response_too_large, returned, timed_out
from treadle.functions.request import Request
from treadle.functions.runtime_api import Connection
from treadle.functions.spec import FunctionSpec

_MEGABYTE: Final = 1 << 20


class Worker:
    """A process of a function. `gone` is called once, when nothing of it is left."""

    def __init__(self, spec: FunctionSpec, guard: Guard, gone: Callable[[Worker], None]) -> None:
        self.spec = spec
        self.alive = True
        self.memory_used_mb = 0
        self._guard = guard
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._log = LogPipe(self._loop)
        self._process: Process | None = None
        self._end: asyncio.Task[None] | None = None
        self._over = self._loop.create_future()
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._polling: Connection | None = None
        # The request that the process starts for, then the one that it works on.
        self._request_id = ""
        self._undelivered: Request | None = None
        # What is awaited of the process, and when it is too late: first its start, then one answer after the other.
        # None says that it started well; of an answer, that the process ended before it saw the request.
        self._answer: asyncio.Future[Outcome | None] = self._loop.create_future()
        self._starting = True

    # ---- for its owner ----

    async def start(self, command: Sequence[str], environment: Mapping[str, str], request_id: str) -> Outcome | None:
        """Run the command until it asks for work; an outcome says why it never will.

        The request is the one that the process is started for. When cancelled, the process is killed.
        """
        self._request_id = request_id
        try:
            await self._spawn(command, environment)
        except BaseException:
            self._let_go()
            raise
        self._end = self._loop.create_task(self._see_the_end())
        return await self._answer_within(self.spec.init_timeout)

    async def invoke(self, request: Request) -> Outcome | None:
        """Have the handler called; None when the process ended before it was told.

        When cancelled, the process is killed: there is no other way to stop a handler.
        """
        if not self.alive:
            return None
        self._request_id = request.id
        self._undelivered = request
        self._answer = self._loop.create_future()
        if self._polling is not None:
            self._deliver(self._polling, request)
        return await self._answer_within(self.spec.timeout)

    def take_log(self) -> str:
        """What the process wrote since it was last asked."""
        return self._log.take()

    def watch_memory(self) -> None:
        """Look how much memory a busy process holds, and end it at its limit."""
        if self._process is None or self._answer.done():
            return
        used = -(-resident(self._process.pid) // _MEGABYTE)
        self.memory_used_mb = max(self.memory_used_mb, used)
        if used > self.spec.memory_mb:
            self.kill()
            self._settle(out_of_memory(self._request_id))

    def kill(self) -> None:
        """End the process and what it started."""
        self.alive = False
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """End the process and wait for the end; whoever waits for an answer is told that none will come."""
        if not self._answer.done():
            self._answer.set_exception(FunctionsClosed())
        self.kill()
        await self._over

    # ---- the process ----

    async def _spawn(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        try:
            # Started in a step of its own: whoever cancels in between must find the server to close.
            self._server = await self._loop.create_server(self._connect, "127.0.0.1", 0, start_serving=False)
            await self._server.start_serving()
            host, port = self._server.sockets[0].getsockname()
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.spec.folder,
                env={**environment, "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}"},
                stdin=DEVNULL,
                stdout=self._log.writer,
                stderr=self._log.writer,
                # A group of its own, so that the children of a handler end with it.
                start_new_session=True,
            )
        finally:
            self._log.started()
        self._guard.watch(self._process.pid)

    async def _answer_within(self, seconds: float) -> Outcome | None:
        late = self._loop.call_later(seconds, self._too_late, seconds)
        try:
            return await self._answer
        except BaseException:
            self.kill()
            raise
        finally:
            late.cancel()

    def _too_late(self, seconds: float) -> None:
        self.kill()
        self._settle(timed_out(self._request_id, seconds))

    def _settle(self, outcome: Outcome | None) -> bool:
        if self._answer.done():
            return False
        self._answer.set_result(outcome)
        return True

    async def _see_the_end(self) -> None:
        assert self._process is not None
        status = await self._process.wait()
        # What a handler started and left behind.
        self.kill()
        self._settle(None if self._undelivered is not None else exited(self._request_id, status))
        self._guard.forget(self._process.pid)
        self._let_go()

    def _let_go(self) -> None:
        self.alive = False
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        self._log.close()
        self._over.set_result(None)
        self._gone(self)

    # ---- its Runtime API ----

    def _connect(self) -> Connection:
        connection = Connection(self)
        self._connections.add(connection)
        return connection

    def polled(self, connection: Connection) -> None:
        """Deliver what waits; the first time, the process has started."""
        self._polling = connection
        if self._starting:
            self._starting = False
            self._settle(None)
        elif self._undelivered is not None:
            self._deliver(connection, self._undelivered)

    def responded(self, request_id: str, body: bytes | None) -> bool:
        """Take a result."""
        return self._reported(request_id, response_too_large() if body is None else returned(body))

    def erred(self, request_id: str, body: bytes | None) -> bool:
        """Take an error."""
        return self._reported(request_id, response_too_large() if body is None else failed(body))

    def failed_to_start(self, body: bytes | None) -> bool:
        """Take an error of the start."""
        return self._starting and self._settle(response_too_large() if body is None else failed(body))

    def hung_up(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if self._polling is connection:
            self._polling = None

    def _deliver(self, connection: Connection, request: Request) -> None:
        self._polling = self._undelivered = None
        connection.deliver(request, request.deadline(self.spec.timeout))

    def _reported(self, request_id: str, outcome: Outcome) -> bool:
        mine = request_id == self._request_id and not self._starting and self._undelivered is None
        return mine and self._settle(outcome)

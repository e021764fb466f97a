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

from treadle.functions.contract import FunctionsClosed
from treadle.functions.guard import Guard
from treadle.functions.log import LogPipe
from treadle.functions.memory import resident
from treadle.functions.outcome import Outcome, exited, failed, out_of_memory, response_too_large, returned, timed_out
from treadle.functions.request import Request
from treadle.functions.runtime_api import Connection
from treadle.functions.spec import FunctionSpec

_MEGABYTE = 1 << 20


class Worker:
    """A process of a function. `gone` is called once, when the process has ended and been reaped."""

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
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._polling: Connection | None = None
        self._started: asyncio.Future[Outcome | None] = self._loop.create_future()
        self._request: Request | None = None
        # None for a request that the process died too early to see.
        self._answer: asyncio.Future[Outcome | None] = self._loop.create_future()

    # ---- for its owner ----

    async def start(self, command: Sequence[str], environment: Mapping[str, str], request_id: str) -> Outcome | None:
        """Run the command until it asks for work; an outcome says why it never will.

        The request is the one that the process is started for. When cancelled, the process is killed.
        """
        try:
            await self._spawn(command, environment)
        except BaseException:
            self._log.started()
            self._let_go()
            raise
        self._end = self._loop.create_task(self._wait_for_end(request_id))
        late = self._loop.call_later(self.spec.init_timeout, self._start_took_too_long, request_id)
        try:
            return await self._started
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            late.cancel()

    async def invoke(self, request: Request) -> Outcome | None:
        """Have the handler called; None when the process ended before it was told.

        When cancelled, the process is killed: there is no other way to stop a handler.
        """
        self._request = request
        self._answer = self._loop.create_future()
        if not self.alive:
            return None
        late = self._loop.call_later(self.spec.timeout, self._invocation_took_too_long)
        if self._polling is not None:
            self._deliver(self._polling)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            late.cancel()
            self._request = None

    def take_log(self) -> str:
        """What the process wrote since it was last asked."""
        return self._log.take() if self.alive else self._last_words()

    def kill(self) -> None:
        """End the process and what it started. Its place is free once `gone` is called."""
        self.alive = False
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """End the process and wait for the end; whoever waits for an answer is told that none will come."""
        for waited_for in (self._started, self._answer):
            if not waited_for.done():
                waited_for.set_exception(FunctionsClosed())
        self.kill()
        if self._end is not None:
            await self._end

    def watch_memory(self) -> None:
        """Look how much memory is in use, and end the process at its limit."""
        if self._process is None or not self.alive:
            return
        used = -(-resident(self._process.pid) // _MEGABYTE)
        self.memory_used_mb = max(self.memory_used_mb, used)
        if used > self.spec.memory_mb:
            self._give_up(out_of_memory)

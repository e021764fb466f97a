"""Runs functions as AWS Lambda does: in warm processes, one invocation at a time each.

Puts together what the neighbours own: `worker` (one process), `pool` (which worker serves whom), `guard` (no process
outlives us). Everything happens on one event loop and none of it blocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Final

from treadle.functions.contract import CannotStart, FunctionBusy, FunctionNotFound, FunctionsClosed, Invoked, qualified
from treadle.functions.environment import Surroundings, variables
from treadle.functions.guard import Guard
from treadle.functions.outcome import Outcome
from treadle.functions.pool import Pool
from treadle.functions.request import Request, request
from treadle.functions.runtimes import command
from treadle.functions.spec import FunctionSpec
from treadle.functions.worker import Worker

_WATCH_EVERY: Final = 0.02
"""Seconds between two looks at the memory of busy processes."""


class ProcessFunctions:
    """Functions in processes of their own, by name; `discover` gives them.

    `processes` is how many may be alive at once, of all functions together; further invocations wait for one. An
    invocation beyond `concurrency`, counting those that wait, raises FunctionBusy; Lambda gives an account 1,000. A
    process that was idle for `idle_seconds` ends. Close it, or use it with `async with`.
    """

    def __init__(
        self,
        functions: Mapping[str, FunctionSpec],
        *,
        surroundings: Surroundings | None = None,
        processes: int = 32,
        concurrency: int = 1000,
        idle_seconds: float = 300.0,
    ) -> None:
        self._specs = {spec.name: spec for spec in functions.values()}
        self._surroundings = surroundings or Surroundings()
        self._concurrency = concurrency
        self._idle_seconds = idle_seconds
        self._under_way = 0
        self._closed = False
        self._guard = Guard()
        self._workers: set[Worker] = set()
        self._pool = Pool[Worker](processes, Worker.kill)
        self._watch: asyncio.TimerHandle | None = None
        self._reaper: asyncio.TimerHandle | None = None

    def names(self) -> Collection[str]:
        """The functions there are."""
        return self._specs.keys()

    def spec(self, name: str) -> FunctionSpec | None:
        """How a function is run; None where there is none."""
        return self._specs.get(name)

    def put(self, spec: FunctionSpec) -> None:
        """Add a function or replace the one of this name; also the way to have changed code loaded.

        Invocations under way end as they began.
        """
        self._specs[spec.name] = spec
        self._pool.retire_idle(spec.name)

    def remove(self, name: str) -> None:
        """Have a function no more; invocations under way end as they began. Raises FunctionNotFound."""
        del self._specs[self._spec(name).name]
        self._pool.retire_idle(name)

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        qualifier: str | None = None,
        trace_id: str | None = None,
        client_context: bytes | None = None,
        arn: str | None = None,
    ) -> Invoked:
        """Call the handler once, in an idle process or a new one. When cancelled, the process is killed.

        `arn` is what the handler is told that it was called by, where that differs.
        """
        if self._closed:
            raise FunctionsClosed
        spec = self._spec(name)
        call = request(arn or self._surroundings.arn(qualified(name, qualifier)), payload, trace_id, client_context)
        if self._under_way >= self._concurrency:
            raise FunctionBusy(name)
        self._under_way += 1
        try:
            # A process may end while it is idle. What it has not seen, another one can do.
            while (invoked := await self._attempt(spec, call)) is None:
                continue
            return invoked
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """End every process and wait for its end."""
        self._closed = True
        self._pool.refuse(FunctionsClosed())
        for timer in (self._watch, self._reaper):
            if timer is not None:
                timer.cancel()
        await asyncio.gather(*(worker.close() for worker in self._workers))
        await self._guard.close()

    async def __aenter__(self) -> ProcessFunctions:
        """Nothing runs before the first invocation."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def _spec(self, name: str) -> FunctionSpec:
        spec = self._specs.get(name)
        if spec is None:
            raise FunctionNotFound(name)
        return spec

    # ---- one invocation ----

    async def _attempt(self, spec: FunctionSpec, call: Request) -> Invoked | None:
        worker = await self._pool.take(spec.name)
        self._watch_memory()
        if worker is None:
            worker, outcome = await self._start(spec, call)
            if outcome is not None:
                return _invoked(worker, call, outcome, 0.0)
        began = time.perf_counter()
        try:
            outcome = await worker.invoke(call)
            return outcome and _invoked(worker, call, outcome, time.perf_counter() - began)
        finally:
            self._give_back(worker)

    async def _start(self, spec: FunctionSpec, call: Request) -> tuple[Worker, Outcome | None]:
        """A new worker in the place that was granted, and why it cannot be used if so."""
        try:
            environment = variables(spec, self._surroundings)
            program = command(spec, environment)
            await self._guard.start()
            if self._closed:
                raise FunctionsClosed
            worker = Worker(spec, self._guard, self._left)
        except BaseException:
            self._pool.left(spec.name, None)
            raise
        self._workers.add(worker)
        try:
            outcome = await worker.start(program, environment, call.id)
        except OSError as error:
            raise CannotStart(f"The function '{spec.name}' cannot be started: {error}") from error
        if outcome is not None:
            worker.kill()
        return worker, outcome

    # ---- the life of workers ----

    def _give_back(self, worker: Worker) -> None:
        current = self._specs.get(worker.spec.name) is worker.spec
        if not worker.alive or not current or self._closed:
            worker.kill()
            return
        self._pool.give_back(worker.spec.name, worker, time.monotonic())
        if self._reaper is None:
            self._reap_later(self._idle_seconds)

    def _left(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self._pool.left(worker.spec.name, worker)

    def _reap_later(self, seconds: float) -> None:
        self._reaper = asyncio.get_running_loop().call_later(seconds, self._reap)

    def _reap(self) -> None:
        self._reaper = None
        now = time.monotonic()
        self._pool.retire_idle(before=now - self._idle_seconds)
        oldest = self._pool.oldest()
        if oldest is not None:
            self._reap_later(oldest + self._idle_seconds - now)

    def _watch_memory(self) -> None:
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(_WATCH_EVERY, self._look)

    def _look(self) -> None:
        self._watch = None
        for worker in self._workers:
            worker.watch_memory()
        if self._under_way:
            self._watch_memory()


def _invoked(worker: Worker, call: Request, outcome: Outcome, duration: float) -> Invoked:
    return Invoked(
        payload=outcome.payload,
        error=outcome.error,
        log=worker.take_log() + outcome.log_line,
        request_id=call.id,
        version=worker.spec.version,
        duration=duration,
        memory_mb=worker.spec.memory_mb,
        memory_used_mb=worker.memory_used_mb,
    )

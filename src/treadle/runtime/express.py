"""Express executions: the same engine on a store that forgets.

Nothing survives the process, nothing is listed, and what remains is the log. All else (the machine, calls, timers,
retries) is the durable engine's own code; who makes an `Express` gives it an engine on a memory store.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from treadle.errors import TreadleError
from treadle.language.scope import Json
from treadle.machine.journal import Entry
from treadle.runtime.engine import Engine, Result, Started
from treadle.runtime.machines import LONGEST_EXPRESS, StateMachine
from treadle.runtime.ports import Summary

log = logging.getLogger("treadle.runtime")


class Express:
    """Runs Express executions. `log(summary, journal)` gets each one's journal at its end, `forget(arn)` frees it."""

    def __init__(
        self, engine: Engine, log: Callable[[Summary, list[Entry]], None], forget: Callable[[str], None]
    ) -> None:
        self._engine, self._log, self._forget = engine, log, forget

    async def start(
        self,
        machine: StateMachine,
        input: Json = None,
        name: str | None = None,
        text: str | None = None,
        trace_header: str | None = None,
    ) -> Started:
        """Start an execution and let it run on. Never idempotent: every call runs. AWS 'StartExecution', Express.

        `text` and `trace_header` as in `Engine.start`.
        """
        started = await self._begin(machine, input, name, True, text, trace_header)
        self._engine.spawn(self._end(started.arn))
        return started

    async def run(
        self,
        machine: StateMachine,
        input: Json = None,
        name: str | None = None,
        text: str | None = None,
        trace_header: str | None = None,
    ) -> Result:
        """Run an execution to its end. AWS 'StartSyncExecution'. Cancelled, it runs on without its caller."""
        started = await self._begin(machine, input, name, False, text, trace_header)
        try:
            await self._engine.wait_closed(started.arn)
            result = await self._engine.result(started.arn)
        except asyncio.CancelledError:
            self._engine.spawn(self._go_on(started.arn))
            raise
        return replace(result, journal=await self._finish(started.arn))

    async def _begin(
        self,
        machine: StateMachine,
        input: Json,
        name: str | None,
        counts_redrives: bool,
        text: str | None,
        trace_header: str | None,
    ) -> Started:
        name = name or str(uuid.uuid4())
        # AWS: names of Express executions may repeat, so the ARN ends with an identifier of its own.
        arn = f"{machine.arn.replace(':stateMachine:', ':express:', 1)}:{name}:{uuid.uuid4()}"
        try:
            return await self._engine.start(
                machine,
                input,
                name,
                arn=arn,
                counts_redrives=counts_redrives,
                longest=LONGEST_EXPRESS,
                text=text,
                trace_header=trace_header,
            )
        except asyncio.CancelledError:
            self._engine.spawn(self._go_on(arn))
            raise

    async def _go_on(self, arn: str) -> None:
        """Nobody waits any more, perhaps not even for the start."""
        with suppress(TreadleError):
            await self._engine.result(arn)
            await self._finish(arn)

    async def _finish(self, arn: str) -> list[Entry]:
        summary = await self._engine.wait_closed(arn)
        journal = await self._engine.journal(arn)
        try:
            self._log(summary, journal)
        except Exception:
            # AWS: logs are delivered as well as can be; an execution does not depend on them.
            log.exception("the log of %s is lost", arn)
        self._engine.forget(arn)
        self._forget(arn)
        return journal

    async def _end(self, arn: str) -> None:
        await self._finish(arn)

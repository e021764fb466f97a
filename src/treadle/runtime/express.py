"""Express executions: the same engine on a store that forgets.

Nothing survives the process, nothing is listed, and what remains is the log. All else (the machine, calls, timers,
retries) is the durable engine's own code; who makes an `Express` gives it an engine on a memory store.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final

from treadle.language.scope import Json
from treadle.machine.journal import Entry
from treadle.runtime.engine import Engine, Result, Started
from treadle.runtime.machines import StateMachine

LONGEST_SECONDS: Final = 300.0
"""AWS quota: how long an Express execution may take."""


class Express:
    """Runs Express executions. `log(arn, journal)` gets each one's journal at its end, `forget(arn)` frees it."""

    def __init__(self, engine: Engine, log: Callable[[str, list[Entry]], None], forget: Callable[[str], None]) -> None:
        self._engine, self._log, self._forget = engine, log, forget

    async def start(self, machine: StateMachine, input: Json = None, name: str | None = None) -> Started:
        """Start an execution and let it run on. Never idempotent: every call runs. AWS 'StartExecution', Express."""
        started = await self._begin(machine, input, name, counts_redrives=True)
        self._engine.spawn(self._finish(started.arn))
        return started

    async def run(self, machine: StateMachine, input: Json = None, name: str | None = None) -> Result:
        """Run an execution to its end. AWS 'StartSyncExecution'."""
        started = await self._begin(machine, input, name, counts_redrives=False)
        await self._engine.wait_closed(started.arn)
        result = await self._engine.result(started.arn)
        await self._finish(started.arn)
        return result

    async def _begin(self, machine: StateMachine, input: Json, name: str | None, counts_redrives: bool) -> Started:
        name = name or str(uuid.uuid4())
        # AWS: names of Express executions may repeat, so the ARN ends with an identifier of its own.
        arn = f"{machine.arn.replace(':stateMachine:', ':express:', 1)}:{name}:{uuid.uuid4()}"
        return await self._engine.start(
            machine, input, name, arn=arn, counts_redrives=counts_redrives, longest=LONGEST_SECONDS
        )

    async def _finish(self, arn: str) -> None:
        await self._engine.wait_closed(arn)
        self._log(arn, await self._engine.journal(arn))
        self._engine.forget(arn)
        self._forget(arn)

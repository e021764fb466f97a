"""Deleting a state machine: it is gone when its last execution has ended.

AWS 'DeleteStateMachine': running executions are ended at their next transition. So every commit of an execution of a
state machine that is being deleted ends it. What is to be deleted stands in the catalog: a restart goes on with it.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from treadle.catalog import Machines
from treadle.errors import ApiError, TreadleError
from treadle.runtime.engine import Engine
from treadle.runtime.ports import Commit

log = logging.getLogger("treadle.api")


class Deletions:
    """The state machines that are being deleted."""

    def __init__(self, machines: Machines, engine: Engine) -> None:
        self._machines, self._engine = machines, engine
        self._draining: set[str] = set()

    async def resume(self) -> None:
        """Go on with what an earlier process began."""
        for arn in await self._machines.marked():
            await self._drain(arn)

    async def begin(self, arn: str) -> None:
        """Delete a state machine; nothing happens when there is none."""
        if await self._machines.mark(arn):
            await self._drain(arn)

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        summary = commit.summary
        if summary.machine_arn in self._draining:
            if summary.status == "RUNNING":
                self._engine.spawn(self._stop(summary.arn))
            else:
                self._engine.spawn(self._finish(summary.machine_arn))

    async def _drain(self, arn: str) -> None:
        self._draining.add(arn)
        await self._finish(arn)

    async def _finish(self, arn: str) -> None:
        try:
            running = await self._engine.store.executions(arn, "RUNNING", 1)
            if not running.executions and arn in self._draining:
                self._draining.discard(arn)
                await self._machines.remove(arn)
        except TreadleError:
            # The note in the catalog stays, so the next start tries again.
            log.exception("the state machine %s could not be deleted", arn)

    async def _stop(self, arn: str) -> None:
        with suppress(ApiError):
            await self._engine.stop(arn)

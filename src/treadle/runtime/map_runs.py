"""Map runs as they are seen from outside: listed, described, updated. AWS 'ListMapRuns', 'DescribeMapRun'.

A map run is kept in the store under its own ARN, with a summary and a journal like those of an execution. Neighbours:
machine/map_run.py, which decides; engine.py.
"""

from __future__ import annotations

from treadle.errors import ApiError, NotFound
from treadle.machine.commands import Status
from treadle.runtime.lives import no_execution
from treadle.runtime.ports import Clock, Page, Store, Summary


class MapRuns:
    """The map runs of one engine.

    A map run is told of by its Summary: `parent[0]` is the execution that started it, `machine_arn` the state machine
    with its label, `status` never TIMED_OUT, `redrives` and `redriven_at` count its own redrives, and `progress` has
    itemCounts, executionCounts and the settings in force. Of a child execution, `Summary.map_run_arn` is its map run
    and `Summary.member.items` the number of its items.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def list(self, execution_arn: str) -> list[Summary]:
        """The map runs that an execution has started, the last one first. Raises ApiError ExecutionDoesNotExist."""
        with self._clock.busy():
            arns: list[str] = []
            try:
                async for entries in self._store.pieces(execution_arn):
                    arns += [each.details["mapRunArn"] for each in entries if each.type == "MapRunStarted"]
            except NotFound:
                raise no_execution(execution_arn) from None
            found = [await self._find(arn) for arn in reversed(arns)]
        return [each for each in found if each is not None]

    async def describe(self, arn: str) -> Summary:
        """A map run as it stands. Raises ApiError ResourceNotFound."""
        with self._clock.busy():
            found = await self._find(arn)
        if found is None:
            raise ApiError("ResourceNotFound", f"Resource not found: '{arn}'")
        return found

    async def children(
        self, arn: str, status: Status | None = None, limit: int = 100, after: str | None = None
    ) -> Page:
        """The child executions of a map run, the last one first. `after` is the `next` of a page.

        Raises ApiError ResourceNotFound, and NotFound where `after` is no execution.
        """
        await self.describe(arn)
        with self._clock.busy():
            return await self._store.children(arn, status, limit, after)

    async def update(
        self,
        arn: str,
        *,
        concurrency: int | None = None,
        tolerated_count: int | None = None,
        tolerated_percentage: float | None = None,
    ) -> None:
        """Change the settings of a map run while it runs; None leaves one as it is. Durable when it returns.

        `concurrency` of 0 takes the bound away, `tolerated_percentage` is from 0 to 100. Raises ApiError
        ResourceNotFound, ValidationException where the run has ended.
        """
        summary = await self.describe(arn)
        if summary.status != "RUNNING":
            raise ApiError("ValidationException", "Map Run cannot be updated after it has completed.")

    async def _find(self, arn: str) -> Summary | None:
        try:
            summary = await self._store.summary(arn)
        except NotFound:
            return None
        return summary if summary.is_map_run else None

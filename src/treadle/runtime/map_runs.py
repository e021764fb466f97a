"""The map runs of an engine: which ones this process works on, and how they are seen from outside.

A map run is kept in the store under its own ARN, with a summary and a journal like those of an execution. Must never
decide anything about one. Neighbours: live_run.py, one of them at work; engine.py, which tells what executions want.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Literal, TypeAlias

from treadle.errors import ApiError, NotFound
from treadle.machine.commands import StartMapRun, Status
from treadle.machine.map_events import RunUpdated
from treadle.machine.map_run import MapRun
from treadle.runtime.children import Children
from treadle.runtime.live_run import Household, LiveRun
from treadle.runtime.lives import no_execution
from treadle.runtime.ports import Page, Summary, WaitRow

OPEN_MAP_RUNS: Final = 1_000
"""AWS quota: map runs that are under way."""

ChildListed: TypeAlias = Status | Literal["PENDING_REDRIVE"]
"""The statuses by which children can be listed."""


class MapRuns:
    """The map runs of one engine.

    A map run is told of by its Summary: `parent[0]` is the execution that started it, `machine_arn` the state machine
    with its label, `status` never TIMED_OUT, `redrives` and `redriven_at` count its own redrives, and `progress` has
    itemCounts, executionCounts and the settings in force. Of a child execution, `Summary.map_run_arn` is its map run
    and `Summary.member.items` the number of its items.
    """

    def __init__(self, household: Household, most: int) -> None:
        self._household, self._most = household, most
        self._store, self._clock = household.host.store, household.host.clock
        self._live: dict[str, LiveRun] = {}
        self._backlog: dict[str, LiveRun] = {}  # those of them that have not begun, the oldest first
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wanted: dict[tuple[str, int], WaitRow] = {}

    # ---- what executions want (told by the engine) ---------------------------------------------------------------

    def wanted(self, row: WaitRow) -> None:
        """A wait for a map run stands in the store, or the row that says that a map run is under way.

        After a restart the former has to come first: a run whose execution does not wait for it is stopped.
        """
        command = row.command
        assert isinstance(command, StartMapRun)
        run = self._live.get(command.arn)
        if run is None:
            run = self._live[command.arn] = LiveRun(self._household, command.arn, self._leave)
            if self.open < self._most:
                self._begin(run)
            else:
                # AWS quota 'open Map Runs': what is beyond it waits for its turn, and does not fail.
                self._backlog[command.arn] = run
        if row.arn != command.arn:
            self._wanted[row.arn, row.wait] = row
            run.want(row)

    def unwanted(self, arn: str, wait: int) -> None:
        """An execution does not wait any more."""
        row = self._wanted.pop((arn, wait), None)
        if row is not None and isinstance(row.command, StartMapRun) and row.command.arn in self._live:
            run = self._live[row.command.arn]
            run.unwant(row)
            if self._backlog.pop(run.arn, None) is not None:
                self._begin(run)  # it finds that it is not wanted, and ends

    def child_closed(self, summary: Summary) -> None:
        """An execution that is a child of a map run has ended."""
        member = summary.member
        assert member is not None and member.child is not None
        if (run := self._live.get(member.run)) is not None:
            run.child_closed(member.child, summary)

    async def at_rest(self) -> None:
        """Return when the children of runs that nobody wants any more have been stopped."""
        for arn, run in list(self._live.items()):
            if not run.wanted:
                still = asyncio.ensure_future(run.still.wait())
                await asyncio.wait((self._tasks[arn], still), return_when=asyncio.FIRST_COMPLETED)
                still.cancel()

    @property
    def open(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    @property
    def backlog(self) -> int:
        """How many wait for others to end."""
        return len(self._backlog)

    def _begin(self, run: LiveRun) -> None:
        self._tasks[run.arn] = self._household.run(run.live())

    def _leave(self, arn: str) -> None:
        del self._live[arn], self._tasks[arn]
        if self._backlog and self.open < self._most:
            self._begin(self._backlog.pop(next(iter(self._backlog))))

    # ---- as seen from outside ------------------------------------------------------------------------------------

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
        self, arn: str, status: ChildListed | None = None, limit: int = 100, after: str | None = None
    ) -> Page:
        """The child executions of a map run, the last one first. `after` is the `next` of a page.

        The summary of one that waits to be redriven has the status it had before, see `pending_redrive`. Raises
        ApiError ResourceNotFound, and NotFound where `after` is no execution.
        """
        await self.describe(arn)
        members = self._live[arn].members if arn in self._live else None
        with self._clock.busy():
            # What only this process knows: who waits, and EXPRESS children that run.
            if members is not None and (status == "PENDING_REDRIVE" or members[1].express):
                return await self._numbered(*members, status, limit, after)
            if status == "PENDING_REDRIVE":
                return Page([])
            page = await self._store.children(arn, status, limit, after)
        if status is None:
            return page
        return Page([each for each in page.executions if not self.pending_redrive(each)], page.next)

    def pending_redrive(self, summary: Summary) -> bool:
        """Whether an execution is a child that a redrive of its map run has still to start anew."""
        member = summary.member
        if member is None or member.child is None or member.run not in self._live:
            return False
        members = self._live[member.run].members
        return members is not None and members[0].child(member.child) == "PENDING_REDRIVE"

    async def _numbered(
        self, run: MapRun, children: Children, status: ChildListed | None, limit: int, after: str | None
    ) -> Page:
        last = None if after is None else (await self._store.summary(after)).member
        found: list[Summary] = []
        for number in run.numbers(status, None if last is None else last.child):
            if len(found) == limit:
                return Page(found, found[-1].arn)
            with suppress(NotFound):  # it is being started
                found.append(await self._store.summary(children.arn(number)))
        return Page(found)

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
        if arn in self._backlog:
            raise ApiError("ValidationException", "Map Run cannot be updated before it has begun.")
        event = RunUpdated(
            concurrency=concurrency, tolerated_count=tolerated_count, tolerated_percentage=tolerated_percentage
        )
        run = self._live.get(arn) if summary.status == "RUNNING" else None
        if run is None or not await run.ask(event):
            told = "Map Run cannot be updated after it has completed."
            raise ApiError("ValidationException", told, reason="CANNOT_UPDATE_COMPLETED_MAP_RUN")

    async def _find(self, arn: str) -> Summary | None:
        try:
            summary = await self._store.summary(arn)
        except NotFound:
            waiting = self._backlog.get(arn)
            return None if waiting is None else await waiting.announced()
        return summary if summary.is_map_run else None

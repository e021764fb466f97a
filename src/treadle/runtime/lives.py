"""Which executions are in memory: never two of one, and not more than there is room for.

Owns the reading of an execution from its journal, the beginning of a new one, and the forgetting of those in which
nothing is happening. Two copies of one execution would each miss what the other one writes, so there is one place that
makes them. Must never decide anything about an execution. Neighbours: live.py, engine.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Coroutine
from itertools import islice
from typing import Any, Final

from treadle.errors import ApiError, Conflict, NotFound, Unavailable
from treadle.machine.events import Event
from treadle.machine.execution import recover
from treadle.runtime.live import Host, Live, closing
from treadle.runtime.machines import Plans
from treadle.runtime.ports import Summary

log = logging.getLogger("treadle.runtime")

RETRY_SECONDS: Final = 1.0
IDLE_EXECUTIONS: Final = 2_000
"""Executions kept in memory although nothing is happening in them."""


class Lives:
    """The executions that this process holds."""

    def __init__(self, host: Host, plans: Plans) -> None:
        self._host, self._plans = host, plans
        self._held: OrderedDict[str, Live] = OrderedDict()
        self._coming: dict[str, asyncio.Future[None]] = {}  # those that are being read or begun
        self._begun: dict[str, Live] = {}  # those of which nobody knows yet whether they are in the store
        self._wanted: Counter[str] = Counter()  # how many wait for each of these

    def __len__(self) -> int:
        return len(self._held)

    def held(self, arn: str) -> Live | None:
        """The execution, where it is here and stands in the store."""
        return self._held.get(arn)

    async def get(self, arn: str) -> Live:
        """The execution, read from its journal when it is not here.

        What is to happen to it must be sent before anything else is awaited: by then it may have been forgotten. Raises
        ApiError ExecutionDoesNotExist, StoreError.
        """
        while True:
            live = self._held.get(arn)
            if live is not None:
                self._held.move_to_end(arn)
                return live
            self._wanted[arn] += 1
            try:
                if (coming := self._coming.get(arn)) is not None:
                    await asyncio.wait((coming,))
                else:
                    await asyncio.shield(self._come(arn, self._read(arn)))
            finally:
                self._wanted[arn] -= 1
                if not self._wanted[arn]:
                    del self._wanted[arn]

    async def summary(self, arn: str) -> Summary:
        """What is known of an execution. Raises StoreError."""
        live = self._held.get(arn) or self._begun.get(arn)
        return live.summary if live is not None else await self._host.store.summary(arn)

    async def begin(self, live: Live, first: Event) -> None:
        """Take a new execution's first event; durable when it returns. Raises Conflict where the ARN is known."""
        arn = live.arn
        while (coming := self._coming.get(arn)) is not None:
            await asyncio.wait((coming,))
        if arn in self._held:
            raise Conflict(f"{arn} exists")
        await asyncio.shield(self.launch(live, first))

    def launch(self, live: Live, first: Event) -> asyncio.Future[int]:
        """As `begin`, for an ARN that nobody else can know yet. What it gives is done when the start is durable."""
        answer = live.ask(first)
        answer.add_done_callback(_heed)
        # Until the fate of the first commit is known, nobody may read the execution.
        self._coming[live.arn] = asyncio.get_running_loop().create_future()
        self._begun[live.arn] = live
        return answer

    def deliver(self, arn: str, event: Event) -> None:
        """Have an event taken, as soon as the execution can be read."""
        live = self._held.get(arn)
        if live is not None:
            live.post(event)
        else:
            self._host.spawn(self._read_and_post(arn, event))

    def forget(self, arn: str) -> None:
        """What is asked of the execution next is read from the store."""
        self._held.pop(arn, None)
        if self._begun.pop(arn, None) is not None:
            self._coming.pop(arn).set_result(None)

    def known(self, live: Live) -> None:
        """An execution stands in the store and goes on: from now on others may ask for it."""
        if self._begun.get(live.arn) is live:
            self._hold(live)
            del self._begun[live.arn]
            self._coming.pop(live.arn).set_result(None)

    def rested(self, live: Live) -> None:
        """Nothing is happening in an execution any more: without room for it, it goes."""
        if self._begun.get(live.arn) is live:
            # Nobody asks after a child of a map run that has ended; there may be a hundred thousand.
            passing = live.summary.member is not None and live.summary.status != "RUNNING"
            if live.summary.length and not passing:
                self._hold(live)
            del self._begun[live.arn]
            self._coming.pop(live.arn).set_result(None)
        elif len(self._held) > IDLE_EXECUTIONS and self._held.get(live.arn) is live and live.arn not in self._wanted:
            del self._held[live.arn]

    def close(self) -> None:
        """Take nothing more: whoever still waits for one of them is told."""
        for arn, coming in self._coming.items():
            if arn not in self._begun:
                coming.cancel()
        for live in (*self._held.values(), *self._begun.values()):
            live.abandon(closing())

    def _come(self, arn: str, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        coming = self._coming[arn] = asyncio.ensure_future(work)
        coming.add_done_callback(_heed)
        coming.add_done_callback(lambda _: self._coming.pop(arn))
        return coming

    async def _read(self, arn: str) -> None:
        with self._host.clock.busy():
            try:
                summary = await self._host.store.summary(arn)
                journal = await self._host.store.journal(arn)
            except NotFound:
                raise no_execution(arn) from None
            plan = await self._plans.of(summary)
            live = Live(self._host, summary, plan, recover(plan, journal), journal[-1].at)
            self._hold(live)
            live.carry_on()

    async def _read_and_post(self, arn: str, event: Event) -> None:
        with self._host.clock.busy():
            while True:
                try:
                    live = await self.get(arn)
                except Unavailable as error:
                    log.warning("execution %s cannot be read now: %s", arn, error)
                    with self._host.clock.idle():
                        await self._host.clock.sleep_until(self._host.clock.now() + RETRY_SECONDS)
                except Exception:
                    # One execution that cannot be read must not take the others with it.
                    log.exception("execution %s cannot be read", arn)
                    return
                else:
                    live.post(event)
                    return

    def _hold(self, live: Live) -> None:
        self._held[live.arn] = live
        # One comes, two may go: never a search, however many are busy.
        for arn, each in list(islice(self._held.items(), 2)):
            if len(self._held) <= IDLE_EXECUTIONS:
                break
            if each.idle and arn not in self._wanted:
                del self._held[arn]
            else:
                self._held.move_to_end(arn)


def _heed(done: asyncio.Future[Any]) -> None:
    """Whoever asked is told of an error; if nobody waits any more, nobody needs to know."""
    if not done.cancelled():
        done.exception()


def no_execution(arn: str) -> ApiError:
    """What a call is told that names an execution which is not there."""
    return ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")

"""Redriving: who may, and that a repeated request redrives once.

A client token is noted, with the number of redrives there were, before the redrive is made. So whoever repeats a
request that was cut off by a crash finds out, by the number of redrives there are now, whether it had been done.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from treadle.api.census import Census
from treadle.catalog import Machines
from treadle.errors import ApiError, Conflict
from treadle.runtime.engine import Engine
from treadle.runtime.ports import Document, Summary
from treadle.runtime.redrivable import HISTORY_FULL, obstacle

_KIND: Final = "redrive"
_TOKENS: Final = 10
"""AWS 'RedriveExecution': how many tokens of an execution are remembered."""
_TOKEN_SECONDS: Final = 15 * 60.0


class _Noted(msgspec.Struct, frozen=True, array_like=True):
    """A token: its digest, how many redrives there were before, when it came."""

    digest: str
    before: int
    at: float


class Redrives:
    """Redrives executions of an engine."""

    def __init__(self, engine: Engine, machines: Machines, census: Census) -> None:
        self._engine, self._machines, self._census = engine, machines, census

    async def redrive(self, arn: str, token: str | None) -> float:
        """Redrive an execution; gives when it was.

        Raises ApiError ExecutionDoesNotExist, ExecutionNotRedrivable, ExecutionLimitExceeded.
        """
        summary = await self._engine.summary(arn)
        digest = None if token is None else hashlib.sha256(token.encode()).hexdigest()[:32]
        if digest is not None:
            before = next((each.before for each in (await self._noted(arn))[1] if each.digest == digest), None)
            if before is not None and summary.redrives > before:
                return await self._moment(arn, before + 1)
        reason = await self.reason(summary)
        if reason is not None:
            raise ApiError("ExecutionNotRedrivable", reason)
        self._census.room_for_execution()
        if digest is not None:
            await self._note(summary, digest)
        return await self._engine.redrive(arn)

    async def reason(self, summary: Summary) -> str | None:
        """Why an execution cannot be redriven; None when it can. AWS 'DescribeExecution', redriveStatusReason."""
        reason = obstacle(summary, self._engine.clock.now(), self._engine.limits)
        if reason is not None:
            return reason
        machine = await self._machines.find(summary.machine_arn.partition("/")[0])
        if machine is not None and machine.deleting:
            return "State machine is in DELETING status"
        limit = self._engine.limits.history_events
        if limit is not None and summary.length >= limit - 1 and not summary.is_express_child:
            # An entry may be hidden, so only now the events are counted.
            events = (await self._engine.journal(summary.arn))[-1].id
            if events >= limit - 1:
                return HISTORY_FULL
        return None

    async def _noted(self, arn: str) -> tuple[Document, list[_Noted]]:
        document = await self._engine.store.document(_KIND, arn)
        kept = msgspec.json.decode(document.value, type=list[_Noted]) if document.value else []
        now = self._engine.clock.now()
        return document, [each for each in kept if now - each.at < _TOKEN_SECONDS]

    async def _note(self, summary: Summary, digest: str) -> None:
        while True:
            document, kept = await self._noted(summary.arn)
            kept = [each for each in kept if each.digest != digest]
            kept.append(_Noted(digest, summary.redrives, self._engine.clock.now()))
            value = msgspec.json.encode(kept[-_TOKENS:])
            try:
                await self._engine.store.put_documents([msgspec.structs.replace(document, value=value)])
            except Conflict:
                continue
            return

    async def _moment(self, arn: str, number: int) -> float:
        journal = await self._engine.journal(arn)
        return [entry.at for entry in journal if entry.type == "ExecutionRedriven"][number - 1]

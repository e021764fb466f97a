"""The children of one map run: named, started, run again, stopped, and what came of them.

A child is named after the map run and its number, so starting one twice starts one. Owns what a child is given to be
an execution of its own. Must never decide which child runs: machine/map_run.py does. Neighbours: live_run.py,
fleeting.py.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Final

from treadle.errors import ApiError, NotFound
from treadle.language.plan import MapPlan
from treadle.language.scope import Json
from treadle.machine.context import iso
from treadle.machine.events import Identity, RedriveRequested, StartRequested, StopRequested
from treadle.machine.execution import Execution
from treadle.machine.journal import json_text
from treadle.machine.map_events import StartChild
from treadle.runtime.fleeting import Fleeting
from treadle.runtime.live import Host, Live
from treadle.runtime.lives import Lives
from treadle.runtime.machines import LONGEST_EXPRESS
from treadle.runtime.ports import Ends, Member, Summary
from treadle.runtime.redrivable import obstacle, redrive_status

_PAGE: Final = 100
"""Results read at once: each may have an input and an output of 256 KiB."""
_STOPPED_AT_ONCE: Final = 1000


class Children:
    """The children of the map run `run`, whose parent is the execution with this identity."""

    def __init__(
        self, host: Host, lives: Lives, fleeting: Fleeting, run: Summary, plan: MapPlan, parent: Identity
    ) -> None:
        assert plan.distribution is not None
        self._host, self._lives, self._fleeting = host, lives, fleeting
        self._run, self._plan, self._parent = run, plan, parent
        self.express = plan.distribution.execution_type == "EXPRESS"
        self._namespace = uuid.uuid5(uuid.NAMESPACE_URL, run.arn)
        kind = "express" if self.express else "execution"
        self._prefix = run.machine_arn.replace(":stateMachine:", f":{kind}:", 1)

    def arn(self, number: int) -> str:
        """The ARN of a child. The same number gives the same one."""
        return f"{self._prefix}:{self._name(number)}"

    def _name(self, number: int) -> str:
        return str(uuid.uuid5(self._namespace, str(number)))

    # ---- start, run again, stop ----------------------------------------------------------------------------------

    def launch(self, command: StartChild) -> asyncio.Future[int]:
        """Start a child for the first time. What it gives is done when that is durable, unless it is EXPRESS."""
        live, first = self._new(command, command.input, command.item, before=0)
        return self._lives.launch(live, first)

    async def start(self, command: StartChild) -> Summary | None:
        """Start a child that may have been started before; gives how it ended where it turns out to have ended.

        Raises StoreError.
        """
        arn = self.arn(command.index)
        try:
            summary = await self._host.store.summary(arn)
        except NotFound:
            await self._lives.begin(*self._new(command, command.input, command.item, before=0))
            return None
        return await self._again(command, summary)

    def _new(
        self, command: StartChild, input: Json, item: dict[str, Json] | None, before: int
    ) -> tuple[Live, StartRequested]:
        name = self._name(command.index)
        arn = f"{self._prefix}:{name}"
        run, parent = self._run, self._parent
        summary = Summary(
            arn=arn,
            machine_arn=run.machine_arn,
            name=name,
            definition=run.definition,
            status="RUNNING",
            started_at=self._host.clock.now(),
            length=0,
            parent=(run.arn, command.index),
            trace_header=run.trace_header,
            revision=run.revision,
            member=Member(run.arn, self._plan.name, command.index, command.items, command.redrive),
        )
        identity = Identity(
            arn=arn,
            name=name,
            role_arn=parent.role_arn,
            machine_arn=run.machine_arn,
            machine_name=parent.machine_name,
            longest=LONGEST_EXPRESS if self.express else None,
            item=item,
        )
        plan = self._plan.processor
        if self.express:
            self._fleeting.add(arn, before)
        return Live(self._host, summary, plan, Execution(plan)), StartRequested(input, identity)

    async def _again(self, command: StartChild, summary: Summary) -> Summary | None:
        """Redrive a child, unless that has been done.

        AWS 'Redrive Map Runs': STANDARD ones go on where they failed, EXPRESS ones start anew.
        """
        arn = summary.arn
        assert summary.member is not None
        # What was begun in a later attempt counts from there.
        done = summary.member.attempt + summary.redrives >= command.redrive
        if done or obstacle(summary, self._host.clock.now(), self._host.limits) is not None:
            return _ended(summary)
        if self.express:
            live = await self._lives.get(arn)
            execution = live.execution
            assert execution.identity is not None
            self._lives.forget(arn)
            item = execution.identity.item
            await self._lives.begin(*self._new(command, execution.input, item, before=summary.length))
            return None
        live = await self._lives.get(arn)
        return None if await live.send(RedriveRequested()) else _ended(live.summary)

    async def stop(self, number: int) -> None:
        """Stop a child, if there is one and it runs."""
        await self._stop(self.arn(number))

    async def _stop(self, arn: str) -> None:
        try:
            live = await self._lives.get(arn)
        except ApiError:
            return
        if live.summary.status == "RUNNING":
            await live.send(StopRequested())

    async def running(self) -> list[int]:
        """Some of the children that the store has as running; none when there are no more."""
        page = await self._host.store.children(self._run.arn, "RUNNING", _STOPPED_AT_ONCE)
        return [each.member.child for each in page.executions if each.member and each.member.child is not None]

    # ---- results -------------------------------------------------------------------------------------------------

    async def results(self) -> AsyncIterator[Ends]:
        """What came of each child, in the order of the items."""
        first = 0
        while page := await self._host.store.results(self._run.arn, first, _PAGE):
            for each in page:
                yield each
                assert each.summary.member is not None and each.summary.member.child is not None
                first = each.summary.member.child + 1

    async def records(self) -> AsyncIterator[dict[str, Json]]:
        """A record for each child, in the order of the items, as a result file has it."""
        async for each in self.results():
            yield record(each, self._host)


def _ended(summary: Summary) -> Summary | None:
    return None if summary.status == "RUNNING" else summary


def output_of(ends: Ends) -> Json:
    """The output of a child that succeeded."""
    return ends.last.details.get("output")


def record(ends: Ends, host: Host) -> dict[str, Json]:
    """What tells of a child in the results of a map run. AWS 'ResultWriter', Transformation NONE: data are texts."""
    summary = ends.summary
    reason = obstacle(summary, host.clock.now(), host.limits)
    told: dict[str, Json] = {}
    for name, value in (("Cause", summary.cause), ("Error", summary.error)):
        if value is not None:
            told[name] = value
    told |= {
        "ExecutionArn": summary.arn,
        "Input": json_text(ends.first.details["input"]),
        "InputDetails": {"Included": True},
        "Name": summary.name,
    }
    if summary.status == "SUCCEEDED":
        told["Output"] = json_text(output_of(ends))
    told |= {"OutputDetails": {"Included": True}, "RedriveCount": summary.times_redriven}
    told["RedriveStatus"] = redrive_status(summary, reason)
    if reason is not None:
        told["RedriveStatusReason"] = reason
    told |= {"StartDate": iso(summary.started_at), "StateMachineArn": summary.machine_arn, "Status": summary.status}
    if summary.stopped_at is not None:
        told["StopDate"] = iso(summary.stopped_at)
    return told


def labelled(machine_arn: str, run_arn: str) -> str:
    """The ARN of the state machine with the label of the Map, whose executions the children are."""
    return f"{machine_arn}/{run_arn.rpartition(':')[0].rpartition('/')[2]}"

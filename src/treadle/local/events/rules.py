"""Rules that wait for events: what matches goes to their targets.

Owns the events that come in by PutEvents and those of executions, in EventBridge's form. An event is taken once the
executions that it starts are durable. Events are not kept: one of an execution whose process dies at that moment is
lost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from treadle.errors import ApiError, StoreError
from treadle.language.scope import Json
from treadle.local.events.pattern import matches
from treadle.local.events.status import Told, status_event, written
from treadle.local.events.targets import Targets, kind_of
from treadle.local.register import LocalRegister
from treadle.local.shapes import fields, items
from treadle.runtime.ports import Summary

log = logging.getLogger("treadle.local")

_SIZE_LIMIT: Final = 262_144
"""Bytes of an entry. EventBridge 'PutEvents': 256 KB."""


class Rules:
    """Matches events against the rules of the register. `told` gives what the event of an execution has besides its
    summary."""

    def __init__(
        self,
        register: LocalRegister,
        targets: Targets,
        told: Callable[[Summary], Awaitable[Told]],
        region: str,
        account: str,
    ) -> None:
        self._register, self._targets, self._told = register, targets, told
        self._region, self._account = region, account
        self._under_way: set[asyncio.Task[None]] = set()

    async def put_events(self, request: Mapping[str, Json]) -> dict[str, Json]:
        """Take the entries of a PutEvents request and give the answer to it."""
        answers: list[dict[str, Json]] = []
        for entry in items(request.get("Entries")):
            fault = _fault(fields(entry))
            if fault is None:
                event = self._event(fields(entry))
                answers.append({"EventId": event["id"]})
                bus = str(entry.get("EventBusName") or "default").rpartition("/")[2]
                await self.take(event, bus)
            else:
                answers.append({"ErrorCode": fault[0], "ErrorMessage": fault[1]})
        return {"FailedEntryCount": sum("ErrorCode" in each for each in answers), "Entries": answers}

    def status_changed(self, summary: Summary) -> None:
        """An execution has another status: an event on the default bus."""
        if not self._register.all("rule"):
            return
        task = asyncio.get_running_loop().create_task(self._tell(summary))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _tell(self, summary: Summary) -> None:
        try:
            told = await self._told(summary)
        except (ApiError, StoreError) as error:
            log.warning("%s: nobody hears that it is %s: %s", summary.arn, summary.status, error)
            return
        await self.take(status_event(summary, told, self._region, self._account), "default")

    async def take(self, event: Mapping[str, Json], bus: str, *, passed_on: bool = False) -> None:
        """Deliver an event to the targets of every rule of the bus that waits for it.

        A target may be another bus, but none for an event that a bus has passed on (EventBridge 'Event buses as
        targets').
        """
        for rule in self._register.all("rule").values():
            if str(rule.get("EventBusName") or "default").rpartition("/")[2] != bus:
                continue
            if rule.get("State") == "DISABLED" or not matches(fields(rule.get("EventPattern")) or _NEVER, event):
                continue
            name = str(rule["__name__"])
            for target in items(rule.get("Targets")):
                other = str(fields(target).get("Arn"))
                if kind_of(other) == "events":
                    if not passed_on:
                        await self.take(event, other.rpartition("/")[2], passed_on=True)
                    continue
                await self._targets.deliver(name, fields(target), event, f"{name[:40]}-{event['id']}")

    async def close(self) -> None:
        """Let what was taken be delivered."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _event(self, entry: Mapping[str, Json]) -> dict[str, Json]:
        moment = entry.get("Time")
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": self._account,
            "time": written(float(moment)) if isinstance(moment, int | float) else written(None),
            "region": self._region,
            "resources": items(entry.get("Resources")),
            "detail": json.loads(entry["Detail"]),
        }


_NEVER: Final[Mapping[str, Json]] = {"$or": []}
"""A rule with a schedule alone waits for no event."""


def _fault(entry: Mapping[str, Json]) -> tuple[str, str] | None:
    for needed in ("Source", "DetailType", "Detail"):
        if not entry.get(needed):
            return "InvalidArgument", f"Parameter {needed} is not valid. Reason: {needed} is a required argument."
    if str(entry["Source"]).startswith("aws."):
        return "NotAuthorizedForSourceException", "Not authorized for the source."
    if len(str(entry["Detail"]).encode()) > _SIZE_LIMIT:
        return "InvalidArgument", "The entry has more than 256 KB."
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        detail = None
    return None if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")

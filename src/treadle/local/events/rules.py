"""Rules that wait for events: what matches goes to their targets.

Owns the events that come in by PutEvents and those of executions, in EventBridge's form. An event is taken once the
executions that it starts are durable. Events are not kept: one of an execution whose process dies at that moment is
lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from treadle.language.scope import Json
from treadle.local.events.pattern import matches
from treadle.local.events.targets import Targets
from treadle.local.register import LocalRegister
from treadle.local.shapes import fields, items
from treadle.runtime.ports import Summary

_SIZE_LIMIT: Final = 262_144
"""Bytes of an entry. EventBridge 'PutEvents': 256 KB."""


class Rules:
    """Matches events against the rules of the register."""

    def __init__(self, register: LocalRegister, targets: Targets, region: str, account: str) -> None:
        self._register, self._targets = register, targets
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
        """An execution has another status. Source: Step Functions 'Event schema for status changes'."""
        if not self._register.all("rule"):
            return
        detail: dict[str, Any] = {
            "executionArn": summary.arn,
            "stateMachineArn": summary.machine_arn,
            "name": summary.name,
            "status": summary.status,
            "startDate": round(summary.started_at * 1000),
            "stopDate": None if summary.stopped_at is None else round(summary.stopped_at * 1000),
            "stateMachineVersionArn": summary.version_arn,
            "stateMachineAliasArn": summary.alias_arn,
            "redriveCount": summary.redrives,
            "error": summary.error,
            "cause": summary.cause,
        }
        moment = summary.started_at if summary.stopped_at is None else summary.stopped_at
        said = json.dumps([summary.arn, summary.status, summary.redrives])
        event = {
            "version": "0",
            "id": str(uuid.UUID(hashlib.sha256(said.encode()).hexdigest()[:32])),
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": self._account,
            "time": _written(moment),
            "region": self._region,
            "resources": [summary.arn],
            "detail": detail,
        }
        task = asyncio.get_running_loop().create_task(self.take(event, "default"))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def take(self, event: Mapping[str, Json], bus: str) -> None:
        """Deliver an event to the targets of every rule of the bus that waits for it."""
        for rule in self._register.all("rule").values():
            if str(rule.get("EventBusName") or "default").rpartition("/")[2] != bus:
                continue
            if rule.get("State") == "DISABLED" or not matches(fields(rule.get("EventPattern")) or _NEVER, event):
                continue
            name = str(rule["__name__"])
            for target in items(rule.get("Targets")):
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
            "time": _written(float(moment)) if isinstance(moment, int | float) else _written(None),
            "region": self._region,
            "resources": items(entry.get("Resources")),
            "detail": json.loads(entry["Detail"]),
        }


_NEVER: Final[Mapping[str, Json]] = {"$or": []}
"""A rule with a schedule alone waits for no event."""


def _written(moment: float | None) -> str:
    when = datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


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

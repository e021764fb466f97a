"""Schedules that come due: rules with a ScheduleExpression, and schedules of EventBridge Scheduler.

Owns when each fired last, kept in the store, so that a restart neither forgets nor repeats a moment. First the targets
get the event, then the moment is kept: after a kill in between it is delivered again under the same name, which starts
no execution twice. What was missed while nothing ran is made up for once, if it is no older than its grace.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from treadle.language.scope import Json
from treadle.local.events.expression import Once, Timing, read_expression
from treadle.local.events.targets import Targets
from treadle.local.register import LocalRegister
from treadle.local.shapes import dig, fields, items
from treadle.runtime.ports import Clock, Document, Store

log = logging.getLogger("treadle.local")

GRACE: Final = timedelta(hours=1)
"""How late a moment may be made up for; a schedule says another one with MaximumEventAgeInSeconds."""

_KIND: Final = "local-schedule"


class _Fired(msgspec.Struct, frozen=True):
    """When a schedule began to exist, and the last moment that was seen to. Seconds since the epoch."""

    expression: str
    since: float
    last: float


@dataclass(frozen=True, slots=True)
class _Due:
    key: str
    moment: datetime
    kept: Document
    fired: _Fired


class Schedules:
    """Fires what is due. Run it as a task."""

    def __init__(self, register: LocalRegister, targets: Targets, store: Store, clock: Clock) -> None:
        self._register, self._targets, self._store, self._clock = register, targets, store, clock

    async def run(self) -> None:
        """Fire what is due, until it is cancelled."""
        while True:
            moment = await self.fire_due()
            waits = {asyncio.ensure_future(self._register.changed())}
            if moment is not None:
                waits.add(asyncio.ensure_future(self._clock.sleep_until(moment.timestamp())))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()

    async def fire_due(self) -> datetime | None:
        """Fire everything that is due now; gives the next moment, None when there is none."""
        moments: list[datetime] = []
        for key, properties in self._all().items():
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            document, fired = await self._fired(key, properties, now)
            timing = _timing(properties, fired)
            last = datetime.fromtimestamp(fired.last, UTC)
            due = _latest(timing, max(last, now - _grace(properties)), now)
            if due is not None:
                await self._fire(key, properties, due)
                fired = msgspec.structs.replace(fired, last=due.timestamp())
                kept = Document(kind=_KIND, key=key, value=msgspec.json.encode(fired), revision=document.revision)
                await self._store.put_documents([kept])
                last = due
            following = timing.next(max(last, now))
            if following is not None:
                moments.append(following + _flexible(key, properties, following))
        return min(moments, default=None)

    def _all(self) -> dict[str, Mapping[str, Json]]:
        rules = {
            key: rule
            for key, rule in self._register.all("rule").items()
            if "ScheduleExpression" in rule and rule.get("State") != "DISABLED"
        }
        schedules = {
            key: each for key, each in self._register.all("schedule").items() if each.get("State") != "DISABLED"
        }
        return {**rules, **schedules}

    async def _fired(self, key: str, properties: Mapping[str, Json], now: datetime) -> tuple[Document, _Fired]:
        document = await self._store.document(_KIND, key)
        said = json.dumps([properties.get("ScheduleExpression"), properties.get("ScheduleExpressionTimezone")])
        if document.value is not None:
            fired = msgspec.json.decode(document.value, type=_Fired)
            if fired.expression == said:
                return document, fired
        fired = _Fired(said, now.timestamp(), now.timestamp())
        made = Document(kind=_KIND, key=key, value=msgspec.json.encode(fired), revision=document.revision)
        await self._store.put_documents([made])
        return await self._store.document(_KIND, key), fired

    async def _fire(self, key: str, properties: Mapping[str, Json], due: datetime) -> None:
        name = str(properties["__name__"])
        targets = items(properties.get("Targets")) or [properties.get("Target")]
        scheduler, group = "Target" in properties, properties.get("GroupName") or "default"
        own = (
            f"scheduler:us-east-1:123456789012:schedule/{group}" if scheduler else "events:us-east-1:123456789012:rule"
        )
        event: dict[str, Json] = {
            "version": "0",
            "id": f"{name}-{due:%Y%m%dT%H%M%SZ}",
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler" if scheduler else "aws.events",
            "time": f"{due:%Y-%m-%dT%H:%M:%SZ}",
            "region": "us-east-1",
            "account": "123456789012",
            "resources": [f"arn:aws:{own}/{name}"],
            # Scheduler has a text here.
            "detail": "{}" if scheduler else {},
        }
        for number, target in enumerate(targets):
            await self._targets.deliver(name, fields(target), event, f"{name[:40]}-{due:%Y%m%dT%H%M%SZ}-{number}")


def _timing(properties: Mapping[str, Json], fired: _Fired) -> Timing:
    scheduler = "Target" in properties
    expression = read_expression(
        str(properties["ScheduleExpression"]), properties.get("ScheduleExpressionTimezone"), one_time=scheduler
    )
    since = _moment(properties.get("StartDate")) or datetime.fromtimestamp(fired.since, UTC)
    if isinstance(expression, Once) and expression.moment.timestamp() < fired.since:
        # It was over before the schedule was made.
        return Timing(expression, since, until=expression.moment - timedelta(seconds=1))
    return Timing(expression, since, _moment(properties.get("EndDate")))


def _moment(text: Json) -> datetime | None:
    if not isinstance(text, str):
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _latest(timing: Timing, after: datetime, now: datetime) -> datetime | None:
    """The last moment that is due: those before it were missed, and are not made up for."""
    due = None
    moment = timing.next(after)
    while moment is not None and moment <= now:
        due, moment = moment, timing.next(moment)
    return due


def _grace(properties: Mapping[str, Json]) -> timedelta:
    seconds = dig(properties, "Target", "RetryPolicy", "MaximumEventAgeInSeconds")
    return GRACE if seconds is None else timedelta(seconds=float(seconds))


def _flexible(key: str, properties: Mapping[str, Json], due: datetime) -> timedelta:
    """Somewhere within the flexible window, the same for the same moment."""
    window = fields(properties.get("FlexibleTimeWindow"))
    if window.get("Mode") != "FLEXIBLE":
        return timedelta()
    chance = random.Random(f"{key}{due.isoformat()}").random()
    return timedelta(minutes=float(window.get("MaximumWindowInMinutes", 0)) * chance)

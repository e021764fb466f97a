"""Schedule expressions: `rate(...)`, `cron(...)`, `at(...)`.

Owns when a schedule is due next, within its start and end. Pure. Source: EventBridge 'Schedule expressions',
EventBridge Scheduler 'Schedule types'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from treadle.local.events.cron import Cron, InvalidSchedule, read_cron

_UNITS: Final = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class Rate:
    """Again and again, this many seconds apart, counted from when the schedule was made."""

    seconds: int

    def next(self, after: datetime, since: datetime) -> datetime:
        """The first moment later than `after`."""
        if after < since:
            return since + timedelta(seconds=self.seconds)
        rounds = (after - since) // timedelta(seconds=self.seconds) + 1
        return since + timedelta(seconds=self.seconds) * rounds


@dataclass(frozen=True, slots=True)
class Once:
    """One moment."""

    moment: datetime


Expression: TypeAlias = Rate | Cron | Once


def read_expression(text: str, zone: str | None = None, *, one_time: bool = True) -> Expression:
    """Read a schedule expression; `zone` is a name such as Europe/Berlin. Raises InvalidSchedule.

    `one_time` tells whether `at(...)` is known: EventBridge Scheduler has it, rules do not.
    """
    where = _zone(zone)
    text = text.strip()
    if found := re.fullmatch(r"rate\(\s*(\d{1,9})\s+(minute|hour|day)(s?)\s*\)", text):
        count = int(found[1])
        if count == 0:
            raise InvalidSchedule(f"'{text}': a rate is 1 or more")
        # EventBridge 'Rate expressions': a value of 1 takes the singular, every other the plural; Scheduler takes both.
        if not one_time and (count == 1) == bool(found[3]):
            raise InvalidSchedule(f"'{text}': write rate(1 {found[2]}) and rate(5 {found[2]}s)")
        return Rate(count * _UNITS[found[2]])
    if found := re.fullmatch(r"cron\((.*)\)", text):
        try:
            return read_cron(found[1], where)
        except InvalidSchedule as error:
            raise InvalidSchedule(f"'{text}': {error}") from None
    if one_time and (found := re.fullmatch(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", text)):
        try:
            return Once(datetime.fromisoformat(found[1]).replace(tzinfo=where).astimezone(UTC))
        except ValueError as error:
            raise InvalidSchedule(f"'{text}': {error}") from None
    known = "rate(5 minutes), cron(0 8 * * ? *)" + (" or at(2030-01-31T08:00:00)" if one_time else "")
    raise InvalidSchedule(f"'{text}' is no schedule expression: write {known}")


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidSchedule(f"there is no time zone '{name}': name one such as Europe/Berlin") from None


@dataclass(frozen=True, slots=True)
class Timing:
    """An expression within its bounds. `since` is when the schedule began to exist, or its start date."""

    expression: Expression
    since: datetime
    until: datetime | None = None

    def next(self, after: datetime) -> datetime | None:
        """The first moment later than `after` at which it is due; None when there is none."""
        match self.expression:
            case Once(moment):
                due = moment if moment > after else None
            case Rate():
                due = self.expression.next(after, self.since)
            case Cron():
                due = self.expression.next(max(after, self.since - timedelta(seconds=1)))
        return None if due is None or (self.until is not None and due > self.until) else due

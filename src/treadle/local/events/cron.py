"""AWS's cron expressions: six fields, `?`, `L`, `W`, `#`, names, ranges, steps, years, in a time zone.

Owns when one fires next. Pure: the moment to start from is given. Source: EventBridge 'Cron expressions', EventBridge
Scheduler 'Cron-based schedules' for time zones: a time that a clock change leaves out is skipped, one that it repeats
fires once.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final, TypeAlias

_MONTHS: Final = dict(
    zip(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], range(1, 13), strict=True)
)
_DAYS: Final = dict(zip(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], range(1, 8), strict=True))
_LAST_YEAR: Final = 2199

Month: TypeAlias = tuple[int, int, int]
"""A month: year, month, and how many days it has."""

DayRule: TypeAlias = Callable[[Month], set[int]]


class InvalidSchedule(ValueError):
    """A schedule expression that says nothing. The message names the field."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression, read."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[DayRule, ...]
    months: frozenset[int]
    years: frozenset[int]
    zone: tzinfo

    def next(self, after: datetime) -> datetime | None:
        """The first moment later than `after` at which it fires, in UTC; None when there is none by the year 2199."""
        local = after.astimezone(self.zone)
        for year, month, days in self._months(local.year, local.month):
            first = local.day if (year, month) == (local.year, local.month) else 1
            for day in days:
                if day >= first:
                    for moment in self._moments(year, month, day):
                        if moment > after:
                            return moment
        return None

    def _months(self, year: int, month: int) -> Iterator[tuple[int, int, list[int]]]:
        for each in range(year, _LAST_YEAR + 1):
            if each in self.years:
                for number in range(month if each == year else 1, 13):
                    if number in self.months:
                        length = calendar.monthrange(each, number)[1]
                        found = {day for rule in self.days for day in rule((each, number, length))}
                        yield each, number, sorted(day for day in found if 1 <= day <= length)

    def _moments(self, year: int, month: int, day: int) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                wall = datetime(year, month, day, hour, minute)
                moment = wall.replace(tzinfo=self.zone).astimezone(UTC)
                # In the gap of a clock change the wall clock never shows this time. In the overlap fold=0 is the first.
                if moment.astimezone(self.zone).replace(tzinfo=None) == wall:
                    yield moment


def read_cron(expression: str, zone: tzinfo = UTC) -> Cron:
    """Read the six fields between the parentheses of `cron(...)`. Raises InvalidSchedule."""
    fields = expression.upper().split()
    if len(fields) != 6:
        names = "minutes hours day-of-month month day-of-week year"
        raise InvalidSchedule(f"cron has six fields ({names}), not {len(fields)}")
    minutes, hours, of_month, months, of_week, years = fields
    if (of_month == "?") == (of_week == "?"):
        raise InvalidSchedule("exactly one of day-of-month and day-of-week is '?'")
    return Cron(
        tuple(sorted(_values("minutes", minutes, 0, 59))),
        tuple(sorted(_values("hours", hours, 0, 23))),
        tuple(_days_of_month(of_month) if of_week == "?" else _days_of_week(of_week)),
        frozenset(_values("month", months, 1, 12, _MONTHS)),
        frozenset(_values("year", years, 1970, _LAST_YEAR, wraps=False)),
        zone,
    )


def _number(field: str, text: str, least: int, most: int, names: Mapping[str, int]) -> int:
    if text in names:
        return names[text]
    if not re.fullmatch(r"\d{1,4}", text) or not least <= int(text) <= most:
        raise InvalidSchedule(f"{field}: '{text}' is none of {least} to {most}")
    return int(text)


def _values(
    field: str, text: str, least: int, most: int, names: Mapping[str, int] | None = None, *, wraps: bool = True
) -> set[int]:
    """What a field of numbers, names, ranges, lists and steps stands for."""
    names = names or {}
    found: set[int] = set()
    for part in text.split(","):
        base, slash, step = part.partition("/")
        if slash and (not re.fullmatch(r"\d{1,4}", step) or int(step) == 0):
            raise InvalidSchedule(f"{field}: '{part}': a step is a number of 1 or more")
        if base == "*":
            first, last = least, most
        elif "-" in base:
            begin, _, end = base.partition("-")
            first, last = _number(field, begin, least, most, names), _number(field, end, least, most, names)
        else:
            first = _number(field, base, least, most, names)
            last = most if slash else first
        if first > last and not wraps:
            raise InvalidSchedule(f"{field}: '{part}' ends before it begins")
        span = [*range(first, last + 1)] if first <= last else [*range(first, most + 1), *range(least, last + 1)]
        found.update(span[:: int(step) if slash else 1])
    return found


def _days_of_month(text: str) -> Iterator[DayRule]:
    for part in text.split(","):
        if part == "L":
            yield lambda month: {month[2]}
        elif part == "LW":
            yield lambda month: {_nearest_weekday(month, month[2])}
        elif found := re.fullmatch(r"L-(\d{1,2})", part):
            before = _number("day-of-month", found[1], 1, 30, {})
            yield lambda month, before=before: {month[2] - before}
        elif found := re.fullmatch(r"(\d{1,2})W", part):
            day = _number("day-of-month", found[1], 1, 31, {})
            yield lambda month, day=day: {_nearest_weekday(month, day)} if day <= month[2] else set[int]()
        else:
            days = _values("day-of-month", part, 1, 31)
            yield lambda month, days=days: days


def _nearest_weekday(month: Month, day: int) -> int:
    """Monday to Friday, and never in the month before or after."""
    weekday = calendar.weekday(month[0], month[1], day)
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < month[2] else day - 2
    return day


def _days_of_week(text: str) -> Iterator[DayRule]:
    for part in text.split(","):
        if found := re.fullmatch(r"(\w+)#(\d)", part):
            day, which = _number("day-of-week", found[1], 1, 7, _DAYS), _number("day-of-week", found[2], 1, 5, {})
            yield lambda month, day=day, which=which: set(_on(month, {day})[which - 1 : which])
        elif (found := re.fullmatch(r"(\w+)L", part)) and part not in _DAYS:
            day = _number("day-of-week", found[1], 1, 7, _DAYS)
            yield lambda month, day=day: set(_on(month, {day})[-1:])
        else:
            # 'L' alone is the last day of the week, Saturday.
            days = {7} if part == "L" else _values("day-of-week", part, 1, 7, _DAYS)
            yield lambda month, days=days: set(_on(month, days))


def _on(month: Month, days: set[int]) -> list[int]:
    """The days of a month that are one of these weekdays; 1 is Sunday."""
    # calendar counts weekdays from Monday = 0.
    first = (calendar.weekday(month[0], month[1], 1) + 1) % 7
    return [day for day in range(1, month[2] + 1) if (first + day - 1) % 7 + 1 in days]

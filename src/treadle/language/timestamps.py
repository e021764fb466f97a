"""Timestamps as the States Language takes them: RFC 3339 with an upper-case `T` and an offset or `Z`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from treadle.language.scope import Json

_TIMESTAMP: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)", re.ASCII
)


def parse_timestamp(value: Json) -> tuple[int, int] | None:
    """Seconds since the epoch and nanoseconds within the second; None when the value is no timestamp."""
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    zone = UTC
    if offset != "Z":
        size = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6]))
        if size >= timedelta(hours=24):
            return None
        zone = timezone(size if offset[0] == "+" else -size)
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=zone)
    except ValueError:
        return None
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return seconds, int((fraction or "0").ljust(9, "0"))

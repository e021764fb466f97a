"""An execution's history as log records: what Express executions leave behind, and Standard ones where wanted.

The form of CloudWatch Logs records of Step Functions. Observed on AWS: all scalars are strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, TypeAlias

from treadle.language.scope import Json
from treadle.machine.journal import DETAILS, Entry, history_event

Level: TypeAlias = Literal["ALL", "ERROR", "FATAL", "OFF"]
MAX_BYTES: Final = 248 * 1024
"""AWS quota: data of one record; what is longer is cut."""

_FATAL: Final = re.compile(r"Execution(Aborted|Failed|TimedOut)")
_ERROR: Final = re.compile(r"FailStateEntered|.*(Failed|TimedOut|StateAborted|MapIterationAborted|MapRunAborted)")
_DATA: Final = ("input", "output", "parameters", "inputDetails", "outputDetails", "assignedVariables")


def log_records(
    arn: str,
    journal: Iterable[Entry],
    level: Level = "ALL",
    include_data: bool = True,
    *,
    redrives: int = 0,
    map_run: str | None = None,
) -> Iterator[dict[str, Json]]:
    """The records of a journal, or of a part of one, at a level: one per history event.

    `redrives` is how often the execution had been redriven before, `map_run` the map run whose child it is.
    """
    of_a_map_run: dict[str, Json] = {"map_run_arn": map_run} if map_run else {}
    for entry in journal:
        if entry.type == "ExecutionRedriven":
            redrives = entry.details["redriveCount"]
        if entry.id and _wanted(entry.type, level):
            yield {
                "id": str(entry.id),
                "type": entry.type,
                "details": dict(_details(entry, include_data)),
                "previous_event_id": str(entry.previous),
                "event_timestamp": str(round(entry.at * 1000)),
                "execution_arn": arn,
                "redrive_count": str(redrives),
                **of_a_map_run,
            }


def _wanted(type: str, level: Level) -> bool:
    match level:
        case "ALL":
            return True
        case "ERROR":
            return bool(_FATAL.fullmatch(type) or _ERROR.fullmatch(type))
        case "FATAL":
            return bool(_FATAL.fullmatch(type))
        case "OFF":
            return False


def _details(entry: Entry, include_data: bool) -> Iterator[tuple[str, Json]]:
    member = DETAILS[entry.type]
    shown: dict[str, Any] = history_event(entry, include_data).get(member, {}) if member else {}
    for name, value in shown.items():
        if name.endswith("Details"):
            cut = len(str(shown.get(name.removesuffix("Details"), "")).encode()) > MAX_BYTES
            yield name, {"truncated": cut}
        elif name in _DATA and isinstance(value, str):
            yield name, value.encode()[:MAX_BYTES].decode("utf-8", "ignore")
        else:
            yield name, value if isinstance(value, dict | str) else str(value).lower()

"""Whether an execution may be redriven, and in AWS's words why not. AWS 'DescribeExecution', redriveStatusReason.

Must never redrive anything: engine.py and children.py do.
"""

from __future__ import annotations

from typing import Final, Literal

from treadle.machine.limits import Limits
from treadle.runtime.ports import Summary

PERIOD_SECONDS: Final = 14 * 86_400.0
"""AWS quota: how long after its end an execution may be redriven."""
LONGEST_SECONDS: Final = 365 * 86_400.0
"""AWS quota: how long an execution may take."""
HISTORY_FULL: Final = "Execution history event limit exceeded"

RedriveStatus = Literal["REDRIVABLE", "NOT_REDRIVABLE", "REDRIVABLE_BY_MAP_RUN"]


def obstacle(summary: Summary, now: float, limits: Limits) -> str | None:
    """Why an execution cannot be redriven; None when it can, as far as its summary tells."""
    if summary.status in ("RUNNING", "SUCCEEDED"):
        return f"Execution is {summary.status} and cannot be redriven"
    # AWS 'DescribeExecution': an Express child starts anew, so nothing else stands in its way.
    if summary.is_express_child:
        return None
    assert summary.stopped_at is not None, "an execution that ended has ended at some time"
    if now - summary.started_at > LONGEST_SECONDS:
        return "Execution has exceeded the max execution time"
    if now - summary.stopped_at > PERIOD_SECONDS:
        return "Execution redrivable period exceeded"
    if summary.cause == limits.history_text:
        return HISTORY_FULL
    return None


def redrive_status(summary: Summary, obstacle: str | None) -> RedriveStatus:
    """What stands in the way, in one word; children of a map run are redriven with it, never alone."""
    if obstacle is not None:
        return "NOT_REDRIVABLE"
    return "REDRIVABLE" if summary.map_run_arn is None else "REDRIVABLE_BY_MAP_RUN"

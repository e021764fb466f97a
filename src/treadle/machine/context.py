"""The context object: what `$$` and `$states.context` show of an execution. ASL 'The Context Object'."""

from __future__ import annotations

from datetime import UTC, datetime

from treadle.language.scope import Json
from treadle.machine.execution import Execution
from treadle.machine.frame import Frame

_COUNTS_RETRIES = ("Task", "Parallel", "Map")


def iso(moment: float) -> str:
    """A moment in seconds since the epoch as AWS writes it: milliseconds, and none of them where there are none."""
    text = datetime.fromtimestamp(round(moment, 3), UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000") + "Z"


def describe(execution: Execution, frame: Frame, token: str | None, item: dict[str, Json] | None) -> dict[str, Json]:
    """The context object as the frame's state sees it; `item` is the Map item that an ItemSelector is evaluated for."""
    identity = execution.identity
    assert identity is not None
    run: dict[str, Json] = {
        "Id": identity.arn,
        "Input": execution.input,
        "StartTime": iso(execution.started_at),
        "Name": identity.name,
        "RoleArn": identity.role_arn,
    }
    if identity.counts_redrives:
        run["RedriveCount"] = execution.redrives
    if execution.redriven_at is not None:
        run["RedriveTime"] = iso(execution.redriven_at)
    context: dict[str, Json] = {
        "Execution": run,
        "StateMachine": {"Id": identity.machine_arn, "Name": identity.machine_name},
    }
    state = frame.state
    if state is not None:
        visit: dict[str, Json] = {"Name": state.name, "EnteredTime": iso(frame.entered_at)}
        # Observed on AWS: a Pass has no RetryCount.
        if state.type in _COUNTS_RETRIES:
            visit["RetryCount"] = frame.retries
        context["State"] = visit
    if token is not None:
        context["Task"] = {"Token": token}
    if item is not None or frame.item is not None:
        context["Map"] = item or frame.item
    return context

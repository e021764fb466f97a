"""The event that tells of an execution's status, as Step Functions gives it to EventBridge.

Owns its members, and what is left out of one that is too large. Pure. Source: Step Functions 'Event schema for status
changes' and 'Automating Step Functions event delivery with EventBridge'.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from treadle.language.scope import Json
from treadle.runtime.ports import Summary

_LIMIT: Final = 248 * 1024
"""Bytes of input and output, escaped as texts in JSON: more is left out."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a summary does not have: input and output as JSON text, and why the execution cannot be redriven."""

    input: str
    output: str | None = None
    reason: str | None = None


def status_event(summary: Summary, told: Told, region: str, account: str) -> dict[str, Json]:
    """The event. It has the same id whenever it is made again."""
    moment = summary.started_at if summary.stopped_at is None else summary.stopped_at
    said = json.dumps([summary.arn, summary.status, summary.redrives])
    return {
        "version": "0",
        "id": str(uuid.UUID(hashlib.sha256(said.encode()).hexdigest()[:32])),
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": account,
        "time": written(moment),
        "region": region,
        "resources": [summary.arn],
        "detail": _detail(summary, told),
    }


def written(moment: float | None) -> str:
    """A moment, in seconds, as events have it; None is now."""
    when = datetime.now(UTC) if moment is None else datetime.fromtimestamp(moment, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _detail(summary: Summary, told: Told) -> dict[str, Any]:
    output = told.output if summary.status == "SUCCEEDED" else None
    # The input goes first; the output stays as long as it fits alone.
    output_fits = output is None or _escaped(output) <= _LIMIT
    input_fits = _escaped(told.input) + (0 if output is None else _escaped(output)) <= _LIMIT
    return {
        "executionArn": summary.arn,
        "stateMachineArn": summary.machine_arn,
        "name": summary.name,
        "status": summary.status,
        "startDate": _milliseconds(summary.started_at),
        "stopDate": _milliseconds(summary.stopped_at),
        "input": told.input if input_fits else None,
        "inputDetails": {"included": input_fits},
        "output": output if output_fits else None,
        "outputDetails": None if output is None else {"included": output_fits},
        "stateMachineVersionArn": summary.version_arn,
        "stateMachineAliasArn": summary.alias_arn,
        "redriveCount": summary.redrives,
        "redriveDate": _milliseconds(summary.redriven_at),
        "redriveStatus": "NOT_REDRIVABLE" if told.reason else "REDRIVABLE",
        "redriveStatusReason": told.reason,
        "error": summary.error,
        "cause": summary.cause,
    }


def _escaped(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")) - 2


def _milliseconds(moment: float | None) -> int | None:
    return None if moment is None else round(moment * 1000)

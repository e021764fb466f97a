"""TestState: one state tried by itself, its task really called unless a mock stands in for it.

Owns the trial's way through the integrations, its time limit, and what is told of it at each inspection level. The
trial itself is the machine's (`treadle.machine.trial`); what may be asked stands in `trial_request`. Nothing is kept:
a trial that dies with the process is asked for again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import uuid
from collections.abc import Mapping
from typing import Any, Final

from treadle.api.host import Host
from treadle.api.request import Answer, Request
from treadle.api.trial_http import HttpTrace
from treadle.api.trial_request import wanted
from treadle.errors import ApiError, StatesError
from treadle.integrations.http import witnessed
from treadle.language.scope import Json
from treadle.machine.commands import RunTask
from treadle.machine.events import Event, TaskErred, TaskReturned, TimerDue
from treadle.machine.interpreter import Moment
from treadle.machine.journal import json_text
from treadle.machine.trial import Trial, Verdict
from treadle.runtime.calls import integration_for
from treadle.runtime.ports import Call, Integration

log = logging.getLogger("treadle.api")

LONGEST: Final = 300.0
"""AWS quota: how long a test of a state may take, in seconds."""

# inspectionData: these are objects or numbers, everything else is JSON as text.
_PLAIN: Final = frozenset(("errorDetails", "maxConcurrency", "toleratedFailureCount", "toleratedFailurePercentage"))


async def test(host: Host, request: Request) -> Answer:
    """TestState."""
    asked = await wanted(request)
    now = host.now()
    moment = Moment(now, random.Random(), lambda wait: uuid.uuid4().hex)
    trial = Trial(asked.state, asked.language, asked.input, moment, asked.setting, asked.mock, asked.map_setting)
    trace = HttpTrace(asked.reveal)
    if trial.waits_for() is not None:
        try:
            async with asyncio.timeout(LONGEST):
                with witnessed(trace):
                    await _work(trial, host.integrations, asked.setting.identity.arn, now)
        except TimeoutError:
            raise ApiError("ValidationException", f"The test took longer than {LONGEST:g} seconds.") from None
    if asked.map_setting.failures > trial.items:
        raise ApiError(
            "ValidationException",
            "Map iteration failure count must be less than or equal to the number of Map iterations",
        )
    answer = _answer(trial.verdict(), asked.level)
    if asked.level == "TRACE":
        answer["inspectionData"] |= trace.told
    return answer


async def _work(trial: Trial, integrations: Mapping[str, Integration], arn: str, now: float) -> None:
    """Have the task of a state done."""
    while (task := trial.waits_for()) is not None:
        limit = None if task.deadline is None else max(task.deadline - now, 0.0)
        waiting = asyncio.timeout(limit)
        try:
            async with waiting:
                event = await _outcome(integrations, _call(task, arn))
        except TimeoutError:
            if not waiting.expired():
                raise
            event = TimerDue(task.wait, "timeout")
        trial.settle(event)


async def _outcome(integrations: Mapping[str, Integration], call: Call) -> Event:
    try:
        output = await integration_for(integrations, call.resource).call(call)
        json_text(output)
    except StatesError as error:
        return TaskErred(call.wait, error.name, error.cause)
    except Exception:
        # A fault of the integration is the task's failure, here as in an execution.
        log.exception("the call of %s for a test failed unexpectedly", call.resource)
        return TaskErred(call.wait, "States.TaskFailed", f"The integration for {call.resource} is at fault.")
    return TaskReturned(call.wait, output)


def _call(task: RunTask, arn: str) -> Call:
    return Call(
        execution_arn=arn,
        wait=task.wait,
        resource=task.resource,
        arguments=task.arguments,
        token=task.token,
        credentials=task.credentials,
        attempt=task.attempt,
        idempotency=uuid.uuid4().hex,
        state=task.state,
    )


def _text(value: Json) -> str:
    """Observed on AWS: a blank after every comma and colon, other than in a history."""
    return json.dumps(value, ensure_ascii=False)


def _answer(verdict: Verdict, level: str) -> Answer:
    failure = verdict.failure
    answer: Answer = {
        "status": verdict.status,
        "output": _text(verdict.output) if verdict.status in ("SUCCEEDED", "CAUGHT_ERROR") else None,
        "error": failure and failure.error,
        "cause": failure and failure.cause,
        "nextState": verdict.next,
    }
    if level != "INFO":
        answer["inspectionData"] = _inspected(verdict)
    return answer


def _inspected(verdict: Verdict) -> dict[str, Any]:
    told: dict[str, Json] = {name: value if name in _PLAIN else _text(value) for name, value in verdict.notes.items()}
    if verdict.variables:
        told["variables"] = _text(verdict.variables)
    return told

"""Calls of integrations that are under way, one per open wait.

Effects are at least once: a call is made after the commit that wants it, and its result is an event like any other.
When the process dies in between, the wait stands in the store, and the integration's `redelivery` says whether the
call is made again or the task fails. `Call.idempotency` is the same both times. What a call raises is the task's
failure.

A call that nobody waits for any more is cancelled, unless it submits a job: then it is let end, so that the job is
known and can be stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from treadle.errors import StatesError
from treadle.language.resources import Resource, parse_resource
from treadle.language.scope import Json
from treadle.machine.commands import RunTask, StartMapRun, StartTimer, Wait
from treadle.machine.events import Event, JobAccepted, TaskErred, TaskReturned
from treadle.machine.journal import json_text
from treadle.runtime.lives import Lives
from treadle.runtime.ports import LOST, Call, Clock, Integration, WaitKind, WaitRow
from treadle.runtime.trace_context import passed_on

log = logging.getLogger("treadle.runtime")

_JOBS: Final = ("sync", "sync:2")
_CARRIERS: Final = frozenset(("sqs", "sns", "events"))
"""Services that pass a task token on without waiting for whoever gets it."""
_ANSWER_SECONDS: Final = 1.0
"""How long the end of a task waits for a carrier's answer, which is on its way."""


@dataclass(slots=True)
class _Running:
    """A call that is under way; with `job`, one that has submitted it and waits for the commit that says so."""

    row: WaitRow
    task: asyncio.Task[None] | None = None
    job: Json = None


class Calls:
    """Makes calls, and delivers what they bring."""

    def __init__(
        self,
        clock: Clock,
        integrations: Mapping[str, Integration],
        lives: Lives,
        run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._clock, self._integrations, self._lives, self._run = clock, integrations, lives, run
        self._running: dict[tuple[str, int], _Running] = {}

    def start(self, row: WaitRow, again: bool = False) -> None:
        """Make the call of a wait; `again` when one may have been made before the process ended."""
        running = self._running[row.arn, row.wait] = _Running(row)
        running.task = self._run(self._make(running, again))

    def drop(self, arn: str, wait: int) -> None:
        """Nobody wants to know any more what a call brings, and its job may stop."""
        running = self._running.pop((arn, wait), None)
        if running is None:
            return
        row, task = running.row, running.task
        assert task is not None
        if running.job is not None:
            self._run(self._cancel_job(row, running.job))
        elif row.kind == "poll":
            task.cancel()
            assert isinstance(row.command, RunTask)
            self._run(self._cancel_job(row, row.command.job))
        elif not _submits(row):
            task.cancel()

    async def carried(self, arn: str, wait: int) -> None:
        """Return when the service that carries a task's token has answered, so that TaskSubmitted comes before what the
        token's holder says, as on AWS. A carrier that is slow is not waited for."""
        running = self._running.get((arn, wait))
        if running is None or running.task is None or not isinstance(running.row.command, RunTask):
            return
        if running.row.kind == "call" and _parsed(running.row.command.resource).service in _CARRIERS:
            await asyncio.wait([running.task], timeout=_ANSWER_SECONDS)

    async def _make(self, running: _Running, again: bool) -> None:
        row = running.row
        event = await self._event(row, again)
        job = event.output if isinstance(event, JobAccepted) and _submits(row) else None
        if self._running.get((row.arn, row.wait)) is not running:
            if job is not None:
                await self._cancel_job(row, job)
            return
        running.job = job
        if job is None:
            del self._running[row.arn, row.wait]
        self._lives.deliver(row.arn, event)

    async def _event(self, row: WaitRow, again: bool) -> Event:
        command = row.command
        assert isinstance(command, RunTask)
        try:
            return await self._outcome(row, command, again)
        except StatesError as error:
            return TaskErred(row.wait, error.name, error.cause)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.exception("the call of %s for %s was cancelled by itself", command.resource, row.arn)
        except (Exception, SystemExit):
            # A fault of the integration is the task's failure, never the engine's.
            log.exception("the call of %s for %s failed unexpectedly", command.resource, row.arn)
        return TaskErred(row.wait, "States.TaskFailed", f"The integration for {command.resource} is at fault.")

    async def _outcome(self, row: WaitRow, command: RunTask, again: bool) -> Event:
        integration = integration_for(self._integrations, command.resource)
        trace = passed_on(await self._lives.summary(row.arn), row.wait)
        call = replace(self._call_of(row, command, again), trace=trace)
        if row.kind == "poll":
            # A job takes its own time; a virtual clock may pass meanwhile.
            return TaskReturned(row.wait, _data(await integration.poll(call)))
        if again and integration.redelivery == "fail":
            return TaskErred(row.wait, "States.TaskFailed", LOST)
        with self._clock.busy():
            output = _data(await integration.call(call))
        waits_on = _parsed(command.resource).pattern != "request-response"
        return JobAccepted(row.wait, output) if waits_on else TaskReturned(row.wait, output)

    async def _cancel_job(self, row: WaitRow, job: Json) -> None:
        command = row.command
        assert isinstance(command, RunTask)
        try:
            call = replace(self._call_of(row, command, again=False), job=job)
            await integration_for(self._integrations, command.resource).cancel(call)
        except StatesError as error:
            log.warning("the job of %s could not be stopped: %s", row.arn, error.cause)
        except Exception:
            # AWS 'Run a Job': stopping is best effort.
            log.exception("the job of %s could not be stopped", row.arn)

    def _call_of(self, row: WaitRow, command: RunTask, again: bool) -> Call:
        return Call(
            execution_arn=row.arn,
            wait=row.wait,
            resource=command.resource,
            arguments=command.arguments,
            token=command.token,
            credentials=command.credentials,
            attempt=command.attempt,
            idempotency=idempotency_of(row),
            again=again,
            job=command.job,
            heartbeat=command.heartbeat,
            state=command.state,
        )


def integration_for(integrations: Mapping[str, Integration], resource: str) -> Integration:
    """What serves a resource. Raises StatesError States.Runtime where nothing does."""
    parsed = _parsed(resource)
    # "lambda" serves functions and lambda:invoke, not aws-sdk:lambda:invoke.
    service = parsed.resource_type if parsed.kind == "aws-sdk" else parsed.service
    for name in (resource, f"{service}:{parsed.action}", service, parsed.kind):
        if name in integrations:
            return integrations[name]
    raise StatesError("States.Runtime", f"Nothing here serves the resource {resource}.")


def _parsed(resource: str) -> Resource:
    parsed = parse_resource(resource)
    assert parsed is not None, "lint refuses other resources"
    return parsed


def _submits(row: WaitRow) -> bool:
    """Whether the call of a wait starts a job that has to be stopped when nobody waits for it any more."""
    command = row.command
    return row.kind == "call" and isinstance(command, RunTask) and _parsed(command.resource).pattern in _JOBS


def _data(output: Json) -> Json:
    """What an integration gave, if it is JSON: else nothing could be written down."""
    json_text(output)
    return output


def kind_of(command: Wait) -> tuple[WaitKind, str | None]:
    """What an open wait needs of its host, and the topic of an activity."""
    match command:
        case StartTimer():
            return "timer", None
        case StartMapRun():
            return "map_run", None
        case RunTask(resource=resource, phase=phase):
            parsed = _parsed(resource)
            if parsed.kind == "activity":
                return ("activity", resource) if phase == "scheduled" else ("callback", None)
            if phase != "submitted":
                return "call", None
            return ("callback" if parsed.pattern == "waitForTaskToken" else "poll"), None


def idempotency_of(row: WaitRow) -> str:
    """What every call of a wait bears, so that whoever is called knows it for the same one."""
    return hashlib.blake2b(f"{row.arn}:{row.wait}".encode(), digest_size=16).hexdigest()


def row_of(arn: str, command: Wait, now: float) -> WaitRow:
    """The row of a wait that is opened now."""
    kind, topic = kind_of(command)
    due = heartbeat_due = None
    if isinstance(command, StartTimer):
        due = command.at
    elif isinstance(command, RunTask):
        due = command.deadline
        # Only who is called back can send heartbeats. AWS: they count from the submission.
        if kind == "callback" and command.heartbeat is not None:
            heartbeat_due = now + command.heartbeat
    return WaitRow(
        arn=arn,
        wait=command.wait,
        kind=kind,
        command=command,
        due=due,
        heartbeat_due=heartbeat_due,
        topic=topic,
        created_at=now,
    )

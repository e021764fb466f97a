"""Nested executions: `states:startExecution`, plain, `.sync`, `.sync:2` and `.waitForTaskToken`.

Starting is idempotent: without a name of its own the child is named after the wait that wants it, and a child that
remembers this wait as its parent is the one that an earlier call started. So a call that was under way when the process
died is simply made again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from treadle.errors import ApiError, StatesError
from treadle.integrations.arguments import expect_action, members, optional_text, required_text
from treadle.language.scope import Json
from treadle.machine.journal import json_text
from treadle.runtime.engine import Engine, Result, Started
from treadle.runtime.express import Express
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Call, Redelivery

_SUFFIX: Final = ".sync:2"
_NOT_WAITED_FOR: Final = (
    "This operation is not supported by this type of state machine: an Express child is started without .sync, "
    "or run by aws-sdk:sfn:startSyncExecution"
)


class Machines(Protocol):
    """Finds state machines by ARN."""

    async def __call__(self, arn: str) -> StateMachine | None:
        """The machine, or None."""
        ...


class StatesIntegration:
    """Starts executions of this engine from its own executions.

    Where there is an `express`, it runs those of Express state machines; without one they are durable as well.
    """

    redelivery: Redelivery = "again"

    def __init__(
        self, engine: Callable[[], Engine], machines: Machines, express: Callable[[], Express] | None = None
    ) -> None:
        self._engine, self._machines, self._express = engine, machines, express

    async def call(self, call: Call) -> Json:
        """Start the child."""
        expect_action(call, ("startExecution",))
        given = members(call.arguments)
        arn = required_text(given, "StateMachineArn")
        machine = await self._machines(arn)
        if machine is None:
            raise _refused("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'", call)
        started = await self._start(call, machine, _input(given.get("Input")), optional_text(given, "Name"))
        return {
            "ExecutionArn": started.arn,
            "SdkHttpMetadata": {"HttpStatusCode": 200},
            "SdkResponseMetadata": {"RequestId": call.idempotency},
            "StartDate": _milliseconds(started.started_at),
        }

    async def _start(self, call: Call, machine: StateMachine, input: Json, name: str | None) -> Started:
        engine = self._engine()
        parent = call.execution_arn, call.wait
        name = name or call.idempotency
        try:
            if machine.type == "EXPRESS" and self._express is not None:
                if call.resource.partition(".")[2].startswith("sync"):
                    # AWS: it cannot be described, so nobody could tell how it ended.
                    raise ApiError("StateMachineTypeNotSupported", _NOT_WAITED_FOR)
                return await self._express().start(machine, input, name, trace_header=call.trace)
            return await engine.start(machine, input, name, parent=parent, trace_header=call.trace)
        except ApiError as error:
            if error.code == "ExecutionAlreadyExists":
                summary = await engine.summary(engine.arn_of(machine, name))
                if summary.parent == parent:
                    return Started(summary.arn, summary.started_at, new=False)
            raise _refused(error.code, error.message, call) from None

    async def poll(self, call: Call) -> Json:
        """Wait for the child to end."""
        engine = self._engine()
        arn = call.job["ExecutionArn"]
        await engine.wait_closed(arn)
        return _described(await engine.result(arn), parsed=call.resource.endswith(_SUFFIX))

    async def cancel(self, call: Call) -> None:
        """Stop the child. AWS 'Run a Job': best effort."""
        try:
            await self._engine().stop(call.job["ExecutionArn"])
        except ApiError as error:
            raise StatesError(f"StepFunctions.{error.code}Exception", error.message) from None


def _input(given: Json) -> Json:
    """AWS 'StartExecution' integration: an Input that is text is the JSON itself. Observed on AWS: null is none."""
    if given is None:
        return {}
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError:
        raise StatesError(
            "StepFunctions.InvalidExecutionInputException", f"Invalid State Machine Execution Input: '{given[:200]}'"
        ) from None


def _refused(code: str, message: str, call: Call) -> StatesError:
    return StatesError(
        f"StepFunctions.{code}Exception",
        f"{message} (Service: AWSStepFunctions; Status Code: 400; Error Code: {code}; "
        f"Request ID: {call.idempotency}; Proxy: null)",
    )


def _milliseconds(moment: float) -> int:
    return round(moment * 1000)


def _described(result: Result, parsed: bool) -> dict[str, Json]:
    """DescribeExecution with capital letters; Input and Output parsed for `.sync:2`, texts for `.sync`."""
    summary = result.summary

    def data(value: Json) -> Json:
        return value if parsed else json_text(value)

    told: dict[str, Json] = {
        "ExecutionArn": summary.arn,
        "Input": data(result.input),
        "InputDetails": {"Included": True},
        "Name": summary.name,
        "StartDate": _milliseconds(summary.started_at),
        "StateMachineArn": summary.machine_arn,
        "Status": summary.status,
        "StopDate": _milliseconds(summary.stopped_at or summary.started_at),
    }
    if summary.status == "SUCCEEDED":
        return {**told, "Output": data(result.output), "OutputDetails": {"Included": True}}
    for name, value in (("Error", summary.error), ("Cause", summary.cause)):
        if value is not None:
            told[name] = value
    # Observed on AWS: whatever became of the child, the parent's task failed.
    raise StatesError("States.TaskFailed", json_text(dict(sorted(told.items()))))

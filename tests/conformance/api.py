"""The operations of Step Functions that the recorded cases need, answered in this process by the virtual-time world.

A real boto3 client stays in front of it, so that validation, timestamps and exceptions are boto3's own; only the
request never leaves the process.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from treadle.errors import DefinitionError
from treadle.language.compile import compile_definition
from treadle.language.diagnostics import Diagnostic
from treadle.language.plan import Plan
from treadle.machine.events import Identity
from treadle.machine.journal import json_text
from treadle.testing import Run

from .services import CaseWorld, Functions, Worker

ACCOUNT = "123456789012"
REGION = "us-east-1"
_YEAR = 365 * 86_400.0  # AWS quota: no execution lives longer
_STATES = f"arn:aws:states:{REGION}:{ACCOUNT}"


class Refused(Exception):
    """An error of the API: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Machine:
    """A state machine as created."""

    arn: str
    name: str
    type: str
    role: str
    plan: Plan


@dataclass
class StepFunctions:
    """One account. Executions run to their end before StartExecution answers; time is virtual."""

    functions: Functions
    workers: dict[str, Worker] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    executions: dict[str, Run] = field(default_factory=dict)

    def client(self) -> Any:
        """A boto3 client whose requests are answered here."""
        client = boto3.client("stepfunctions", REGION, aws_access_key_id="none", aws_secret_access_key="none")
        client.meta.events.register("before-send.stepfunctions", self._respond)
        return client

    def _respond(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        target = request.headers["X-Amz-Target"]
        operation = (target.decode() if isinstance(target, bytes) else target).partition(".")[2]
        try:
            status, answer = 200, getattr(self, operation)(json.loads(request.body))
        except Refused as refused:
            status, answer = 400, {"__type": refused.code, "message": refused.message}
        headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": "application/x-amz-json-1.0"}
        return AWSResponse(request.url, status, headers, _Body(json.dumps(answer).encode()))

    # ---- state machines ----

    def CreateStateMachine(self, given: Mapping[str, Any]) -> dict[str, Any]:
        type = given.get("type", "STANDARD")
        try:
            plan = compile_definition(given["definition"], type)
        except DefinitionError as error:
            told = ", ".join(str(each) for each in _errors(error))
            raise Refused("InvalidDefinition", f"Invalid State Machine Definition: '{told}'") from None
        arn = f"{_STATES}:stateMachine:{given['name']}"
        self.machines[arn] = Machine(arn, given["name"], type, given["roleArn"], plan)
        return {"stateMachineArn": arn, "creationDate": time.time()}

    def ValidateStateMachineDefinition(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found: list[Diagnostic] = []
        try:
            compile_definition(given["definition"], given.get("type", "STANDARD"))
        except DefinitionError as error:
            found = _errors(error)
        shown = [
            {
                "severity": each.severity,
                "code": each.code,
                "message": each.message,
                **({"location": each.location} if each.location else {}),
            }
            for each in found
        ]
        return {"result": "FAIL" if found else "OK", "diagnostics": shown, "truncated": False}

    def DeleteStateMachine(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self.machines.pop(given["stateMachineArn"], None)
        return {}

    # ---- executions ----

    def StartExecution(self, given: Mapping[str, Any]) -> dict[str, Any]:
        machine = self._machine(given["stateMachineArn"])
        name = given.get("name") or str(uuid.uuid4())
        run = self._run(machine, name, given.get("input") or "{}", time.time())
        return {"executionArn": _identity(run).arn, "startDate": run.execution.started_at}

    def StartSyncExecution(self, given: Mapping[str, Any]) -> dict[str, Any]:
        machine = self._machine(given["stateMachineArn"])
        name = given.get("name") or str(uuid.uuid4())
        run = self._run(machine, name, given.get("input") or "{}", time.time(), sync=True)
        return {
            **_described(run),
            "billingDetails": {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": 100},
            "outputDetails": {"included": True},
        }

    def DescribeExecution(self, given: Mapping[str, Any]) -> dict[str, Any]:
        run = self._execution(given["executionArn"])
        answer = {**_described(run), "redriveCount": 0}
        if run.status in ("RUNNING", "SUCCEEDED"):
            answer["redriveStatus"] = "NOT_REDRIVABLE"
            answer["redriveStatusReason"] = f"Execution is {run.status} and cannot be redriven"
        else:
            answer["redriveStatus"] = "REDRIVABLE"
        return answer

    def GetExecutionHistory(self, given: Mapping[str, Any]) -> dict[str, Any]:
        events = self._execution(given["executionArn"]).history
        if given.get("reverseOrder"):
            events.reverse()
        return {"events": events[: given.get("maxResults") or 100]}

    def StopExecution(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"stopDate": time.time()}

    # ---- activities ----

    def CreateActivity(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"activityArn": f"{_STATES}:activity:{given['name']}", "creationDate": time.time()}

    def DeleteActivity(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    # ---- inside ----

    def _machine(self, arn: str) -> Machine:
        if arn not in self.machines:
            raise Refused("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return self.machines[arn]

    def _execution(self, arn: str) -> Run:
        if arn not in self.executions:
            raise Refused("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return self.executions[arn]

    def _run(self, machine: Machine, name: str, input: str, at: float, sync: bool = False) -> Run:
        """Run an execution as far as it goes."""
        kind = "execution" if machine.type == "STANDARD" else "express"
        tail = "" if machine.type == "STANDARD" else f":{uuid.uuid4()}"
        identity = Identity(
            arn=f"{_STATES}:{kind}:{machine.name}:{name}{tail}",
            name=name,
            role_arn=machine.role,
            machine_arn=machine.arn,
            machine_name=machine.name,
            counts_redrives=not sync,
        )
        world = CaseWorld(at, self.functions, self.workers, self._nested)
        run = world.start(machine.plan, json.loads(input), identity, input)
        world.run(until=at + _YEAR)
        self.executions[identity.arn] = run
        return run

    def _nested(self, machine_arn: str, name: str, input: str, at: float) -> Run | None:
        machine = self.machines.get(machine_arn)
        return None if machine is None else self._run(machine, name, input, at)


class _Body(io.BytesIO):
    """A response body as botocore reads it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


def _errors(error: DefinitionError) -> list[Diagnostic]:
    return [each for each in error.diagnostics if each.severity == "ERROR"]


def _identity(run: Run) -> Identity:
    identity = run.execution.identity
    assert identity is not None
    return identity


def _described(run: Run) -> dict[str, Any]:
    """What DescribeExecution and StartSyncExecution have in common."""
    identity, execution = _identity(run), run.execution
    answer: dict[str, Any] = {
        "executionArn": identity.arn,
        "stateMachineArn": identity.machine_arn,
        "name": identity.name,
        "status": execution.status,
        "startDate": execution.started_at,
        "input": execution.input_text or json_text(execution.input),
        "inputDetails": {"included": True},
    }
    if execution.status != "RUNNING":
        answer["stopDate"] = run.journal[-1].at
    if execution.status == "SUCCEEDED":
        answer |= {"output": json_text(execution.output), "outputDetails": {"included": True}}
    told = {"error": execution.error, "cause": execution.cause}
    return answer | {key: value for key, value in told.items() if value is not None}

"""What the tasks of the recorded cases call: scripted Lambda functions, nested executions, activity workers.

Owns AWS's words and shapes around such a call. The behaviours themselves are those of the cases' own Lambda stub.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from treadle.language.plan import TaskPlan
from treadle.language.resources import Resource
from treadle.machine.commands import RunTask
from treadle.machine.journal import json_text
from treadle.testing import Fails, Never, Returns, Run, World

_JSON = "application/x-amz-json-1.0"

Behaviour = Mapping[str, Any]
Reply = tuple[int, Mapping[str, str], bytes]


class Nested(Protocol):
    """What starts an execution of a state machine that a task names; None when there is no such machine."""

    def __call__(self, machine_arn: str, name: str, input: str, at: float) -> Run | None: ...


@dataclass
class Functions:
    """The Lambda functions of the running case. `play` is the stub's: (behaviour, event, call number) -> reply."""

    play: Callable[[Behaviour, Any, int], Reply]
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def define(self, name: str, behaviour: Behaviour) -> None:
        """Create a function, or give it another behaviour."""
        self.behaviours[name] = behaviour
        self.calls[name] = 0

    def call(self, name: str, event: Any) -> tuple[Reply, float]:
        """The function's reply and the seconds that it took."""
        behaviour, seconds = self.behaviours[name], 0.0
        # The stub would sleep for real.
        while behaviour["kind"] == "sleep":
            seconds += behaviour["seconds"]
            behaviour = behaviour.get("then", {"kind": "identity"})
        turn = self.calls[name]
        self.calls[name] = turn + 1
        return self.play(behaviour, event, turn), seconds


@dataclass(frozen=True)
class Worker:
    """An activity worker of a case: its name, and what it does with a task."""

    name: str | None
    template: str

    def answer(self, input: Any) -> Returns | Fails | Never:
        match self.template:
            case "BASE_ID_ACTIVITY_CONSUMER" | "HEARTBEAT_ID_ACTIVITY_CONSUMER":
                return Returns(input)
            case "BASE_ID_ACTIVITY_CONSUMER_FAIL":
                return Fails("Programmatic Error", json_text(input))
            case _:
                return Never()


class CaseWorld(World):
    """The world of one execution of a case."""

    def __init__(self, start: float, functions: Functions, workers: Mapping[str, Worker], nested: Nested) -> None:
        super().__init__(start=start)
        self.functions, self.workers, self.nested = functions, workers, nested

    def worker_of(self, task: RunTask) -> str | None:
        worker = self.workers.get(task.resource)
        return worker and worker.name

    def answer(self, name: str, plan: TaskPlan | None, arguments: Any) -> Returns | Fails | Never:
        if plan is None:
            return Fails("Testing.NoAnswer", f"{name} needs a service that is not here.")
        resource = plan.resource
        match resource.kind, resource.service:
            case "activity", _:
                return self.workers[resource.arn].answer(arguments)
            case "lambda", _:
                return self._function(function_name(resource.arn), arguments)
            case "service", "lambda":
                return self._invoke(resource, arguments)
            case "service", "states":
                return self._start_execution(resource, arguments)
        return Fails("Testing.NoAnswer", f"{resource.arn} needs a service that is not here.")

    # ---- Lambda ----

    def _function(self, name: str, event: Any) -> Returns | Fails:
        """A function named by its own ARN: the bare payload comes back."""
        if name not in self.functions.behaviours:
            return _no_function(name)
        (status, headers, body), seconds = self.functions.call(name, event)
        if status >= 300:
            return _api_error(status, headers, body, seconds)
        if "X-Amz-Function-Error" in headers:
            # Observed on AWS: the cause is the payload as the function's runtime wrote it.
            return Fails(json.loads(body).get("errorType"), body.decode(), seconds)
        return Returns(json.loads(body), seconds)

    def _invoke(self, resource: Resource, arguments: Any) -> Returns | Fails | Never:
        """The optimised lambda:invoke: the payload comes back within the answer of the API."""
        name = function_name(arguments["FunctionName"])
        if name not in self.functions.behaviours:
            return _no_function(name)
        event = arguments.get("Payload")
        (status, headers, body), seconds = self.functions.call(name, {} if event is None else event)
        if status >= 300:
            return _api_error(status, headers, body, seconds)
        payload = json.loads(body)
        if "X-Amz-Function-Error" in headers:
            # Observed on AWS: the cause is the payload written anew, without blanks.
            return Fails(payload.get("errorType"), json_text(payload), seconds)
        result: dict[str, Any] = {"ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": 200}
        sent = {
            "X-Amz-Executed-Version": "$LATEST",
            "x-amzn-Remapped-Content-Length": "0",
            "Connection": "keep-alive",
            "Content-Length": str(len(body)),
            "X-Amzn-Trace-Id": f"root=1-{uuid.uuid4().hex}",
            "Content-Type": "application/json",
        }
        if str(arguments.get("LogType")).lower() == "tail":
            result["LogResult"] = sent["X-Amz-Log-Result"] = "U1RBUlQ="
        result = dict(sorted((result | _metadata(sent)).items()))
        if resource.pattern == "waitForTaskToken":
            return Never(result)
        return Returns(result, seconds)

    # ---- Step Functions ----

    def _start_execution(self, resource: Resource, arguments: Any) -> Returns | Fails | Never:
        arn, given = arguments["StateMachineArn"], arguments.get("Input")
        # Observed on AWS: `Input: null` starts with an empty object; a string is the text of the input.
        input = "{}" if given is None else given if isinstance(given, str) else json_text(given)
        run = self.nested(arn, arguments.get("Name") or str(uuid.uuid4()), input, self.now)
        if run is None:
            told = f"State Machine Does Not Exist: '{arn}'"
            return _service_error("StepFunctions", "AWSStepFunctions", 400, "StateMachineDoesNotExist", told)
        identity = run.execution.identity
        assert identity is not None
        started = {"ExecutionArn": identity.arn, "StartDate": int(run.execution.started_at * 1000)}
        body = f'{{"executionArn":"{identity.arn}","startDate":{run.execution.started_at / 1e9:.12f}E9}}'
        sent = {"connection": "keep-alive", "Content-Length": str(len(body)), "Content-Type": _JSON}
        accepted = dict(sorted((started | _metadata(sent)).items()))
        match resource.pattern:
            case "request-response":
                return Returns(accepted)
            case "waitForTaskToken":
                return Never(accepted)
            case "sync" | "sync:2" as pattern:
                result = described(run, (lambda value: value) if pattern == "sync:2" else json_text)
                if run.status == "SUCCEEDED":
                    return Returns(result, run.seconds, accepted)
                # Observed on AWS: the cause of a child that failed has its input and output as text in any case.
                return Fails("States.TaskFailed", json_text(described(run, json_text)), run.seconds, accepted=accepted)


def described(run: Run, data: Callable[[Any], Any]) -> dict[str, Any]:
    """DescribeExecution as a task's result shows it; `data` shapes input and output."""
    execution = run.execution
    identity = execution.identity
    assert identity is not None
    result = {
        "ExecutionArn": identity.arn,
        "Input": data(execution.input),
        "InputDetails": {"Included": True},
        "Name": identity.name,
        "StartDate": int(execution.started_at * 1000),
        "StateMachineArn": identity.machine_arn,
        "Status": execution.status,
        "StopDate": int(run.journal[-1].at * 1000),
    }
    if execution.status == "SUCCEEDED":
        result |= {"Output": data(execution.output), "OutputDetails": {"Included": True}}
    else:
        result |= {key: value for key, value in (("Cause", execution.cause), ("Error", execution.error)) if value}
    return dict(sorted(result.items()))


def function_name(written: str) -> str:
    """The name in a function's ARN, partial ARN or qualified name."""
    parts = written.split(":function:")[-1].split(":")
    return parts[0]


def _no_function(name: str) -> Fails:
    told = f"Function not found: arn:aws:lambda:us-east-1:123456789012:function:{name}:$LATEST"
    return _service_error("Lambda", "AWSLambda", 404, "ResourceNotFoundException", told)


def _api_error(status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> Fails:
    return _service_error(
        "Lambda", "AWSLambda", status, headers["x-amzn-ErrorType"], json.loads(body)["Message"], seconds
    )


def _service_error(prefix: str, service: str, status: int, code: str, told: str, seconds: float = 0) -> Fails:
    """Observed on AWS: how an optimised integration tells of an API error."""
    name = code if code.endswith("Exception") else f"{code}Exception"
    request = uuid.uuid4()
    return Fails(
        f"{prefix}.{name}",
        f"{told} (Service: {service}; Status Code: {status}; Error Code: {code}; Request ID: {request}; Proxy: null)",
        seconds,
    )


def _metadata(headers: dict[str, str]) -> dict[str, Any]:
    """What the optimised integrations add to an answer of an API."""
    request = str(uuid.uuid4())
    sent = {**headers, "x-amzn-RequestId": request, "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in sent.items()},
            "HttpHeaders": sent,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request},
    }

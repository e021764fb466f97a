"""Task: have something done outside. ASL 'Task State'.

Lambda functions, activities and service integrations each have history events of their own family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from treadle.errors import StatesError
from treadle.language.plan import TaskPlan
from treadle.language.scope import Json
from treadle.machine.dataflow import arguments, evaluated, taken
from treadle.machine.frame import Failure, Frame
from treadle.machine.limits import too_large
from treadle.machine.retry import told

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter

_FAMILIES: Final = {"lambda": "LambdaFunction", "activity": "Activity"}
_FAILURES: Final = {
    "LambdaFunction": {
        "schedule": "LambdaFunctionScheduleFailed",
        "start": "LambdaFunctionStartFailed",
    },
    "Activity": {"schedule": "ActivityScheduleFailed"},
    "Task": {"start": "TaskStartFailed", "submit": "TaskSubmitFailed"},
}
"""By family and phase, where AWS has an event other than ...Failed."""


def family(state: TaskPlan) -> str:
    """The prefix of the state's task events."""
    return _FAMILIES.get(state.resource.kind, "Task")


def takes_token(state: TaskPlan) -> bool:
    """Whether `$$.Task.Token` exists: the task is ended from outside by its token."""
    return state.resource.kind == "activity" or state.resource.pattern != "request-response"


def run(machine: Interpreter, frame: Frame, state: TaskPlan) -> None:
    """Schedule the task."""
    token = machine.token_for(machine.execution.seq + 1) if takes_token(state) else None
    given = arguments(machine, frame, state, token)
    if not machine.fits(given):
        raise StatesError("States.DataLimitExceeded", too_large(state.name))
    root = taken(machine, frame, state)
    kind = family(state)
    details: dict[str, Json]
    if kind == "Task":
        assert machine.execution.identity is not None
        region = state.resource.region or machine.execution.identity.arn.split(":")[3]
        details = {**resource_details(state), "region": region, "parameters": given}
    else:
        details = {"resource": state.resource.arn, "input": given}
    note: dict[str, Json] = {} if token is None else {"token": token}
    if state.timeout is not None:
        details["timeoutInSeconds"] = evaluated(machine, frame, state.timeout, root)
    if state.heartbeat is not None:
        # The event of a Lambda function has no member for it.
        (note if kind == "LambdaFunction" else details)["heartbeatInSeconds"] = evaluated(
            machine, frame, state.heartbeat, root
        )
    if state.credentials is not None:
        note["credentials"] = evaluated(machine, frame, state.credentials, root)
        details["taskCredentials"] = {"roleArn": note["credentials"].get("RoleArn")}
    machine.record(frame, f"{kind}Scheduled", details, note)


def start(machine: Interpreter, frame: Frame, state: TaskPlan) -> None:
    """Start what was scheduled at once; only an activity waits until a worker takes it."""
    machine.record(frame, f"{family(state)}Started", resource_details(state))


def resource_details(state: TaskPlan) -> dict[str, Json]:
    """What every event of a service integration repeats."""
    if family(state) != "Task":
        return {}
    return {"resourceType": state.resource.resource_type, "resource": state.resource.name}


def returned(machine: Interpreter, frame: Frame, state: TaskPlan, output: Json) -> None:
    """The task ended well, unless its result is too large: observed on AWS, that is the task's failure."""
    if machine.fits(output):
        machine.record(frame, f"{family(state)}Succeeded", {**resource_details(state), "output": output})
    else:
        name = state.resource.resource_type if family(state) == "Task" else state.resource.arn
        erred(machine, frame, state, Failure("States.DataLimitExceeded", too_large(name)))


def erred(machine: Interpreter, frame: Frame, state: TaskPlan, failure: Failure, phase: str = "run") -> None:
    """The task failed, in this phase."""
    kind = family(state)
    type = _FAILURES[kind].get(phase, f"{kind}Failed")
    machine.record(frame, type, {**resource_details(state), **told(failure)})


def timed_out(machine: Interpreter, frame: Frame, state: TaskPlan, heartbeat: bool) -> None:
    """A deadline passed. Observed on AWS: a missed heartbeat, too, is told as States.Timeout, without a cause."""
    note: dict[str, Json] = {"also": "States.HeartbeatTimeout"} if heartbeat else {}
    machine.record(frame, f"{family(state)}TimedOut", {**resource_details(state), "error": "States.Timeout"}, note)

"""What Tasks call: whether the resource exists, whether this type of workflow may use it, and how long it may take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from treadle.language.lints.finding import Finding, error, warning
from treadle.language.lints.outline import Scope, State
from treadle.language.lints.slots import Slot, reading, slots
from treadle.language.places import Path
from treadle.language.resources import READERS, WRITERS, Resource, parse_resource
from treadle.language.values import is_number, is_object

Findings = Iterator[Finding]

EXPRESS_LIMIT: Final = 300
"""Seconds that an EXPRESS execution lasts at most."""

# Observed on AWS: the texts, with the blank at the end of the last.
_NOT_IN_EXPRESS: Final = {
    "sync": "'.sync' service integration",
    "sync:2": "'.sync' service integration",
    "waitForTaskToken": "'.waitForTaskToken' service integration ",
}
_AWAITED: Final = {
    "sync": "the end of a job",
    "sync:2": "the end of an execution",
    "waitForTaskToken": "a callback",
}
_TOKEN_IN_TEXT: Final = re.compile(r"Task\s*\.\s*Token|\bToken\b")


def _tasks(machine: Scope) -> Iterator[tuple[State, Resource]]:
    for state in machine.every_state():
        if state.type == "Task" and (resource := _resource(state)):
            yield state, resource


def _resource(state: State) -> Resource | None:
    written = state.fields.get("Resource")
    return parse_resource(written) if isinstance(written, str) else None


def unknown_resources(machine: Scope) -> Findings:
    """Resources that AWS does not know, in Tasks and in the readers and writers of a distributed Map."""
    for state in machine.every_state():
        if state.type == "Task":
            resource = _resource(state)
            if resource is None or resource.kind == "unknown":
                yield from _unrecognized(state.fields.get("Resource"), (*state.path, "Resource"), _TASK_REMEDY)
        for name, known in (("ItemReader", READERS), ("ResultWriter", WRITERS)):
            block = state.fields.get(name)
            if state.type == "Map" and is_object(block) and isinstance(block.get("Resource"), str):
                resource = parse_resource(block["Resource"])
                if resource is None or f"{resource.service}:{resource.name}" not in known:
                    remedy = f"Write arn:aws:states:::{' or arn:aws:states:::'.join(sorted(known))}."
                    yield from _unrecognized(block["Resource"], (*state.path, name, "Resource"), remedy)


_TASK_REMEDY: Final = (
    "Write the ARN of a Lambda function, of an activity or of an integration; "
    "an API without integration of its own is called with arn:aws:states:::aws-sdk:service:action."
)


def _unrecognized(written: object, path: Path, remedy: str) -> Findings:
    if isinstance(written, str):
        # Observed on AWS: an optimised integration without this API.
        message = (
            f"The resource provided {written} is not recognized. The value is not a valid resource ARN, "
            "or the resource is not available in this region."
        )
        yield error(message, path, remedy)


def express_limits(machine: Scope) -> Findings:
    """What an EXPRESS workflow cannot do: anything that outlasts it."""
    for state, resource in _tasks(machine):
        if state.scope.workflow == "EXPRESS" and (lack := _lacking(resource)):
            path = (*state.path, "Resource")
            remedy = "Use a STANDARD workflow, or the request-response pattern."
            if _runs_in_children(state.scope):
                yield warning(
                    "EXPRESS_CHILD_CANNOT_WAIT", f"Express state machine does not support {lack}", path, remedy
                )
            else:
                yield error(f"Express state machine does not support {lack}", path, remedy)
    for state in machine.every_state():
        if state.is_distributed_map and state.scope.workflow == "EXPRESS":
            message = "Express state machine does not support a Map in DISTRIBUTED mode"
            yield error(message, state.path, "Use a STANDARD workflow, or Mode INLINE.")
        yield from _long_waits(state)


def _lacking(resource: Resource) -> str:
    """The feature of this resource that EXPRESS lacks, "" for none."""
    return "Activity ARN" if resource.kind == "activity" else _NOT_IN_EXPRESS.get(resource.pattern, "")


def _runs_in_children(scope: Scope) -> bool:
    while not scope.distributed and scope.owner:
        scope = scope.owner.scope
    return scope.distributed


def _long_waits(state: State) -> Findings:
    seconds = state.fields.get("Seconds")
    if state.type == "Wait" and state.scope.workflow == "EXPRESS" and is_number(seconds) and seconds >= EXPRESS_LIMIT:
        message = f"The state waits {seconds} seconds, and an Express execution lasts {EXPRESS_LIMIT} at most"
        yield warning("EXPRESS_WAIT_TOO_LONG", message, (*state.path, "Seconds"), "Use a STANDARD workflow.")


def bad_credentials(machine: Scope) -> Findings:
    """AWS 'Accessing resources in other AWS accounts': Credentials name a role."""
    for state in machine.every_state():
        credentials = state.fields.get("Credentials")
        if state.type != "Task" or not is_object(credentials):
            continue
        dynamic = "RoleArn.$" in credentials and state.language == "JSONPath"
        if "RoleArn" not in credentials and not dynamic:
            path = (*state.path, "Credentials")
            yield error("The field 'RoleArn' is required but was missing", path, "Name the role to take.")
        elif not dynamic and not isinstance(credentials["RoleArn"], str):
            path = (*state.path, "Credentials", "RoleArn")
            yield error("The field 'RoleArn' must be a string", path, "Write the ARN of the role.")


def open_ended(machine: Scope) -> Findings:
    """Tasks whose end comes from outside and may never come, with nothing that limits the waiting."""
    if "TimeoutSeconds" in machine.fields:
        return
    limits = {"TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath"}
    for state, resource in _tasks(machine):
        waits = resource.kind == "activity" or resource.pattern != "request-response"
        if waits and state.scope.workflow == "STANDARD" and not limits & state.fields.keys():
            awaited = "a worker" if resource.kind == "activity" else _AWAITED[resource.pattern]
            message = f"The task waits for {awaited}, up to a year: it has no timeout"
            yield warning("TASK_WITHOUT_TIMEOUT", message, state.path, "Set TimeoutSeconds or HeartbeatSeconds.")


def late_heartbeats(machine: Scope) -> Findings:
    """ASL 'Task State': the heartbeat interval is smaller than the timeout."""
    for state in machine.every_state():
        heartbeat, timeout = state.fields.get("HeartbeatSeconds"), state.fields.get("TimeoutSeconds")
        if state.type == "Task" and is_number(heartbeat) and is_number(timeout) and heartbeat >= timeout:
            message = f"HeartbeatSeconds ({heartbeat}) is not smaller than TimeoutSeconds ({timeout})"
            remedy = "Make it smaller: the timeout always comes first."
            yield warning("HEARTBEAT_TOO_LONG", message, (*state.path, "HeartbeatSeconds"), remedy)


def missing_tokens(machine: Scope) -> Findings:
    """Callbacks nobody can make, since the task token is not handed out."""
    for state, resource in _tasks(machine):
        if resource.pattern == "waitForTaskToken" and not any(_hands_out(slot) for slot in slots(state)):
            arguments = "Arguments" if state.language == "JSONata" else "Parameters"
            token = "{% $states.context.Task.Token %}" if state.language == "JSONata" else "$$.Task.Token"
            message = "The task waits for its token to come back, but gives it to nobody"
            yield warning("TASK_TOKEN_NOT_PASSED", message, state.path, f"Put `{token}` into {arguments}.")


def not_on_aws(machine: Scope) -> Findings:
    """Resources that treadle has and AWS has not."""
    for state, resource in _tasks(machine):
        if resource.kind == "mcp":
            message = f"AWS Step Functions has no {resource.service}:{resource.action}: it refuses this definition"
            remedy = "Call the tool from a Lambda function if the definition is to be deployed to AWS."
            yield warning("NOT_ON_AWS", message, (*state.path, "Resource"), remedy)


def _hands_out(slot: Slot) -> bool:
    read = reading(slot)
    if slot.language == "JSONata":
        return "*" in read.members or ("context" in read.members and _TOKEN_IN_TEXT.search(slot.text) is not None)
    return any(query.root == "context" and _covers_token(query.text) for query in read.queries)


def _covers_token(text: str) -> bool:
    return "Token" in text or text in ("$$", "$$.Task", "$$['Task']")

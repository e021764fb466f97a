"""Optimised integrations of AWS services: `arn:aws:states:::dynamodb:putItem` and its kind, with their quirks.

One engine for all of them; what each does stands in `connectors`, and in `jobs` for `.sync`. `lambda`, `states`,
`apigateway` and `http` have integrations of their own.

A call that was under way when the process died is made again under the rules of `sdk`. A job whose name can be taken
only once is recognised as the one that was started before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from treadle.errors import StatesError
from treadle.integrations.aws.actions import Action, optimised_action
from treadle.integrations.aws.bedrock import INVOKE_MODEL, invoke_model
from treadle.integrations.aws.connectors import (
    CONNECTORS,
    LOOKED_UP,
    MODULES,
    REQUESTS,
    ByName,
    Connector,
    Request,
    at,
    made,
)
from treadle.integrations.aws.failures import Voice, unusable
from treadle.integrations.aws.jobs import JOBS, Job, wait
from treadle.integrations.aws.sdk import ask, resource_of
from treadle.integrations.aws.sessions import AwsSessions
from treadle.integrations.aws.wire import metadata
from treadle.language.resources import OPTIMISED
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object
from treadle.machine.journal import json_text
from treadle.runtime.ports import LOST, Call, Clock, Redelivery


class OptimisedIntegration:
    """Calls the actions of the table, waits for their jobs, stops them."""

    redelivery: Redelivery = "again"

    def __init__(self, sessions: AwsSessions, clock: Callable[[], Clock]) -> None:
        self._sessions, self._clock = sessions, clock

    async def call(self, call: Call) -> Json:
        """Call the action and give its answer; for `.sync` the answer that names the job."""
        key, connector = _served(call)
        arguments = _adjusted(key, call)
        if key in LOOKED_UP:
            return await self._by_name(call, key, connector, LOOKED_UP[key], arguments)
        request = REQUESTS.get(key) or Request(_operation(resource_of(call).action))
        try:
            return await self._request(call, key, connector, request, arguments)
        except StatesError as error:
            job = JOBS.get(key)
            if call.again and job is not None and job.named and str(error.name).endswith("ResourceInUseException"):
                return {}  # what is asked after is its name
            raise

    async def _request(
        self, call: Call, key: str, connector: Connector, request: Request, arguments: Json
    ) -> dict[str, Json]:
        action = await self._action(MODULES.get(key, connector.module), request.operation)
        _expect_repeatable(call, key, action)
        if request.parameters is not None:
            arguments = made(request.parameters, arguments)
        voice = _voice(connector, action)
        if key == INVOKE_MODEL:
            return await invoke_model(self._sessions, call, action, arguments, voice)
        parsed = await ask(self._sessions, call, action, arguments, voice)
        answer = action.answer(parsed)
        if request.result is not None:
            answer = made(request.result, None, answer)
        if key in _CHECKS:
            _CHECKS[key](call, answer)
        return {**answer, **metadata(parsed)}

    async def _by_name(self, call: Call, key: str, connector: Connector, named: ByName, arguments: Json) -> Json:
        """AWS 'Amazon EMR': a fleet or group is named instead of given by its id."""
        _expect_repeatable(call, key, await self._action(connector.module, named.then.operation))
        name, part = at(arguments, f"{named.part}Name"), at(arguments, named.part)
        if not isinstance(name, str) or not is_object(part):
            field = f"{named.part}Name" if not isinstance(name, str) else named.part
            raise unusable(call.arguments, f"The field '{field}' is required but was missing")
        listed = await self._told(call, connector, Request(named.operation, {"ClusterId": at(arguments, "ClusterId")}))
        parts = at(listed, f"{named.part}s")
        found = parts if is_array(parts) else []
        id = next((at(each, "Id") for each in found if at(each, "Name") == name), None)
        if id is None:
            raise StatesError(
                f"{connector.prefix}.InvalidRequestException", f"The cluster has no {named.part} that is called {name}."
            )
        given = {"ClusterId": at(arguments, "ClusterId"), named.part: {**part, f"{named.part}Id": id}}
        return await self._request(call, key, connector, named.then, given)

    async def poll(self, call: Call) -> Json:
        """Wait for the job to end."""
        key, connector = _served(call)
        job = _job(key)
        request = Request(job.describe, made(job.parameters, call.arguments, call.job))
        return await wait(
            job,
            lambda: self._told(call, connector, request),
            _without_metadata(call.job),
            self._clock(),
            call.idempotency,
        )

    async def cancel(self, call: Call) -> None:
        """Stop the job, where AWS has an operation for that. AWS 'Run a Job': best effort."""
        key, connector = _served(call)
        stop = _job(key).stop
        if stop is not None:
            assert stop.parameters is not None
            parameters = made(stop.parameters, call.arguments, call.job)
            await self._told(call, connector, Request(stop.operation, parameters))

    async def _told(self, call: Call, connector: Connector, request: Request) -> Json:
        action = await self._action(connector.module, request.operation)
        return action.answer(
            await ask(self._sessions, call, action, request.parameters or {}, _voice(connector, action))
        )

    async def _action(self, module: str, operation: str) -> Action:
        return await self._sessions.find(lambda: optimised_action(module, operation))


def _served(call: Call) -> tuple[str, Connector]:
    """The key of an action in the tables, and its service."""
    resource = resource_of(call)
    key = f"{resource.service}:{resource.action}"
    if resource.service not in CONNECTORS or resource.action not in OPTIMISED[resource.service] or key in _NOT_HERE:
        raise StatesError("States.Runtime", f"Nothing here serves {key}: the resource {call.resource} cannot be used.")
    return key, CONNECTORS[resource.service]


def _expect_repeatable(call: Call, key: str, action: Action) -> None:
    """Refuse a call that may have happened and must not happen twice."""
    job = JOBS.get(key)
    if call.again and not action.repeatable and not (job is not None and job.named):
        raise StatesError("States.TaskFailed", LOST)


_NOT_HERE: Final = frozenset(("eks:call", "eks:runJob"))
"""They speak to Kubernetes, not to AWS: `kubernetes` serves them."""


def _job(key: str) -> Job:
    assert key in JOBS, f"{key} has no .sync pattern"
    return JOBS[key]


def _operation(action: str) -> str:
    return action[:1].upper() + action[1:]


def _voice(connector: Connector, action: Action) -> Voice:
    return Voice(connector.prefix, connector.other, action.errors, connector.v1_service)


def _without_metadata(answer: Json) -> Json:
    return {name: value for name, value in answer.items() if name not in ("SdkHttpMetadata", "SdkResponseMetadata")}


# ---- quirks ------------------------------------------------------------------------------------------------------


def _adjusted(key: str, call: Call) -> Json:
    adjust = _ADJUSTMENTS.get(key)
    return adjust(call, call.arguments) if adjust is not None and is_object(call.arguments) else call.arguments


def _traced(call: Call, arguments: Mapping[str, Json]) -> Json:
    """AWS 'EventBridge with Step Functions': the execution and its state machine are resources of each event."""
    machine = call.execution_arn.replace(":execution:", ":stateMachine:", 1).rpartition(":")[0]
    origin = [call.execution_arn, machine]

    def traced(entry: Json) -> Json:
        given = entry.get("Resources") if is_object(entry) else None
        if not is_object(entry) or not (given is None or is_array(given)):
            return entry
        return {**entry, "Resources": [*(given or []), *origin]}

    entries = arguments.get("Entries")
    return {**arguments, "Entries": list(map(traced, entries))} if is_array(entries) else arguments


def _managed(call: Call, arguments: Mapping[str, Json]) -> Json:
    """AWS 'Batch with Step Functions': a job that is waited for knows by an environment variable."""
    overrides = arguments.get("ContainerOverrides", _NOTHING)
    if not call.resource.endswith(".sync") or not is_object(overrides):
        return arguments
    given = overrides.get("Environment", [])
    environment: list[Json] = [*(given if is_array(given) else []), _MANAGED]
    return {**arguments, "ContainerOverrides": {**overrides, "Environment": environment}}


def _tagged(call: Call, arguments: Mapping[str, Json]) -> Json:
    """Observed on AWS: a job of SageMaker that is waited for has tags that say who waits."""
    given = arguments.get("Tags", [])
    if not call.resource.endswith(".sync") or not is_array(given):
        return arguments
    tags = {_MANAGED["Name"]: _MANAGED["Value"], "AWS_STEP_FUNCTIONS_EXECUTION_ARN": call.execution_arn}
    return {**arguments, "Tags": [*given, *({"Key": name, "Value": value} for name, value in tags.items())]}


_NOTHING: Final[Mapping[str, Json]] = {}
_MANAGED: Final = {"Name": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}


def _started_by(call: Call, arguments: Mapping[str, Json]) -> Json:
    """AWS 'Amazon ECS with Step Functions': a task that is waited for is marked."""
    return {**arguments, "StartedBy": "AWS Step Functions"} if call.resource.endswith(".sync") else arguments


_ADJUSTMENTS: Final[Mapping[str, Callable[[Call, dict[str, Json]], Json]]] = {
    "events:putEvents": _traced,
    "batch:submitJob": _managed,
    "ecs:runTask": _started_by,
    **{key: _tagged for key in JOBS if key.startswith("sagemaker:")},
}


def _entries_taken(call: Call, answer: Json) -> None:
    """Observed on AWS: an event that the bus refuses fails the task, and the cause is the answer."""
    if at(answer, "FailedEntryCount"):
        told = {name: answer[name] for name in ("Entries", "FailedEntryCount") if name in answer}
        raise StatesError("EventBridge.FailedEntry", json_text(told))


def _tasks_started(call: Call, answer: Json) -> None:
    """AWS 'Amazon ECS with Step Functions': what cannot be placed fails a task that waits, and no other."""
    if resource_of(call).pattern != "request-response" and at(answer, "Failures.0") is not None:
        told = {name: answer[name] for name in ("Failures", "Tasks") if name in answer}
        raise StatesError("AmazonECS.Unknown", json_text(told))


_CHECKS: Final[Mapping[str, Callable[[Call, Any], None]]] = {
    "events:putEvents": _entries_taken,
    "ecs:runTask": _tasks_started,
}

"""What TestState asks for, read and judged: the state, what is assumed around it, what stands in for its work.

Owns which combinations AWS refuses, and its words for them. It runs nothing: that is for `test_state`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from treadle.api.definitions import check_definition
from treadle.api.payloads import read_json
from treadle.api.request import Request
from treadle.api.trial_context import check_context
from treadle.catalog.arns import check_role
from treadle.errors import ApiError
from treadle.integrations.aws.mock_answers import STRICT, Unfit, check_mock
from treadle.language.compile import plan_of
from treadle.language.definition import parse
from treadle.language.plan import MapPlan, ParallelPlan, Plan, StatePlan, TaskPlan
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object
from treadle.machine.events import Identity
from treadle.machine.frame import Failure
from treadle.machine.journal import json_text
from treadle.machine.trial import MapSetting, Mock, Setting

STATE_NAME: Final = "StateName"
"""What AWS calls a state that comes without a name."""

_MOCKABLE: Final = ("Task", "Map", "Parallel")
_NO_MAPS: Final = (
    "TestState API does not support Map or Parallel states. "
    "Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A trial that may be held."""

    state: StatePlan
    language: str
    input: Json
    setting: Setting
    mock: Mock | None
    map_setting: MapSetting
    level: str
    reveal: bool


async def wanted(request: Request) -> Wanted:
    """Read a request of TestState. Raises ApiError."""
    given = request.given
    if "roleArn" in given:
        check_role(given["roleArn"])
    plan, state, language = await _state(given)
    mocked: Mapping[str, Any] | None = given.get("mock")
    configuration: Mapping[str, Any] = given.get("stateConfiguration") or {}
    _check_mockable(state, mocked)
    _check_combination(given, state, mocked, configuration)
    mock = None if mocked is None else _mock(state, mocked, configuration)
    input = _json(given.get("input") or "{}", "InvalidExecutionInput", "Invalid State Machine Execution Input: '{}'")
    map_setting = _map_setting(configuration)
    _check_failures(state, configuration, map_setting)
    return Wanted(
        state=state,
        language=language,
        input=input,
        setting=_setting(request, plan, state, input, configuration),
        mock=mock,
        map_setting=map_setting,
        level=given.get("inspectionLevel") or "INFO",
        reveal=bool(given.get("revealSecrets")),
    )


# ---- the state ---------------------------------------------------------------------------------------------------


async def _state(given: Mapping[str, Any]) -> tuple[Plan, StatePlan, str]:
    """The plan, the state that is tried and its query language."""
    text: str = given["definition"]
    definition, _ = parse(text, yaml=False)
    root: Json = None if definition is None else definition.root
    name = given.get("stateName")
    if is_object(root) and "States" not in root and "Type" in root:
        if name is not None and name != STATE_NAME:
            raise _refused("State not found in definition")
        root, name = _alone(root), STATE_NAME
        text = json_text(root)
    elif name is None and is_object(root) and "States" in root:
        raise _refused("stateName must be specified when the definition is a state machine")
    await check_definition(text, "STANDARD")
    plan = plan_of(root)
    fields = next((fields for each, fields in _every_state(root) if each == name), None)
    if fields is None:
        raise _refused("State not found in definition")
    return plan, plan.state(str(name)), fields.get("QueryLanguage") or root.get("QueryLanguage") or "JSONPath"


def _alone(fields: Mapping[str, Json]) -> dict[str, Json]:
    """A state machine around one state: whatever it leads to exists."""
    ends: dict[str, Json] = {
        target: {"Type": "Succeed"} for target in _targets(fields) if isinstance(target, str) and target != STATE_NAME
    }
    return {"StartAt": STATE_NAME, "States": {STATE_NAME: fields, **ends}}


def _targets(fields: Mapping[str, Json]) -> Iterator[Json]:
    yield fields.get("Next")
    yield fields.get("Default")
    for list_name in ("Choices", "Catch"):
        rules = fields.get(list_name)
        for rule in rules if is_array(rules) else ():
            if is_object(rule):
                yield rule.get("Next")


def _every_state(scope: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All states of a good definition, with their names."""
    scopes = [scope]
    while scopes:
        for name, fields in scopes.pop()["States"].items():
            yield name, fields
            scopes += fields.get("Branches", ())
            scopes += [fields[each] for each in ("ItemProcessor", "Iterator") if each in fields]


def _inside_map(plan: Plan, state: StatePlan) -> bool:
    return any(
        isinstance(each, MapPlan) and any(inner is state for inner in each.processor.every_state())
        for each in plan.every_state()
    )


# ---- combinations ------------------------------------------------------------------------------------------------


def _check_mockable(state: StatePlan, mocked: Mapping[str, Any] | None) -> None:
    if mocked is not None:
        if state.type not in _MOCKABLE:
            raise _refused(f"State type '{state.type}' is not supported when a mock is specified")
        if ("result" in mocked) == ("errorOutput" in mocked):
            raise _refused("A test mock should have only one of the following fields: [result, errorOutput].")
        return
    if state.type in ("Map", "Parallel"):
        raise ApiError("InvalidDefinition", _NO_MAPS)
    if isinstance(state, TaskPlan) and (
        state.resource.kind == "activity" or state.resource.pattern != "request-response"
    ):
        what = "activities" if state.resource.kind == "activity" else f"the pattern '.{state.resource.pattern}'"
        raise ApiError(
            "InvalidDefinition", f"TestState API does not support {what} when a mock is not specified: give a mock."
        )


def _check_combination(
    given: Mapping[str, Any], state: StatePlan, mocked: Mapping[str, Any] | None, configuration: Mapping[str, Any]
) -> None:
    if mocked is not None:
        if given.get("revealSecrets"):
            raise _refused("TestState does not support RevealSecrets when a mock is specified.")
        return
    if state.type == "Task" and not given.get("roleArn"):
        raise _refused("RoleArn must be specified when testing a Task state")
    if given.get("context") is not None:
        raise _refused("TestState does not support Context when a mock is not specified.")
    for name in ("mapIterationFailureCount", "errorCausedByState", "mapItemReaderData", "retrierRetryCount"):
        if name in configuration:
            raise _refused(f"TestState does not support {name[0].upper()}{name[1:]} when a mock is not specified.")


def _check_failures(state: StatePlan, configuration: Mapping[str, Any], map_setting: MapSetting) -> None:
    for name in ("mapIterationFailureCount", "mapItemReaderData"):
        if name in configuration and not isinstance(state, MapPlan):
            raise _refused(f"{name[0].upper()}{name[1:]} is only supported for Map states.")
    if map_setting.data is not None and isinstance(state, MapPlan):
        reader = None if state.distribution is None else state.distribution.reader
        if reader is None:
            raise _refused("MapItemReaderData is only supported for Map states with an ItemReader.")
        if reader.config is None and not is_array(map_setting.data[0]):
            raise _refused("MapItemReaderData must be a JSON array.")


# ---- mocks -------------------------------------------------------------------------------------------------------


def _mock(state: StatePlan, mocked: Mapping[str, Any], configuration: Mapping[str, Any]) -> Mock:
    told: Mapping[str, Any] | None = mocked.get("errorOutput")
    if told is not None:
        if not told.get("error"):
            raise _refused("The error field of errorOutput must be specified.")
        by_task = _caused_by_task(state, configuration.get("errorCausedByState"))
        return Mock(failure=Failure(told["error"], told.get("cause")), by_task=by_task)
    result = _json(mocked["result"], "ValidationException", "Mocked result must be valid JSON")
    match state:
        case ParallelPlan(branches=branches):
            if not is_array(result):
                raise _refused("Mocked result must be an array.")
            if len(result) != len(branches):
                raise _refused("Mocked result must contain the same number of items as number of Parallel branches.")
        case MapPlan(distribution=distribution):
            writer = None if distribution is None else distribution.writer
            if writer is not None and writer.resource is not None:
                if not is_object(result):
                    raise _refused("Mocked result must be a JSON object.")
            elif not is_array(result):
                raise _refused("Mocked result must be an array.")
        case TaskPlan(resource=resource):
            try:
                check_mock(resource, result, mocked.get("fieldValidationMode") or STRICT)
            except Unfit as unfit:
                raise _refused(f"Mock result schema validation error: {unfit}") from None
        case _:
            raise AssertionError(state.type)
    return Mock(result)


def _caused_by_task(state: StatePlan, name: str | None) -> bool:
    if name is None:
        return False
    inner = [each for scope in state.scopes for each in scope.every_state() if each.name == name]
    if not inner:
        raise _refused(f"The state '{name}' of errorCausedByState is not inside the state that is tested.")
    return isinstance(inner[0], TaskPlan)


# ---- what is assumed ---------------------------------------------------------------------------------------------


def _setting(request: Request, plan: Plan, state: StatePlan, input: Json, configuration: Mapping[str, Any]) -> Setting:
    given = request.given
    variables: Json = {}
    if given.get("variables") is not None:
        variables = _json(given["variables"], "ValidationException", "Variables must be valid JSON: {}")
        if not is_object(variables):
            raise _refused("Variables must be a JSON object.")
    context: Json = None
    if given.get("context") is not None:
        context = _json(given["context"], "ValidationException", "Invalid Context object provided: {}")
        check_context(context, state)
    machine, name = str(uuid.uuid4()), str(uuid.uuid4())
    return Setting(
        identity=Identity(
            arn=f"{request.arn('express', machine)}:{name}",
            name=name,
            role_arn=given.get("roleArn") or "",
            machine_arn=request.arn("stateMachine", machine),
            machine_name=machine,
            counts_redrives=False,
        ),
        variables=variables,
        context=context,
        item={"Item": {"Index": 0, "Value": input}} if _inside_map(plan, state) else None,
        retries=configuration.get("retrierRetryCount") or 0,
        shown_name=STATE_NAME,
    )


def _map_setting(configuration: Mapping[str, Any]) -> MapSetting:
    data: tuple[Json] | None = None
    if (text := configuration.get("mapItemReaderData")) is not None:
        data = (_json(text, "ValidationException", "MapItemReaderData must be valid JSON"),)
        if not is_array(data[0]) and not is_object(data[0]):
            raise _refused("MapItemReaderData must be a JSON array.")
    return MapSetting(data, configuration.get("mapIterationFailureCount") or 0)


def _json(text: str, code: str, words: str) -> Json:
    fault, value = read_json(text)
    if fault is not None:
        raise ApiError(code, words.format(fault))
    return value


def _refused(message: str) -> ApiError:
    return ApiError("ValidationException", message)

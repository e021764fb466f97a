"""The context object that a test of a state brings along. AWS 'TestState', context: observed on AWS, word by word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from treadle.errors import ApiError
from treadle.language.plan import StatePlan, TaskPlan
from treadle.language.scope import Json
from treadle.language.values import is_object


def _text(value: Json) -> str | None:
    return None if isinstance(value, str) else "a string"


def _number(value: Json) -> str | None:
    return None if isinstance(value, int | float) and not isinstance(value, bool) else "a number"


def _anything(value: Json) -> str | None:
    return None


_FIELDS: Final[dict[str, dict[str, Callable[[Json], str | None]]]] = {
    "Execution": {
        "Id": _text,
        "Input": _anything,
        "Name": _text,
        "RoleArn": _text,
        "StartTime": _text,
        "RedriveCount": _number,
        "RedriveTime": _text,
    },
    "State": {"EnteredTime": _text, "Name": _text, "RetryCount": _number},
    "StateMachine": {"Id": _text, "Name": _text},
    "Task": {"Token": _text},
}
"""What the context object may have, and what each value must be."""


def check_context(context: Json, state: StatePlan) -> None:
    """Raises ApiError ValidationException for a context object that AWS refuses."""
    if not is_object(context):
        raise _invalid("The Context object must be a JSON object")
    for name, part in context.items():
        if name == "Map":
            raise _invalid("'Map' field is not supported when mocking a Context object")
        known = _FIELDS.get(name)
        if known is None:
            raise _invalid(f"Field '{name}' is not allowed")
        if not is_object(part):
            raise _invalid(f"{name} must be an object")
        for field, value in part.items():
            if field not in known:
                raise _invalid(f"Field '{field}' is not allowed")
            if (kind := known[field](value)) is not None:
                raise _invalid(f"{name}.{field} must be {kind}")
    if "Task" in context and not (isinstance(state, TaskPlan) and state.resource.pattern != "request-response"):
        raise _invalid(
            "Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' "
            "service integration pattern"
        )


def _invalid(what: str) -> ApiError:
    return ApiError("ValidationException", f"Invalid Context object provided: {what}")

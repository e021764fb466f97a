"""Reading a Task's Arguments: each member as the integration needs it, or a failure that names the member.

Owns the words for what cannot be used. AWS fails such a task with States.Runtime, which nothing retries or catches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from treadle.errors import StatesError
from treadle.language.resources import parse_resource
from treadle.language.scope import Json
from treadle.language.values import is_object
from treadle.runtime.ports import Call


def unusable(why: str) -> StatesError:
    """The failure of a task whose arguments its integration cannot use."""
    return StatesError("States.Runtime", f"The Parameters could not be used to start the Task: [{why}]")


def expect_action(call: Call, actions: Collection[str]) -> str:
    """The action of the call's resource, which must be one of these."""
    parsed = parse_resource(call.resource)
    action = parsed.action if parsed else ""
    if action not in actions:
        known = ", ".join(sorted(actions))
        raise StatesError("States.Runtime", f"The resource {call.resource} is not known here. Actions: {known}.")
    return action


def members(value: Json, where: str = "Arguments") -> Mapping[str, Json]:
    """An object."""
    if not is_object(value):
        raise unusable(f"{where} must be an object")
    return value


def required_text(given: Mapping[str, Json], name: str) -> str:
    """A member that must be there, and be a text that is not empty."""
    value = optional_text(given, name)
    if not value:
        raise unusable(f"The field '{name}' is required but was missing")
    return value


def optional_text(given: Mapping[str, Json], name: str) -> str | None:
    """A member that is a text where it is there."""
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise unusable(f"The field '{name}' must be a string")
    return value


def one_of(given: Mapping[str, Json], name: str, known: Collection[str], default: str | None = None) -> str:
    """A member that is one of these texts."""
    value = optional_text(given, name) or default
    if value is None:
        raise unusable(f"The field '{name}' is required but was missing")
    if value not in known:
        raise unusable(f"The field '{name}' must be one of {', '.join(known)}, not '{value[:80]}'")
    return value

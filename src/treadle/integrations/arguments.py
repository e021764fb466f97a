"""Reading a Task's Arguments: each member as the integration needs it, or the task fails.

Owns which failure that is: on AWS it is States.Runtime, which nothing retries or catches.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from treadle.errors import StatesError
from treadle.language.members import Members
from treadle.language.resources import parse_resource
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


_MEMBERS: Final = Members(unusable)
members = _MEMBERS.object
required_text = _MEMBERS.required_text
optional_text = _MEMBERS.optional_text
one_of = _MEMBERS.one_of

"""AWS SDK integrations: `arn:aws:states:::aws-sdk:service:action`, every action that botocore knows.

A call that was under way when the process died is made again where that does no harm: it carries an idempotency token
made of `Call.idempotency`, or it is repeatable by nature (`actions`). Any other one fails, because nobody can know
whether it had happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from treadle.errors import StatesError
from treadle.integrations.aws.actions import Action, Unknown, sdk_action
from treadle.integrations.aws.failures import Voice, missing, sdk_voice, telling, unsendable, unusable
from treadle.integrations.aws.sessions import AwsSessions
from treadle.integrations.aws.shapes import Misfit
from treadle.integrations.aws.wire import perform
from treadle.language.resources import Resource, parse_resource
from treadle.language.scope import Json
from treadle.runtime.ports import LOST, Call, Redelivery


class AwsSdkIntegration:
    """Calls any action of any AWS service."""

    redelivery: Redelivery = "again"

    def __init__(self, sessions: AwsSessions) -> None:
        self._sessions = sessions
        self._actions: dict[str, Action] = {}

    async def call(self, call: Call) -> Json:
        """Call the action and give its answer."""
        resource = resource_of(call)
        action = self._actions.get(call.resource)
        if action is None:
            action = self._actions[call.resource] = await self._find(resource)
        if call.again and not action.repeatable:
            raise StatesError("States.TaskFailed", LOST)
        parsed = await ask(self._sessions, call, action, call.arguments, sdk_voice(action))
        return action.answer(parsed)

    async def poll(self, call: Call) -> Json:
        """AWS SDK integrations have no jobs."""
        raise AssertionError(f"{call.resource} has no .sync pattern")

    async def cancel(self, call: Call) -> None:
        """What AWS was asked to do cannot be recalled."""

    async def _find(self, resource: Resource) -> Action:
        try:
            return await self._sessions.find(lambda: sdk_action(resource.service, resource.action))
        except Unknown as unknown:
            raise StatesError(
                "States.Runtime", f"The resource provided {resource.arn} is not recognized. {unknown}"
            ) from None


def resource_of(call: Call) -> Resource:
    """The resource of a call, parsed."""
    resource = parse_resource(call.resource)
    assert resource is not None, "lint refuses other resources"
    return resource


async def ask(
    sessions: AwsSessions,
    call: Call,
    action: Action,
    arguments: Json,
    voice: Voice,
    content: Mapping[str, bytes | str] | None = None,
    most: int | None = None,
) -> dict[str, Any]:
    """Call an action on behalf of a task and give what botocore made of the answer. Raises StatesError.

    `content` is parameters that no JSON can hold, as botocore has them. `most` is how many bytes the body of the answer
    may have; None for as many as the result of a task.
    """
    try:
        parameters = action.parameters(arguments, call.idempotency) | dict(content or {})
    except Misfit as misfit:
        raise unusable(arguments, str(misfit)) from None
    except UnicodeError:
        raise unsendable() from None
    if lacking := action.missing(parameters):
        raise missing(lacking, voice)
    place, name = sessions.place_of(call, action.service.module), resource_of(call).resource_type
    with telling(voice):
        return await sessions.run(place, lambda client: perform(client, action, parameters, name, most))

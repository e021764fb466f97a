"""What goes wrong with a call of AWS, as errors of the workflow: their names, and causes in the words of AWS's SDKs.

Owns both ways of saying it: AWS SDK integrations speak as the Java SDK 2 does, optimised ones as the Java SDK 1.
Never tells credentials, nor more of a URL than its host.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from treadle.errors import StatesError
from treadle.integrations.aws.actions import Action
from treadle.integrations.aws.names import action_name
from treadle.integrations.aws.sessions import RoleRefused
from treadle.language.scope import Json
from treadle.machine.journal import json_text


class Passing(StatesError):
    """A failure that may pass by itself: no answer, an answer that the service is at fault or too busy."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How the errors of one service are told. `other` names those that its model does not have.

    `v1_service` is what the Java SDK 1 calls the service; None where the Java SDK 2 speaks.
    """

    prefix: str
    other: str
    errors: Mapping[str, str]
    v1_service: str | None = None

    def refused(self, code: str, message: str, status: int, request: str | None, more: str = "") -> StatesError:
        """The service answered with an error."""
        name = f"{self.prefix}.{self.errors.get(code, self.other)}"
        request = request or "null"
        if self.v1_service is None:
            return StatesError(
                name, f"{message} (Service: {self.prefix}, Status Code: {status}, Request ID: {request}{more}"
            )
        return StatesError(
            name,
            f"{message} (Service: {self.v1_service}; Status Code: {status}; Error Code: {code}; "
            f"Request ID: {request}; Proxy: null)",
        )


def sdk_voice(action: Action) -> Voice:
    """How AWS SDK integrations tell the errors of an action."""
    return Voice(action.service.name, f"{action.service.name}Exception", action.errors)


def told(raised: Exception, voice: Voice) -> StatesError | None:
    """What botocore raised, as the workflow sees it; None for what is a fault of ours."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    match raised:
        case StatesError():
            return raised
        case RoleRefused():
            # Observed on AWS, where it also names the role of the state machine.
            return StatesError(
                "States.TaskFailed", f"Not authorized to assume the task state's role, {raised.args[0]}."
            )
        case ClientError():
            return _answered(raised.response, voice)
        case UnicodeDecodeError() | ResponseParserError():
            return Passing(f"{voice.prefix}.SdkClientException", "Unable to unmarshall response: it is none of AWS's")
        case UnicodeError():
            return unsendable()
        case BotoCoreError():
            return Passing(f"{voice.prefix}.SdkClientException", _unsent(raised))
        case _:
            return None


@contextmanager
def telling(voice: Voice) -> Generator[None]:
    """Within, what botocore raises is raised as the workflow sees it."""
    try:
        yield
    except Exception as raised:
        error = told(raised, voice)
        if error is None:
            raise
        raise error from None


def _answered(response: Any, voice: Voice) -> StatesError:
    error: Mapping[str, str] = response.get("Error", {})
    metadata: Mapping[str, Any] = response.get("ResponseMetadata", {})
    code = error.get("Code", "")
    if code not in voice.errors and error.get("QueryErrorCode") in voice.errors:
        code = error["QueryErrorCode"]
    more = f", Extended Request ID: {metadata['HostId']})" if metadata.get("HostId") else ")"
    if metadata.get("RetryAttempts"):
        more += f" (SDK Attempt Count: {metadata['RetryAttempts'] + 1})"
    message = error.get("Message") or error.get("message") or "null"
    status: int = metadata.get("HTTPStatusCode", 0)
    refused = voice.refused(code, message, status, metadata.get("RequestId"), more)
    passes = status >= 500 or status == 429 or any(word in code for word in _BUSY)
    return Passing(refused.name, refused.cause) if passes else refused


_BUSY: Final = ("Throttl", "TooManyRequests", "RequestLimitExceeded", "ThroughputExceeded", "SlowDown")


def _unsent(raised: Any) -> str:
    from botocore import exceptions

    host = urlsplit(raised.kwargs.get("endpoint_url") or "").netloc
    match raised:
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
            return (
                "Unable to load credentials from any of the providers in the chain. Set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
            )
        case exceptions.ConnectTimeoutError():
            reason = f"Connect to {host} timed out"
        case exceptions.ReadTimeoutError():
            reason = "Read timed out"
        case exceptions.EndpointConnectionError():
            reason = f"Connect to {host} failed"
        case exceptions.ConnectionClosedError() | exceptions.IncompleteReadError():
            reason = "The target server failed to respond"
        case exceptions.HTTPClientError():
            reason = f"The connection{host and ' to '}{host} failed"
        case _:
            reason = str(raised)
    return f"Unable to execute HTTP request: {reason}"


def missing(names: Sequence[str], voice: Voice) -> StatesError:
    """Required parameters are not there. Observed on AWS: it is the service's refusal, not that of Step Functions."""
    found = "1 validation error" if len(names) == 1 else f"{len(names)} validation errors"
    values = "; ".join(
        f"Value null at '{action_name(name)}' failed to satisfy constraint: Member must not be null" for name in names
    )
    return voice.refused("ValidationException", f"{found} detected: {values}", 400, None, ")")


def unusable(arguments: Json, reason: str) -> StatesError:
    """Parameters that do not fit the action. Observed on AWS."""
    try:
        shown = json_text(arguments)
    except UnicodeError:
        return unsendable()
    return StatesError("States.Runtime", f"The Parameters '{shown}' could not be used to start the Task: [{reason}]")


def unsendable() -> StatesError:
    """Parameters with half a surrogate pair: JSON can write it, but no request can carry it."""
    return StatesError("States.Runtime", "The Parameters could not be used to start the Task: [A text is no UTF-8]")

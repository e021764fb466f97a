"""Connections that live in an account: EventBridge describes one, Secrets Manager has its secrets.

Owns finding a connection as Step Functions does, in AWS or in the local cloud, whichever boto3 is pointed at. Must
never keep a secret longer than a minute. Neighbour: connections.py, which asks here for what the store does not have.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final

import msgspec

from treadle.errors import ApiError
from treadle.integrations.connections import AuthParameters, name_of, unavailable
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object

_KEPT: Final = 60.0
"""Seconds for which a connection is not asked for again."""

# AWS 'HTTP Task', connection errors, by what EventBridge and Secrets Manager answer.
_REASONS: Final = {
    "ResourceNotFoundException": "ResourceNotFound",
    "AccessDeniedException": "AccessDenied",
    "UnrecognizedClientException": "AccessDenied",
    "ConcurrentModificationException": "ConcurrentModification",
}
_USABLE: Final = ("AUTHORIZED", "ACTIVE")
_UNDER_WAY: Final = ("AUTHORIZING", "CREATING", "UPDATING")


class AccountConnections:
    """Finds connections with boto3. `client` makes a client of a service in a region."""

    def __init__(self, client: Callable[[str, str], Any] | None = None) -> None:
        self._client = client or _default_client
        self._kept: dict[str, tuple[float, AuthParameters]] = {}

    async def __call__(self, arn: str) -> AuthParameters:
        """The parameters of a connection, with its secrets. Raises StatesError Events.ConnectionResource.*."""
        kept = self._kept.get(arn)
        if kept is not None and time.monotonic() < kept[0]:
            return kept[1]
        parameters = await asyncio.to_thread(self._found, arn)
        self._kept[arn] = time.monotonic() + _KEPT, parameters
        return parameters

    def _found(self, arn: str) -> AuthParameters:
        from botocore.exceptions import BotoCoreError, ClientError

        region = arn.split(":")[3]
        try:
            with closing(self._client("events", region)) as events:
                described = events.describe_connection(Name=name_of(arn))
            if described.get("ConnectionArn") != arn:
                raise unavailable("ResourceNotFound", f"Connection '{arn}' does not exist.")
            _expect_usable(described)
            with closing(self._client("secretsmanager", region)) as secrets:
                secret = secrets.get_secret_value(SecretId=described["SecretArn"])
        except ClientError as error:
            told: Mapping[str, Any] = error.response.get("Error", {})
            reason = _REASONS.get(str(told.get("Code")), "InternalError")
            raise unavailable(reason, f"Connection '{arn}': {told.get('Message')}") from None
        except BotoCoreError as error:
            cause = f"Connection '{arn}' is not kept here, and the account cannot be asked: {error}"
            raise unavailable("ResourceNotFound", cause) from None
        return parameters_of(described["AuthorizationType"], json.loads(secret["SecretString"]))


def _default_client(service: str, region: str) -> Any:
    boto3: Any = importlib.import_module("boto3")
    # A session of its own: the default one must not be shared between threads.
    return boto3.session.Session().client(service, region_name=region)


def _expect_usable(described: Mapping[str, Any]) -> None:
    state = described.get("ConnectionState")
    if state in _UNDER_WAY:
        raise unavailable("AuthInProgress", f"The connection is {state}.")
    if state not in _USABLE:
        raise unavailable("InvalidConnectionState", f"The connection is {state}: {described.get('StateReason', '')}")


def parameters_of(kind: str, secret: Json) -> AuthParameters:
    """The parameters in a connection's secret. Raises StatesError.

    Names are compared without regard to case and underscores, since they differ between AWS and its stand-ins.
    """
    values = _lowered(secret)
    # Where the stand-in nests what AWS has side by side.
    values = {**values, **_object(values.get("clientparameters"))}
    invocation = _http(values.get("invocationhttpparameters"))
    shapes: dict[str, dict[str, Json]] = {
        "BASIC": {
            "BasicAuthParameters": {"Username": values.get("username"), "Password": values.get("password")},
        },
        "API_KEY": {
            "ApiKeyAuthParameters": {"ApiKeyName": values.get("apikeyname"), "ApiKeyValue": values.get("apikeyvalue")},
        },
        "OAUTH_CLIENT_CREDENTIALS": {
            "OAuthParameters": {
                "AuthorizationEndpoint": values.get("authorizationendpoint"),
                "HttpMethod": values.get("httpmethod"),
                "ClientParameters": {"ClientID": values.get("clientid"), "ClientSecret": values.get("clientsecret")},
                "OAuthHttpParameters": _http(values.get("oauthhttpparameters")),
            },
        },
    }
    try:
        found = msgspec.convert({**shapes[kind], "InvocationHttpParameters": invocation}, AuthParameters)
        assert found.type
    except (KeyError, msgspec.ValidationError, ApiError) as error:
        # The message names members alone, never their values.
        raise unavailable("InvalidConnectionState", f"The secret of the connection cannot be used: {error}") from None
    return found


def _http(value: Json) -> dict[str, Json]:
    groups = _object(value)
    return {
        name: [
            {"Key": each.get("key"), "Value": each.get("value"), "IsValueSecret": bool(each.get("isvaluesecret"))}
            for each in _objects(groups.get(name.lower()))
        ]
        for name in ("HeaderParameters", "QueryStringParameters", "BodyParameters")
    }


def _lowered(value: Json) -> dict[str, Json]:
    def low(each: Json) -> Json:
        if is_object(each):
            return {key.replace("_", "").lower(): low(inner) for key, inner in each.items()}
        return [low(inner) for inner in each] if is_array(each) else each

    return _object(low(value))


def _object(value: Json) -> dict[str, Json]:
    return value if is_object(value) else {}


def _objects(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if is_object(each)] if is_array(value) else []

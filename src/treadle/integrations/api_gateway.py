"""Calls of APIs of Amazon API Gateway: `arn:aws:states:::apigateway:invoke`.

Owns the request that AWS 'Call API Gateway with Step Functions' describes, and its signature. Where AWS is elsewhere
(`AwsSessions.address`), an API is called as `treadle up` serves it: below `/_api/` and its id. Neighbour:
http_service.py, which sends and tells failures.

A call that was under way when the process died is made again where its method is idempotent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from treadle.errors import StatesError
from treadle.integrations.arguments import expect_action, members, one_of, optional_text, required_text, unusable
from treadle.integrations.aws.failures import Voice, telling
from treadle.integrations.aws.sessions import AwsSessions
from treadle.integrations.http_answers import output_of
from treadle.integrations.http_client import Request
from treadle.integrations.http_request import IDEMPOTENT, METHODS
from treadle.integrations.http_service import HttpService, address_of
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object, json_text
from treadle.runtime.ports import LOST, Call, Redelivery

TIME_LIMIT: Final = 60.0
"""Seconds; API Gateway itself gives an answer within 30, unless its quota was raised."""

_HOST: Final = re.compile(r"(?P<id>[0-9a-z]+)\.execute-api\.[0-9A-Za-z-]+\.amazonaws\.com(\.cn)?")
_NEAR: Final = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?(/[!-~]*)?")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_VARIABLE: Final = "AWS_ENDPOINT_URL_API_GATEWAY"
_AUTHENTICATIONS: Final = ("NO_AUTH", "IAM_ROLE", "RESOURCE_POLICY")
# AWS 'Call API Gateway with Step Functions'.
_BANNED: Final = frozenset(
    (
        *("authorization", "connection", "content-md5", "expect", "host", "max-forwards", "proxy-authenticate"),
        *("server", "te", "transfer-encoding", "trailer", "upgrade", "via", "www-authenticate"),
    )
)
_BANNED_PREFIXES: Final = ("x-forwarded", "x-amz")
_VOICE: Final = Voice("ApiGateway", "AmazonApiGatewayException", {}, "AmazonApiGateway")


class ApiGatewayIntegration:
    """Calls APIs. Close it after the engine. `time_limit` is in seconds."""

    redelivery: Redelivery = "again"

    def __init__(self, sessions: AwsSessions, *, time_limit: float = TIME_LIMIT) -> None:
        self._sessions = sessions
        # An API of AWS has https in any case; the endpoint of another cloud is plain where its URL says so.
        self._service = HttpService("ApiGateway", time_limit=time_limit, plain=True)

    async def call(self, call: Call) -> Json:
        """Send the request and give the answer. Raises StatesError ApiGateway.*, States.Runtime."""
        expect_action(call, ("invoke",))
        given = members(call.arguments)
        method = one_of(given, "Method", METHODS)
        if call.again and method not in IDEMPOTENT:
            raise StatesError("States.TaskFailed", LOST)
        request = _request(given, method, self._sessions.address("apigateway", _VARIABLE))
        if one_of(given, "AuthType", _AUTHENTICATIONS, "NO_AUTH") != "NO_AUTH":
            request = await self._signed(call, request)
        return output_of(await self._service.answer(request))

    async def poll(self, call: Call) -> Json:
        """APIs have no jobs."""
        raise AssertionError(f"{call.resource} has no .sync pattern")

    async def cancel(self, call: Call) -> None:
        """Nothing goes on after a request was cancelled."""

    async def close(self) -> None:
        """Close every connection."""
        await self._service.close()

    async def _signed(self, call: Call, request: Request) -> Request:
        place = self._sessions.place_of(call, "execute-api")
        with telling(_VOICE):
            headers = await self._sessions.find(
                lambda: self._sessions.sign(place, request.method, request.url, request.headers, request.body or b"")
            )
        return Request(request.method, request.url, headers, body=request.body)


def _request(given: Mapping[str, Json], method: str, elsewhere: str | None) -> Request:
    headers = dict(_headers(members(given.get("Headers") or {}, "Headers")))
    body = given.get("RequestBody")
    if given.get("AllowNullValues") is not True:
        body = _without_nulls(body)
    try:
        url = _url(given, elsewhere)
        content = None if body is None else json_text(body).encode()
    except UnicodeEncodeError:
        raise unusable("The request holds half of a surrogate pair, which UTF-8 cannot write") from None
    if content is not None:
        # Observed on AWS: a text is sent as JSON too.
        headers.setdefault("content-type", "application/json")
    return Request(method, url, headers, body=content)


def _url(given: Mapping[str, Json], elsewhere: str | None) -> str:
    host = required_text(given, "ApiEndpoint")
    stage, path = optional_text(given, "Stage"), optional_text(given, "Path")
    if named := _HOST.fullmatch(host):
        place = f"https://{host}" if elsewhere is None else f"{elsewhere.rstrip('/')}/_api/{named['id']}"
    elif _NEAR.fullmatch(host):
        place = f"http://{host.rstrip('/')}"
    else:
        raise unusable(
            "The field 'ApiEndpoint' must be the host of an API, such as abc123.execute-api.us-east-1.amazonaws.com"
        )
    return address_of(place, (stage, path), given.get("QueryParameters"))


def _headers(given: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, values in given.items():
        low = name.lower()
        if low in _BANNED or low.startswith(_BANNED_PREFIXES):
            raise unusable(f"The header '{name[:80]}' must not be set")
        # Observed on AWS: a value that is no list cannot be used.
        if not _NAME.fullmatch(name) or not is_array(values) or not all(isinstance(each, str) for each in values):
            raise unusable(f"The header '{name[:80]}' must be a list of texts")
        text = ", ".join(values)
        if not _VALUE.fullmatch(text):
            raise unusable(f"The header '{name[:80]}' has a value with control characters")
        yield low, text


def _without_nulls(value: Json) -> Json:
    """AWS: unless AllowNullValues says otherwise, members that are null are not sent."""
    if is_object(value):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if is_array(value) else value

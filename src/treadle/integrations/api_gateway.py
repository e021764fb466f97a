"""Calls of APIs of Amazon API Gateway: `arn:aws:states:::apigateway:invoke`.

Owns the request that AWS 'Call API Gateway with Step Functions' describes, its signature, and how its failures are
told. Where AWS is elsewhere (`AwsSessions.address`), an API is called as `treadle up` serves it: below `/_api/` and
its id. Neighbour: http_client.py, which sends.

A call that was under way when the process died is made again where its method is idempotent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from treadle.errors import StatesError
from treadle.integrations.arguments import expect_action, members, one_of, optional_text, required_text, unusable
from treadle.integrations.aws.failures import Voice, told
from treadle.integrations.aws.sessions import AwsSessions, Place
from treadle.integrations.http import body_of, phrase
from treadle.integrations.http_client import SOCKET, Answer, HttpClient, Request
from treadle.integrations.http_request import IDEMPOTENT, METHODS
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
_UNSENT: Final = "ApiGateway.SdkClientException"


class ApiGatewayIntegration:
    """Calls APIs. Close it after the engine. `time_limit` is in seconds."""

    redelivery: Redelivery = "again"

    def __init__(self, sessions: AwsSessions, *, time_limit: float = TIME_LIMIT) -> None:
        self._sessions, self._time_limit = sessions, time_limit
        # An API of AWS has https in any case; the endpoint of another cloud is plain where its URL says so.
        self._client = HttpClient(plain=True)

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
        try:
            async with asyncio.timeout(self._time_limit):
                answer = await self._client.exchange(request)
        except TimeoutError:
            raise StatesError(_UNSENT, f"No answer came within {self._time_limit:g} seconds.") from None
        except StatesError as error:
            if error.name != SOCKET:
                raise
            raise StatesError(_UNSENT, error.cause) from None
        return _result(answer)

    async def poll(self, call: Call) -> Json:
        """APIs have no jobs."""
        raise AssertionError(f"{call.resource} has no .sync pattern")

    async def cancel(self, call: Call) -> None:
        """Nothing goes on after a request was cancelled."""

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def _signed(self, call: Call, request: Request) -> Request:
        role = call.credentials.get("RoleArn") if is_object(call.credentials) else None
        region = self._sessions.region(call.execution_arn)
        place = Place("execute-api", region, role if isinstance(role, str) else None)
        try:
            headers = await self._sessions.find(
                lambda: self._sessions.sign(place, request.method, request.url, request.headers, request.body or b"")
            )
        except Exception as raised:
            error = told(raised, _VOICE)
            if error is None:
                raise
            raise error from None
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
    parts = [quote(part.strip("/"), safe="/%:@!$&'()*+,;=~") for part in (stage, path) if part]
    query = urlencode(list(_query(members(given.get("QueryParameters") or {}, "QueryParameters"))), quote_via=quote)
    return "/".join((place, *parts)) + (f"?{query}" if query else "")


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


def _query(given: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, values in given.items():
        for each in values if is_array(values) else [values]:
            if is_object(each) or is_array(each):
                raise unusable(f"The query parameter '{name[:80]}' must be a list of texts")
            if each is not None:
                yield name, each if isinstance(each, str) else json_text(each)


def _without_nulls(value: Json) -> Json:
    """AWS: unless AllowNullValues says otherwise, members that are null are not sent."""
    if is_object(value):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if is_array(value) else value


def _result(answer: Answer) -> Json:
    if not 200 <= answer.status < 300:
        # AWS 'Call API Gateway with Step Functions', Error handling: the cause is what the API said.
        raise StatesError(f"ApiGateway.{answer.status}", answer.body.decode("utf-8", "replace"))
    headers: dict[str, Json] = {}
    for name, value in answer.headers:
        headers.setdefault(name, []).append(value)
    text = answer.reason or phrase(answer.status)
    return {"Headers": headers, "ResponseBody": body_of(answer), "StatusCode": answer.status, "StatusText": text}

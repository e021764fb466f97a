"""APIs of API Gateway: what is sent to them, signed or not, and what is made of their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from http_answers import Answers, Sent
from treadle.errors import StatesError
from treadle.integrations.api_gateway import ApiGatewayIntegration
from treadle.integrations.aws import AwsSessions, Keys
from treadle.testing.integration_contract import call_of

INVOKE = "arn:aws:states:::apigateway:invoke"
API = "abc123.execute-api.us-east-1.amazonaws.com"


def invoked(
    answer: Callable[[web.BaseRequest], web.StreamResponse], arguments: Any, resource: str = INVOKE
) -> tuple[Any, list[Sent]]:
    """What a call gives, or the StatesError that it raises, and what the server saw."""

    async def answering(request: web.BaseRequest) -> web.StreamResponse:
        return answer(request)

    async def run() -> tuple[Any, list[Sent]]:
        async with Answers(answering).running() as server:
            sessions = AwsSessions(endpoint_url=server.url, keys=Keys("key", "secret"))
            integration = ApiGatewayIntegration(sessions)
            given = {
                name: server.url.removeprefix("http://") if value == "near" else value
                for name, value in arguments.items()
            }
            try:
                return await integration.call(call_of(resource, given)), server.seen
            except StatesError as error:
                return error, server.seen
            finally:
                await integration.close()
                sessions.close()

    return asyncio.run(run())


def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"ok": True}, headers={"X-Mine": "1"})


def test_a_request_is_made_of_its_parts() -> None:
    given = {
        "ApiEndpoint": API,
        "Method": "POST",
        "Stage": "prod",
        "Path": "/bills/add now",
        "Headers": {"TaskToken": ["a", "b"]},
        "QueryParameters": {"id": ["1", "2&3"], "none": None},
        "RequestBody": {"n": 1, "gone": None, "in": {"gone": None}},
    }
    output, [sent] = invoked(echo, given)
    assert sent.path == "/_api/abc123/prod/bills/add%20now?id=1&id=2%263"
    assert sent.headers["tasktoken"] == "a, b"
    assert "Authorization" not in sent.headers
    assert json.loads(sent.body) == {"n": 1, "in": {}}
    assert output["Headers"]["X-Mine"] == ["1"]
    assert {name: output[name] for name in ("ResponseBody", "StatusCode", "StatusText")} == {
        "ResponseBody": {"ok": True},
        "StatusCode": 200,
        "StatusText": "OK",
    }


BODIES = [("text", b'"text"'), ("", b'""'), (None, b""), ([1, None], b"[1,null]")]


@pytest.mark.parametrize(("body", "sent_body"), BODIES)
def test_every_body_is_sent_as_json(body: Any, sent_body: bytes) -> None:
    _, [sent] = invoked(echo, {"ApiEndpoint": "near", "Method": "POST", "Path": "x", "RequestBody": body})
    assert (sent.path, sent.body) == ("/x", sent_body)


def test_nulls_are_sent_where_they_are_allowed() -> None:
    given = {"ApiEndpoint": API, "Method": "PUT", "RequestBody": {"a": None}, "AllowNullValues": True}
    _, [sent] = invoked(echo, given)
    assert json.loads(sent.body) == {"a": None}


@pytest.mark.parametrize("kind", ["IAM_ROLE", "RESOURCE_POLICY"])
def test_a_request_is_signed_where_the_api_asks_who_calls(kind: str) -> None:
    _, [sent] = invoked(echo, {"ApiEndpoint": API, "Method": "GET", "Stage": "prod", "AuthType": kind})
    scope = "/us-east-1/execute-api/aws4_request, SignedHeaders="
    assert sent.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
    assert scope in sent.headers["Authorization"]


def test_an_answer_that_is_no_success_fails_by_its_status_and_the_cause_is_the_body() -> None:
    def refused(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403, text='{"message":"Missing Authentication Token"}')

    error, _ = invoked(refused, {"ApiEndpoint": API, "Method": "GET"})
    assert (error.name, error.cause) == ("ApiGateway.403", '{"message":"Missing Authentication Token"}')


def test_no_answer_fails_by_what_went_wrong() -> None:
    def broken(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    error, _ = invoked(broken, {"ApiEndpoint": API, "Method": "POST"})
    assert error.name == "ApiGateway.SdkClientException"
    assert error.cause


UNUSABLE: list[dict[str, Any]] = [
    {},
    {"ApiEndpoint": "example.com"},
    {"ApiEndpoint": "https://abc123.execute-api.us-east-1.amazonaws.com"},
    {"ApiEndpoint": API, "Method": "FETCH"},
    {"ApiEndpoint": API, "Headers": {"X-Mine": "no list"}},
    {"ApiEndpoint": API, "Headers": {"Authorization": ["mine"]}},
    {"ApiEndpoint": API, "Headers": {"X-Amzn-Trace-Id": ["mine"]}},
    {"ApiEndpoint": API, "Headers": {"X-Mine": ["a\r\nHost: b"]}},
    {"ApiEndpoint": API, "QueryParameters": {"a": {"b": 1}}},
    {"ApiEndpoint": API, "AuthType": "IAM_AUTH"},
    {"ApiEndpoint": API, "RequestBody": {"a": "\ud800"}},
]


@pytest.mark.parametrize("given", UNUSABLE)
def test_what_cannot_be_sent_is_told_and_not_sent(given: dict[str, Any]) -> None:
    error, seen = invoked(echo, {"Method": "POST", **given})
    assert (error.name, seen) == ("States.Runtime", [])

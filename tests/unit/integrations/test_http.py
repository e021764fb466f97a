"""HTTP tasks at a real server: what is sent, what comes back, and the name of each thing that goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from http_server import CLIENT, Api, api_at_work, contexts
from treadle.errors import StatesError
from treadle.integrations.connections import AuthParameters, Connections, read_parameters
from treadle.integrations.http import HttpIntegration
from treadle.integrations.sealing import Sealer
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Call
from treadle.stores import MemoryStore
from treadle.testing.integration_contract import call_of

INVOKE = "arn:aws:states:::http:invoke"
BASIC = {"BasicAuthParameters": {"Username": "ann", "Password": "pässword"}}


def parameters(given: Any) -> AuthParameters:
    return read_parameters(json.dumps(given))


class Tasks:
    """An HTTP integration beside an API, and a connection for it."""

    def __init__(self, api: Api, http: HttpIntegration, connections: Connections, arn: str) -> None:
        self.api, self.http, self.connections, self.arn = api, http, connections, arn

    def call(self, path: str = "/echo", method: str = "GET", again: bool = False, **more: Any) -> Call:
        endpoint = path if "://" in path else self.api.url + path
        given = {"ApiEndpoint": endpoint, "Method": method, "InvocationConfig": {"ConnectionArn": self.arn}, **more}
        return replace(call_of(INVOKE, given), again=again)

    async def ask(self, *where: Any, **more: Any) -> Any:
        return await self.http.call(self.call(*where, **more))

    async def echo(self, *where: Any, **more: Any) -> Any:
        """What the API got."""
        return (await self.ask(*where, **more))["ResponseBody"]

    async def failure(self, *where: Any, **more: Any) -> StatesError:
        with pytest.raises(StatesError) as failed:
            await self.ask(*where, **more)
        assert failed.value.cause
        return failed.value


@asynccontextmanager
async def tasks_at(auth: Any = BASIC, place: Path | None = None, **settings: Any) -> AsyncGenerator[Tasks]:
    server, client = contexts(place) if place else (None, None)
    store = MemoryStore()
    await store.open()
    connections = Connections(store, Sealer(None, {}))
    async with api_at_work(server) as api:
        at_home = json.loads(json.dumps(auth).replace("API", api.url))
        arn = await connections.put("partner", parameters(at_home))
        http = HttpIntegration(connections, **{"context": client, **settings})
        try:
            yield Tasks(api, http, connections, arn)
        finally:
            await http.close()


def run(work: Callable[[Tasks], Awaitable[None]], auth: Any = BASIC, **settings: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20), tasks_at(auth, **settings) as tasks:
            await work(tasks)

    asyncio.run(bounded())


def engine_result(tasks: Tasks, definition: Any) -> Awaitable[Any]:
    """An execution of the definition in an engine that has the HTTP integration."""

    async def work() -> Any:
        machine = StateMachine(
            arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
            name="m",
            definition=json.dumps(definition),
            role_arn="arn:aws:iam::123456789012:role/r",
        )
        async with Engine(MemoryStore(), {"http": tasks.http}, clock=VirtualClock(1.7e9)) as engine:
            started = await engine.start(machine, {}, "one")
            await engine.wait_closed(started.arn)
            return await engine.result(started.arn), await engine.journal(started.arn)

    return work()


# ---- what is sent ------------------------------------------------------------------------------------------------


def test_a_request_has_the_headers_of_step_functions_and_the_connection() -> None:
    async def work(tasks: Tasks) -> None:
        got = await tasks.echo("/echo?a=1", Headers={"X-Mine": "yes", "X-Many": ["a", 2]}, QueryParameters={"b": 2})
        headers = {name.lower(): value for name, value in got["headers"].items()}
        assert headers["user-agent"] == "Amazon|StepFunctions|HttpInvoke|us-east-1"
        assert (headers["range"], headers["x-mine"], headers["x-many"]) == ("bytes=0-262144", "yes", "a, 2")
        assert headers["authorization"] == "Basic YW5uOnDDpHNzd29yZA=="
        assert "content-type" not in headers and "accept-encoding" not in headers
        assert got["query"] == [["a", "1"], ["b", "2"]]

    run(work)


def test_a_request_says_which_region_it_comes_from() -> None:
    async def work(tasks: Tasks) -> None:
        execution = "arn:aws:states:eu-west-1:123456789012:execution:orders:one"
        got = await tasks.http.call(replace(tasks.call(), execution_arn=execution))
        assert got["ResponseBody"]["headers"]["User-Agent"] == "Amazon|StepFunctions|HttpInvoke|eu-west-1"

    run(work)


@pytest.mark.parametrize(
    ("body", "more", "sent", "kind"),
    [
        ({"n": [1, None]}, {}, '{"n":[1,null]}', "application/json; charset=utf-8"),
        ([1], {}, "[1]", "application/json; charset=utf-8"),
        ("<xml/>", {}, "<xml/>", "text/plain; charset=utf-8"),
        ("<xml/>", {"Headers": {"content-type": "text/xml"}}, "<xml/>", "text/xml"),
        ({"n": 1}, {"Transform": {"RequestBodyEncoding": "NONE"}}, '{"n":1}', "application/json; charset=utf-8"),
    ],
)
def test_a_body_is_sent_as_what_it_is(body: Any, more: Any, sent: str, kind: str) -> None:
    async def work(tasks: Tasks) -> None:
        got = await tasks.echo("/echo", "POST", RequestBody=body, **more)
        assert (got["body"], got["headers"]["Content-Type"]) == (sent, kind)

    run(work)


@pytest.mark.parametrize(
    ("arrays", "sent"),
    [
        (None, "l%5B0%5D=a&l%5B1%5D=1"),
        ("INDICES", "l%5B0%5D=a&l%5B1%5D=1"),
        ("REPEAT", "l=a&l=1"),
        ("COMMAS", "l=a,1"),
        ("BRACKETS", "l%5B%5D=a&l%5B%5D=1"),
    ],
)
def test_a_form_writes_arrays_as_it_is_told_and_nests_in_brackets(arrays: str | None, sent: str) -> None:
    transform: dict[str, Any] = {"RequestBodyEncoding": "URL_ENCODED"}
    if arrays:
        transform["RequestEncodingOptions"] = {"ArrayFormat": arrays}
    body = {"l": ["a", 1], "o": {"p": {"q": True}}, "ä b": "c&d", "z": None}

    async def work(tasks: Tasks) -> None:
        got = await tasks.echo("/echo", "POST", RequestBody=body, Transform=transform)
        assert got["body"] == f"{sent}&o%5Bp%5D%5Bq%5D=true&%C3%A4%20b=c%26d&z="
        assert got["headers"]["Content-Type"].startswith("application/x-www-form-urlencoded")

    run(work)


ADDING = {
    "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "k"},
    "InvocationHttpParameters": {
        "HeaderParameters": [{"Key": "x-mine", "Value": "connection", "IsValueSecret": True}],
        "QueryStringParameters": [{"Key": "q", "Value": "connection"}],
        "BodyParameters": [{"Key": "b", "Value": "connection"}],
    },
}


def test_what_the_connection_says_wins() -> None:
    async def work(tasks: Tasks) -> None:
        mine = {"Headers": {"X-Mine": "task"}, "QueryParameters": {"q": "task", "r": "task"}}
        got = await tasks.echo("/echo", "POST", RequestBody={"b": "task", "c": 1}, **mine)
        headers = {name.lower(): value for name, value in got["headers"].items()}
        assert (headers["x-key"], headers["x-mine"]) == ("k", "connection")
        assert got["query"] == [["q", "connection"], ["r", "task"]]
        assert json.loads(got["body"]) == {"b": "connection", "c": 1}
        assert json.loads((await tasks.echo("/echo", "POST"))["body"]) == {"b": "connection"}
        assert (await tasks.failure("/echo", "POST", RequestBody="text")).name == "States.Runtime"

    run(work, ADDING)


@pytest.mark.parametrize(
    "more",
    [
        {"Headers": {"Authorization": "Bearer x"}},
        {"Headers": {"HOST": "x"}},
        {"Headers": {"X-Forwarded-For": "x"}},
        {"Headers": {"x-amz-date": "x"}},
        {"Headers": {"X-Amzn-Trace": "x"}},
        {"Headers": {"x": "a\r\nb: c"}},
        {"Headers": {"a b": "x"}},
        {"Headers": {"x": {}}},
        {"Headers": []},
        {"QueryParameters": {"q": {}}},
        {"Method": "TRACE"},
        {"ApiEndpoint": "example.com"},
        {"ApiEndpoint": "ftp://example.com"},
        {"ApiEndpoint": "http://example.com"},
        {"ApiEndpoint": "https://user:password@example.com"},
        {"ApiEndpoint": "https://[::1"},
        {"InvocationConfig": {}},
        {"Authentication": {"ConnectionArn": "arn:other"}},
        {"Transform": {"RequestBodyEncoding": "BASE64"}},
        {"Transform": {"RequestBodyEncoding": "URL_ENCODED"}, "RequestBody": "text"},
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(more: Any) -> None:
    async def refused(tasks: Tasks) -> None:
        call = tasks.call()
        with pytest.raises(StatesError) as failed:
            await tasks.http.call(call_of(INVOKE, {**call.arguments, **more}))
        assert failed.value.name == "States.Runtime" and failed.value.cause
        assert tasks.api.asked == []

    run(refused)


def test_plain_http_goes_to_this_machine_alone_unless_it_is_allowed() -> None:
    async def work(tasks: Tasks) -> None:
        # A name that no resolver has: the address is accepted, the connection is not.
        assert (await tasks.failure("http://nowhere.invalid/")).name == "States.Http.Socket"

    run(work, plain=True)


# ---- what comes back ---------------------------------------------------------------------------------------------


def test_an_answer_has_headers_as_lists_the_status_and_the_parsed_body() -> None:
    async def work(tasks: Tasks) -> None:
        got = await tasks.ask("/echo")
        assert list(got) == ["Headers", "ResponseBody", "StatusCode", "StatusText"]
        assert (got["StatusCode"], got["StatusText"]) == (200, "OK")
        assert got["Headers"]["content-type"] == ["application/json; charset=utf-8"]
        assert got["ResponseBody"]["path"] == "/echo"

    run(work)


@pytest.mark.parametrize(
    ("kind", "body", "read"),
    [
        ("application/json", '{"n": 1e400}', '{"n": 1e400}'),
        ("application/json", '{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        ("application/problem+json", "[1]", [1]),
        ("application/json", "{broken", "{broken"),
        ("application/json", "[" * 100_000, "[" * 100_000),
        ("text/plain", '{"n": 1}', '{"n": 1}'),
        ("text/html; charset=utf-8", "ä", "ä"),
        ("application/xml", "<a/>", "<a/>"),
        ("application/json", "", ""),
    ],
)
def test_a_body_is_parsed_where_it_says_that_it_is_json(kind: str, body: str, read: Any) -> None:
    async def work(tasks: Tasks) -> None:
        got = await tasks.ask("/typed", "POST", QueryParameters={"type": kind}, RequestBody=body)
        assert got["ResponseBody"] == read

    run(work)


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/png", "video/mp4", "audio/ogg"])
def test_an_answer_that_is_no_text_fails_the_task(kind: str) -> None:
    async def work(tasks: Tasks) -> None:
        failed = await tasks.failure("/typed", "POST", QueryParameters={"type": kind}, RequestBody="x")
        assert failed.name == "States.Runtime"

    run(work)


@pytest.mark.parametrize("charset", ["ascii", "no-such-charset", "utf-32", "zlib"])
def test_an_answer_in_another_character_set_than_it_says_fails_the_task(charset: str) -> None:
    async def work(tasks: Tasks) -> None:
        query = {"type": f"text/plain; charset={charset}"}
        assert (
            await tasks.failure("/typed", "POST", QueryParameters=query, RequestBody="äöü")
        ).name == "States.Runtime"

    run(work)


@pytest.mark.parametrize(("status", "text"), [(400, "Bad Request"), (404, "Not Found"), (429, "Too Many Requests")])
def test_a_status_that_is_no_success_names_the_error_and_tells_its_text_alone(status: int, text: str) -> None:
    async def work(tasks: Tasks) -> None:
        failed = await tasks.failure(f"/status/{status}")
        assert (failed.name, failed.cause) == (f"States.Http.StatusCode.{status}", text)

    run(work)


def test_a_redirect_is_not_followed() -> None:
    async def work(tasks: Tasks) -> None:
        assert (await tasks.failure("/redirect")).name == "States.Http.StatusCode.302"
        assert tasks.api.asked == []

    run(work)


def test_a_cookie_is_told_and_not_kept() -> None:
    async def work(tasks: Tasks) -> None:
        assert (await tasks.ask("/cookie"))["Headers"]["set-cookie"] == ["session=1"]
        assert "Cookie" not in (await tasks.echo())["headers"]

    run(work)


def test_an_answer_without_a_body_has_an_empty_text() -> None:
    async def work(tasks: Tasks) -> None:
        for method, status in (("HEAD", 200), ("DELETE", 204)):
            got = await tasks.ask(f"/status/{status}", method)
            assert (got["StatusCode"], got["ResponseBody"]) == (status, "")

    run(work)


# ---- what goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/reset", "States.Http.Socket"),
        ("/cut", "States.Http.Socket"),
        ("/slow", "States.Http.Socket"),
        ("/huge", "States.DataLimitExceeded"),
        ("/status/500", "States.Http.StatusCode.500"),
        ("/status/503", "States.Http.StatusCode.503"),
    ],
)
def test_each_fault_has_its_error_name_and_harms_no_later_request(path: str, error: str) -> None:
    async def work(tasks: Tasks) -> None:
        # A POST, since a lost GET is asked once more on another connection.
        assert (await tasks.failure(path, "POST")).name == error
        assert (await tasks.ask("/echo"))["StatusCode"] == 200

    run(work, time_limit=0.5)


def test_a_certificate_is_verified(tmp_path: Path) -> None:
    async def work(tasks: Tasks) -> None:
        assert (await tasks.echo("/echo"))["path"] == "/echo"
        assert tasks.api.url.startswith("https://")

    run(work, place=tmp_path)

    async def distrusting(tasks: Tasks) -> None:
        failed = await tasks.failure("/echo")
        assert failed.name == "States.Http.Socket" and "certificate" in (failed.cause or "").lower()
        assert tasks.api.asked == []

    run(distrusting, place=tmp_path, context=None)


def test_only_what_is_harmless_is_sent_again_after_the_process_died() -> None:
    async def work(tasks: Tasks) -> None:
        for method in ("GET", "PUT", "DELETE"):
            assert (await tasks.ask("/echo", method, again=True))["StatusCode"] == 200
        assert (await tasks.ask("/echo", "POST", again=True, Headers={"Idempotency-Key": "7"}))["StatusCode"] == 200
        sent = len(tasks.api.asked)
        for method in ("POST", "PATCH"):
            assert (await tasks.failure("/echo", method, again=True)).name == "States.TaskFailed"
        assert len(tasks.api.asked) == sent

    run(work)


def test_so_many_requests_are_under_way_at_once_and_no_time_passes_for_those_that_wait() -> None:
    async def work(tasks: Tasks) -> None:
        async def slow() -> str | None:
            return (await tasks.failure("/slow", "POST")).name

        waiting = [asyncio.create_task(slow()) for _ in range(6)]
        while tasks.api.under_way < 2:
            await asyncio.sleep(0.01)
        assert tasks.api.under_way == 2
        assert await asyncio.gather(*waiting) == ["States.Http.Socket"] * 6

    run(work, at_once=2, time_limit=0.2)


# ---- OAuth -------------------------------------------------------------------------------------------------------

OAUTH = {
    "OAuthParameters": {
        "AuthorizationEndpoint": "API/token",
        "HttpMethod": "POST",
        "ClientParameters": {"ClientID": CLIENT["client_id"], "ClientSecret": CLIENT["client_secret"]},
        "OAuthHttpParameters": {
            "HeaderParameters": [{"Key": "X-Tenant", "Value": "t"}],
            "QueryStringParameters": [{"Key": "q", "Value": "1"}],
            "BodyParameters": [{"Key": "scope", "Value": "orders"}],
        },
    }
}


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_a_token_is_asked_for_as_the_connection_says(method: str) -> None:
    async def work(tasks: Tasks) -> None:
        assert (await tasks.echo("/guarded"))["headers"]["Authorization"] == "Bearer token-1"
        asked = tasks.api.asked[0]
        assert (asked["method"], asked["headers"]["X-Tenant"]) == (method, "t")
        told = dict(asked["query"]) if method == "GET" else dict(asked["query"]) | _form(asked["body"])
        assert told == {"grant_type": "client_credentials", **CLIENT, "scope": "orders", "q": "1"}

    auth = {"OAuthParameters": {**OAUTH["OAuthParameters"], "HttpMethod": method}}
    run(work, auth)


def _form(body: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in body.split("&"))


def test_many_tasks_share_one_token() -> None:
    async def work(tasks: Tasks) -> None:
        answers = await asyncio.gather(*(tasks.ask("/guarded") for _ in range(20)))
        assert {each["StatusCode"] for each in answers} == {200} and tasks.api.tokens == 1

    run(work, OAUTH)


@pytest.mark.parametrize("expires_in", [0, 20, "20"])
def test_a_token_that_is_about_to_expire_is_not_used_again(expires_in: Any) -> None:
    async def work(tasks: Tasks) -> None:
        tasks.api.expires_in = expires_in
        for count in (1, 2):
            await tasks.ask("/guarded")
            assert tasks.api.tokens == count

    run(work, OAUTH)


def test_a_token_that_is_refused_is_replaced_and_the_request_sent_once_more() -> None:
    async def work(tasks: Tasks) -> None:
        await tasks.ask("/guarded")
        tasks.api.accepted = "revoked"
        assert (await tasks.ask("/guarded", "POST"))["StatusCode"] == 200
        assert tasks.api.tokens == 2
        paths = [each["path"] for each in tasks.api.asked]
        assert paths == ["/token", "/guarded", "/guarded", "/token", "/guarded"]

    run(work, OAUTH)


def test_a_request_that_is_refused_with_a_new_token_too_fails() -> None:
    async def work(tasks: Tasks) -> None:
        assert (await tasks.failure("/status/401")).name == "States.Http.StatusCode.401"
        assert [each["path"] for each in tasks.api.asked] == ["/token", "/status/401", "/token", "/status/401"]

    run(work, OAUTH)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "InvalidConnectionState"), (401, "InvalidConnectionState"), (500, "InternalError"), (429, "InternalError")],
)
def test_a_token_that_is_not_granted_is_an_error_of_the_connection(status: int, reason: str) -> None:
    async def work(tasks: Tasks) -> None:
        tasks.api.token_status = status
        failed = await tasks.failure("/guarded")
        assert failed.name == f"Events.ConnectionResource.{reason}"
        assert CLIENT["client_secret"] not in str(failed)
        assert [each["path"] for each in tasks.api.asked] == ["/token"]

    run(work, OAUTH)


def test_a_token_request_that_was_cancelled_is_made_by_the_next_task() -> None:
    async def work(tasks: Tasks) -> None:
        for turns in range(0, 40, 3):
            first = asyncio.create_task(tasks.ask("/guarded"))
            for _ in range(turns):
                await asyncio.sleep(0)
            first.cancel()
            assert (await tasks.ask("/guarded"))["StatusCode"] == 200
            await asyncio.gather(first, return_exceptions=True)

    run(work, OAUTH)


# ---- what a definition makes of it -------------------------------------------------------------------------------


def task(tasks: Tasks, path: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": INVOKE, "Parameters": tasks.call(path).arguments, **more}


def test_retry_acts_on_a_status() -> None:
    async def work(tasks: Tasks) -> None:
        tasks.api.failures = 2
        retry = [{"ErrorEquals": ["States.Http.StatusCode.429"], "IntervalSeconds": 30, "MaxAttempts": 3}]
        definition = {"StartAt": "A", "States": {"A": task(tasks, "/failing", Retry=retry, End=True)}}
        result, journal = await engine_result(tasks, definition)
        assert result.output["ResponseBody"] == {"ok": True}
        assert len(tasks.api.asked) == 3
        # The time between the attempts has passed on the virtual clock alone.
        assert journal[-1].at - journal[0].at >= 90

    run(work)


def test_the_time_limit_of_the_state_ends_the_request() -> None:
    async def work(tasks: Tasks) -> None:
        catch = [{"ErrorEquals": ["States.Timeout"], "Next": "B"}]
        slow = task(tasks, "/slow", TimeoutSeconds=1, Catch=catch, End=True)
        states = {"A": slow, "B": {"Type": "Pass", "End": True}}
        machine = StateMachine(
            arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
            name="m",
            definition=json.dumps({"StartAt": "A", "States": states}),
            role_arn="arn:aws:iam::123456789012:role/r",
        )
        async with Engine(MemoryStore(), {"http": tasks.http}) as engine:
            started = await engine.start(machine, {}, "one")
            assert (await engine.wait_closed(started.arn)).status == "SUCCEEDED"
        while tasks.api.under_way:
            await asyncio.sleep(0.01)

    run(work)

"""Connections: kept sealed, listed without secrets, and found in the account where the store has none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_cloud import LocalCloud
from treadle.errors import ApiError, StatesError
from treadle.integrations.connections import KIND, Connections, listed, read_parameters
from treadle.integrations.event_bridge import AccountConnections, parameters_of
from treadle.integrations.http_client import Answer, Request
from treadle.integrations.sealing import Sealer
from treadle.stores import MemoryStore, SqliteStore

PASSWORD = "dont-show-me"
ADDED = {
    "HeaderParameters": [
        {"Key": "X-Open", "Value": "seen", "IsValueSecret": False},
        {"Key": "X-Secret", "Value": PASSWORD, "IsValueSecret": True},
    ],
    "QueryStringParameters": [{"Key": "q", "Value": "1", "IsValueSecret": False}],
    "BodyParameters": [{"Key": "b", "Value": "2", "IsValueSecret": False}],
}
KINDS: dict[str, dict[str, Any]] = {
    "BASIC": {"BasicAuthParameters": {"Username": "ann", "Password": PASSWORD}},
    "API_KEY": {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": PASSWORD}},
    "OAUTH_CLIENT_CREDENTIALS": {
        "OAuthParameters": {
            "AuthorizationEndpoint": "https://login.example.com/token",
            "HttpMethod": "POST",
            "ClientParameters": {"ClientID": "me", "ClientSecret": PASSWORD},
            "OAuthHttpParameters": {"BodyParameters": [{"Key": "scope", "Value": "all", "IsValueSecret": False}]},
        }
    },
}


def given(kind: str) -> dict[str, Any]:
    return {**KINDS[kind], "InvocationHttpParameters": ADDED}


def run(work: Callable[[Connections], Awaitable[None]], **settings: Any) -> None:
    async def bounded() -> None:
        store = MemoryStore()
        await store.open()
        async with asyncio.timeout(20):
            await work(Connections(store, Sealer(None, {}), **settings))

    asyncio.run(bounded())


async def exchange(request: Request) -> Answer:
    return Answer(200, "OK", [], b'{"access_token": "t"}', "application/json")


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_is_kept_and_shown_without_what_is_secret(kind: str) -> None:
    async def work(connections: Connections) -> None:
        arn = await connections.put("partner", read_parameters(json.dumps(given(kind))), description="orders")
        assert arn.startswith("arn:aws:events:us-east-1:123456789012:connection/partner/")
        assert await connections.get("partner") == await connections.get(arn)
        (each,) = await connections.list()
        assert (each.name, each.type, each.arn, each.description) == ("partner", kind, arn, "orders")
        shown = str(each) + str(listed(await connections.get(arn)))
        assert PASSWORD not in shown and "X-Secret" in shown and "seen" in shown

    run(work)


def test_nothing_secret_stands_in_the_store_or_in_the_text_of_a_request(tmp_path: Path) -> None:
    async def work() -> None:
        store = SqliteStore(tmp_path / "data" / "treadle.db")
        await store.open()
        connections = Connections(store, Sealer(tmp_path / "key", {}))
        for kind in KINDS:
            arn = await connections.put(kind, read_parameters(json.dumps(given(kind))))
            assert PASSWORD not in repr(await connections.authorise(arn, exchange))
        await store.close()
        assert all(PASSWORD.encode() not in file.read_bytes() for file in (tmp_path / "data").iterdir())

    asyncio.run(work())


def test_putting_again_keeps_the_arn_and_deleting_takes_it_away() -> None:
    async def work(connections: Connections) -> None:
        basic, api_key = (read_parameters(json.dumps(KINDS[kind])) for kind in ("BASIC", "API_KEY"))
        arn = await connections.put("partner", basic)
        assert await connections.put("partner", api_key) == arn
        assert (await connections.authorise(arn, exchange)).headers == {"X-Key": PASSWORD}
        await connections.delete("partner")
        assert await connections.list() == []
        with pytest.raises(ApiError):
            await connections.delete("partner")
        with pytest.raises(StatesError) as failed:
            await connections.authorise(arn, exchange)
        assert failed.value.name == "Events.ConnectionResource.ResourceNotFound"
        assert await connections.put("partner", basic) != arn

    run(work)


def test_an_arn_of_aws_can_be_given_to_a_connection() -> None:
    async def work(connections: Connections) -> None:
        arn = "arn:aws:events:eu-west-1:111122223333:connection/partner/0c9a"
        basic = read_parameters(json.dumps(KINDS["BASIC"]))
        assert await connections.put("partner", basic, arn=arn) == arn
        assert (await connections.authorise(arn, exchange)).headers["Authorization"].startswith("Basic ")
        for name, other in (("other", arn), ("partner", "arn:aws:events:eu-west-1:1:rule/partner"), ("a b", None)):
            with pytest.raises(ApiError):
                await connections.put(name, basic, arn=other)

    run(work)


def test_puts_at_the_same_time_all_succeed_and_make_one_connection_per_arn() -> None:
    async def work(connections: Connections) -> None:
        basic = read_parameters(json.dumps(KINDS["BASIC"]))
        arn = await connections.put("partner", basic)
        assert set(await asyncio.gather(*(connections.put("partner", basic) for _ in range(20)))) == {arn}

    run(work)


def test_a_connection_sealed_with_a_lost_key_is_an_error_of_the_task() -> None:
    async def work() -> None:
        store = MemoryStore()
        await store.open()
        arn = await Connections(store, Sealer(None, {})).put("partner", read_parameters(json.dumps(KINDS["BASIC"])))
        with pytest.raises(StatesError) as failed:
            await Connections(store, Sealer(None, {})).authorise(arn, exchange)
        assert failed.value.name == "Events.ConnectionResource.AccessDenied"

    asyncio.run(work())


def test_resealing_makes_the_old_key_needless(tmp_path: Path) -> None:
    async def work() -> None:
        store, path = MemoryStore(), tmp_path / "key"
        await store.open()
        connections = Connections(store, Sealer(path, {}))
        arns = [await connections.put(kind, read_parameters(json.dumps(KINDS[kind]))) for kind in KINDS]
        connections.sealer.rotate()
        assert await connections.reseal() == len(arns)
        path.write_text(path.read_text().splitlines()[0])
        again = Connections(store, Sealer(path, {}))
        assert [each.arn for each in await again.list()] == sorted(arns)
        assert len(await store.documents(KIND)) == len(arns)

    asyncio.run(work())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"BasicAuthParameters": {"Username": "a"}}',
        '{"BasicAuthParameters": {"Username": "a", "Password": 7}}',
        '{"Basic": {}}',
        json.dumps({**KINDS["BASIC"], **KINDS["API_KEY"]}),
        "[" * 100_000,
    ],
)
def test_parameters_that_are_none_are_refused_without_showing_a_value(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_parameters(text)
    assert refused.value.code == "ValidationException" and PASSWORD not in str(refused.value)


# ---- elsewhere ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_of_the_account_is_found_with_its_secrets(kind: str, local_cloud: LocalCloud) -> None:
    def client(service: str, region: str) -> Any:
        return local_cloud.client(service)

    name = local_cloud.unique("partner")
    with closing(client("events", "us-east-1")) as events:
        made = events.create_connection(Name=name, AuthorizationType=kind, AuthParameters=given(kind))

    async def work(connections: Connections) -> None:
        additions = await connections.authorise(made["ConnectionArn"], exchange)
        assert additions.headers["X-Secret"] == PASSWORD
        assert (additions.query, additions.body) == ({"q": "1"}, {"b": "2"})
        assert await AccountConnections(client)(made["ConnectionArn"]) == read_parameters(json.dumps(given(kind)))
        for other in ("gone/11", f"{name}/another-than-this"):
            with pytest.raises(StatesError) as failed:
                await connections.authorise(f"arn:aws:events:us-east-1:123456789012:connection/{other}", exchange)
            assert failed.value.name == "Events.ConnectionResource.ResourceNotFound"

    run(work, elsewhere=AccountConnections(client))


def test_an_account_that_cannot_be_asked_is_said_so() -> None:
    def client(service: str, region: str) -> Any:
        credentials = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        nowhere = "http://127.0.0.1:9"
        return boto3.session.Session(**credentials).client(service, region_name=region, endpoint_url=nowhere)

    async def work(connections: Connections) -> None:
        with pytest.raises(StatesError) as failed:
            await connections.authorise("arn:aws:events:us-east-1:123456789012:connection/a/1", exchange)
        assert failed.value.name == "Events.ConnectionResource.ResourceNotFound"
        assert "cannot be asked" in (failed.value.cause or "")

    run(work, elsewhere=AccountConnections(client))


@pytest.mark.parametrize(
    "secret",
    [
        {"username": "ann", "password": PASSWORD, "invocation_http_parameters": {}},
        {"Username": "ann", "Password": PASSWORD},
    ],
)
def test_a_secret_is_read_in_either_spelling(secret: Any) -> None:
    basic = parameters_of("BASIC", secret).basic_auth_parameters
    assert basic is not None and (basic.username, basic.password) == ("ann", PASSWORD)


@pytest.mark.parametrize(("kind", "secret"), [("BASIC", {}), ("BASIC", []), ("OTHER", {"username": PASSWORD})])
def test_a_secret_that_makes_no_sense_is_an_error_of_the_connection(kind: str, secret: Any) -> None:
    with pytest.raises(StatesError) as failed:
        parameters_of(kind, secret)
    assert failed.value.name == "Events.ConnectionResource.InvalidConnectionState" and PASSWORD not in str(failed.value)

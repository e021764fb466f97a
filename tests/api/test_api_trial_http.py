"""TestState at the level TRACE: what an HTTP task sent and got, without what its connection keeps secret."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_serving import ROLE, Served

from http_server import api_at_work

ARN = "arn:aws:events:us-east-1:123456789012:connection/partner/11111111-2222-3333-4444-555555555555"
SECRETS = {
    "BasicAuthParameters": {"Username": "mira", "Password": "hushhush"},
    "InvocationHttpParameters": {
        "QueryStringParameters": [{"Key": "key", "Value": "hidden1", "IsValueSecret": True}],
        "BodyParameters": [{"Key": "pin", "Value": "hidden2", "IsValueSecret": True}],
    },
}
BASIC = "Basic bWlyYTpodXNoaHVzaA=="


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    """The URL of an HTTP API at work in a thread."""
    ready, done = threading.Event(), threading.Event()
    url: list[str] = []

    async def serve() -> None:
        async with api_at_work() as api:
            url.append(api.url)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    yield url[0]
    done.set()
    thread.join(20)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a server that has the connection."""
    data = tmp_path_factory.mktemp("http") / "data"
    put = [sys.executable, "-m", "treadle", "connections", "put", "partner", "--arn", ARN, "--store", str(data)]
    subprocess.run(put, input=json.dumps(SECRETS), text=True, check=True, capture_output=True)
    served = Served(Path(data), "--no-cloud")
    try:
        yield served.client()
    finally:
        assert served.stop() == 0


def traced(states: Any, url: str, **given: Any) -> Any:
    arguments = {
        "ApiEndpoint": url,
        "Method": "POST",
        "Headers": {"X-Order": "7"},
        "QueryParameters": {"page": 2},
        "RequestBody": {"name": "Mira"},
        "InvocationConfig": {"ConnectionArn": ARN},
    }
    state = {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": arguments, "End": True}
    given = {"inspectionLevel": "TRACE", **given}
    return states.test_state(definition=json.dumps(state), roleArn=ROLE, input="{}", **given)


def test_the_request_is_told_without_the_secrets_of_the_connection(states: Any, api: str) -> None:
    answer = traced(states, f"{api}/echo")
    assert answer["status"] == "SUCCEEDED"
    request, response = answer["inspectionData"]["request"], answer["inspectionData"]["response"]
    assert (request["protocol"], request["method"], request["url"]) == ("http", "POST", f"{api}/echo?page=2")
    assert json.loads(request["body"]) == {"name": "Mira"}
    assert request["headers"].startswith("[user-agent: Amazon|StepFunctions|HttpInvoke|us-east-1, range: bytes=0-")
    assert "x-order: 7" in request["headers"]
    assert not any(secret in json.dumps(request) for secret in ("hidden", "hush", BASIC))
    assert (response["protocol"], response["statusCode"], response["statusMessage"]) == ("http", "200", "OK")
    assert "Content-Type: application/json" in response["headers"]
    # What the server says is not cut, whatever it says.
    assert json.loads(response["body"])["query"] == [["page", "2"], ["key", "hidden1"]]


def test_secrets_are_told_to_who_asks_for_them(states: Any, api: str) -> None:
    request = traced(states, f"{api}/echo", revealSecrets=True)["inspectionData"]["request"]
    assert request["url"] == f"{api}/echo?page=2&key=hidden1"
    assert f"authorization: {BASIC}" in request["headers"]
    assert json.loads(request["body"]) == {"name": "Mira", "pin": "hidden2"}


def test_the_exchange_of_a_task_that_fails_is_told(states: Any, api: str) -> None:
    answer = traced(states, f"{api}/status/503")
    assert (answer["status"], answer["error"]) == ("FAILED", "States.Http.StatusCode.503")
    assert answer["inspectionData"]["response"]["statusCode"] == "503"
    nowhere = traced(states, "http://127.0.0.1:9/")
    assert nowhere["error"] == "States.Http.Socket"
    assert nowhere["inspectionData"]["request"]["url"] == "http://127.0.0.1:9/?page=2"
    assert "response" not in nowhere["inspectionData"]


def test_other_levels_tell_nothing_of_it(states: Any, api: str) -> None:
    assert not {"request", "response"} & traced(states, f"{api}/echo", inspectionLevel="DEBUG")["inspectionData"].keys()
    assert "inspectionData" not in traced(states, f"{api}/echo", inspectionLevel="INFO")

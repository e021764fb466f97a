"""The three APIs: what they check, what they refuse, and what a repeated request changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from approval_functions import Deployed, answered, event
from small_service import Answering, at_work

LEDGER = {"id": "ledger", "version": "1.9.0"}
BILLING = {"id": "billing", "version": "2.4.1", "requires": [{"id": "ledger", "version": ">=1.8.0,<2.0.0"}]}


@pytest.fixture
def call(deployed: Deployed, functions: SimpleNamespace) -> Any:
    deployed.tokens["api"] = deployed.rotate("api")

    def ask(api: str, **body: Any) -> tuple[int, dict[str, Any]]:
        headers = {"authorization": f"Bearer {deployed.tokens['api']}"}
        return answered(getattr(functions, api)(event(body, headers), None))

    return ask


@pytest.mark.parametrize("api", ["validation", "deployment", "notification"])
def test_an_api_lets_nobody_in_without_the_token(functions: SimpleNamespace, api: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}):
        assert getattr(functions, api)(event({}, headers), None)["statusCode"] == 401


def test_a_complete_release_is_valid(call: Any) -> None:
    assert call("validation", packages=[BILLING, LEDGER]) == (
        200,
        {"valid": True, "packages": ["billing 2.4.1", "ledger 1.9.0"], "requirements": 1},
    )


@pytest.mark.parametrize(
    ("packages", "fault"),
    [
        ([BILLING], "billing requires ledger >=1.8.0,<2.0.0, which is not in the release"),
        ([BILLING, LEDGER | {"version": "2.0.0"}], "but the release has 2.0.0"),
        ([LEDGER, LEDGER], "ledger is there twice"),
        ([LEDGER | {"requires": [{"id": "ledger"}]}], "ledger requires itself"),
    ],
)
def test_a_release_that_lacks_something_is_told_what(call: Any, packages: Any, fault: str) -> None:
    status, answer = call("validation", packages=packages)
    assert (status, answer["error"]) == (422, "UnmetRequirements")
    assert fault in answer["faults"][0]


@pytest.mark.parametrize(
    "packages",
    [None, [], ["x"], [{"id": "X", "version": "1.0.0"}], [{"id": "x", "version": "1.0"}],
     [LEDGER | {"requires": 7}], [LEDGER | {"requires": [{"id": "a", "version": "~1"}]}], [LEDGER] * 101],
)  # fmt: skip
def test_packages_that_are_not_well_formed_are_refused(call: Any, packages: Any) -> None:
    assert call("validation", packages=packages)[1]["error"] == "InvalidPackages"


def test_a_deployment_is_kept_and_repeating_it_changes_nothing(call: Any) -> None:
    wanted = {"environment": "dev", "story": "PROJ-1", "execution": "e", "packages": [LEDGER]}
    assert call("deployment", **wanted)[1]["deployed"] == {"ledger": "1.9.0"}
    status, again = call("deployment", **wanted)
    assert (status, again["deployed"], again["unchanged"]) == (200, {}, ["ledger"])
    newer = call("deployment", **wanted | {"packages": [LEDGER | {"version": "1.10.0"}]})[1]
    assert (newer["deployed"], newer["replaced"]) == ({"ledger": "1.10.0"}, {"ledger": "1.9.0"})
    status, refused = call("deployment", **wanted)
    assert (status, refused["faults"]) == (409, ["ledger 1.9.0 is older than 1.10.0"])
    assert call("deployment", **wanted, rollback=True)[0] == 200
    assert call("deployment", **wanted | {"environment": "mars"})[1]["error"] == "UnknownEnvironment"


def test_stakeholders_are_told_by_the_topic(call: Any, deployed: Deployed) -> None:
    sqs, sns = deployed.cloud.client("sqs"), deployed.cloud.client("sns")
    queue = sqs.create_queue(QueueName=deployed.cloud.unique("inbox"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=deployed.topic, Protocol="sqs", Endpoint=arn)
    told = {"kind": "reminder", "story": "PROJ-1", "recipients": ["ann@example.com"], "token": "not passed on"}
    assert call("notification", **told)[1]["notified"] == ["ann@example.com"]
    message = json.loads(sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]["Body"])
    assert message["Subject"] == "Reminder: PROJ-1 still waits for approval"
    assert "token" not in message["Message"]
    assert call("notification", **told | {"recipients": ["ann"]})[1]["faults"] == ["ann"]
    assert call("notification", **told | {"kind": "shout"})[0] == 422


def test_a_notification_that_is_sent_again_tells_once(
    deployed: Deployed, functions: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.tokens["api"] = deployed.rotate("api")

    def tell(key: str, story: str = "PROJ-1") -> tuple[int, dict[str, Any]]:
        body = {"kind": "request", "story": story, "recipients": ["ann@example.com"]}
        headers = {"authorization": f"Bearer {deployed.tokens['api']}", "idempotency-key": key}
        return answered(functions.notification(event(body, headers), None))

    key = deployed.cloud.unique("e")
    status, first = tell(key)
    assert status == 200
    assert tell(key) == (200, {**first, "duplicate": True})
    assert tell(key, "PROJ-2")[1]["error"] == "KeyReused"
    assert tell(deployed.cloud.unique("e"))[1]["message"] != first["message"]
    assert tell("")[0] == tell("x" * 201)[0] == 400

    # Whoever claimed the key is at work, or died before it could keep an answer.
    under_way = deployed.cloud.unique("e")
    monkeypatch.setenv("TOPIC", f"{deployed.topic}-that-is-gone")
    assert tell(under_way)[0] == 503
    monkeypatch.setenv("TOPIC", deployed.topic)
    assert "duplicate" not in tell(under_way)[1]
    row = deployed.key(under_way)
    deployed.keep({**row, "lease": 2**40}, "answer")
    assert tell(under_way)[1]["error"] == "UnderWay"
    deployed.keep({**row, "lease": 1}, "answer")
    assert tell(under_way)[0] == 200


@pytest.fixture
def service() -> Iterator[Any]:
    """An HTTP service that answers with one status after the other, and keeps the headers that came."""
    statuses: list[int] = []
    came: list[dict[str, str]] = []

    class Handler(Answering):
        def do_POST(self) -> None:
            self.body()
            came.append({name.lower(): value for name, value in self.headers.items()})
            self.give(statuses.pop(0), b'{"fine": true}')

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with at_work(server):
        yield SimpleNamespace(statuses=statuses, came=came, url=f"http://127.0.0.1:{server.server_port}")


def test_the_client_tells_what_is_worth_another_try(
    functions: SimpleNamespace, deployed: Deployed, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_URL", service.url)
    client = functions.load("call")
    request = {"api": "validation", "key": "e-1", "body": {}}
    service.statuses += [200]
    assert client.handler(request, None) == {"fine": True}
    assert service.came[-1]["idempotency-key"] == "e-1"
    before = service.came[-1]["authorization"]
    for status, error in ((500, client.Unavailable), (429, client.Unavailable), (422, client.Refused)):
        service.statuses += [status]
        with pytest.raises(error, match=f"validation answered {status}") as raised:
            client.handler(request, None)
        assert before.split()[1] not in str(raised.value)
    now = deployed.rotate("api")
    client._secret._read_at -= 6
    service.statuses += [401, 200]
    assert client.handler(request, None) == {"fine": True}
    assert service.came[-1]["authorization"] == f"Bearer {now}"
    service.statuses += [401, 401]
    with pytest.raises(client.Refused):
        client.handler(request, None)
    monkeypatch.setenv("API_URL", "http://127.0.0.1:1")
    with pytest.raises(client.Unavailable, match="not reached"):
        client.handler(request, None)
    with pytest.raises(client.Refused):
        client.handler(request | {"api": "payroll"}, None)

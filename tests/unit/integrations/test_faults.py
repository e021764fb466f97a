"""What goes wrong on the way, for everything that is called over HTTP: a table of faults, each with its error name.

Each case is a real definition at a real server that misbehaves: its Retry acts on the error name, and its Catch where
the fault lasts.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from faulty_aws import Exchange, Faulty, faulty
from http_server import contexts
from treadle.integrations.api_gateway import ApiGatewayIntegration
from treadle.integrations.aws import AwsSdkIntegration, AwsSessions, Keys, OptimisedIntegration
from treadle.integrations.connections import Connections, read_parameters
from treadle.integrations.http import HttpIntegration
from treadle.integrations.kubernetes import KubernetesIntegration
from treadle.integrations.lambda_ import LambdaIntegration
from treadle.integrations.lambda_endpoint import LambdaEndpoint
from treadle.integrations.sealing import Sealer
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Integration
from treadle.stores import MemoryStore

ATTEMPTS = 3
"""How often a definition makes a call that always fails: once, and twice more by its Retry."""

SECRET = "s3cr3t-key-of-nobody"
PASSWORD = "p4ssword-of-nobody"

# ---- what goes wrong -----------------------------------------------------------------------------------------------


def typed(exchange: Exchange) -> None:
    exchange.send(b"\x89PNG\r\n", **{"Content-Type": "image/png"})


def huge(exchange: Exchange) -> None:
    exchange.answer({"Table": {"TableName": "x" * 9_000_000}}, **{"Content-Type": "application/json"})


def down(exchange: Exchange) -> None:
    page = b"<html><body>503 Service Unavailable</body></html>"
    exchange.send(page, 503, **{"Content-Type": "text/html"})


def _refusing(status: int, code: str, header: str) -> Callable[[Exchange], None]:
    told = {"__type": f"com.amazonaws#{code}", "message": f"told: {code}"}
    return lambda exchange: exchange.answer(told, status, **{"x-amzn-ErrorType": header})


FAULTS: Mapping[str, Callable[[Exchange], None] | None] = {
    "refused": None,
    "reset": Exchange.reset,
    "slow": Exchange.hang,
    "huge": huge,
    "typed": typed,
    "down": down,
    "throttled": _refusing(429, "ThrottlingException", "TooManyRequestsException"),
    "expired": _refusing(403, "ExpiredTokenException", "ExpiredTokenException"),
}
"""Nobody listens; the connection breaks in the middle of the answer; no answer; an answer beyond every limit; one of
another kind than it must be; the page of a load balancer; too many requests; credentials that have run out."""


def well(exchange: Exchange) -> None:
    exchange.answer({"Table": {"TableName": "t"}, "Item": {}}, **{"Content-Type": "application/json"})


# ---- what is called ------------------------------------------------------------------------------------------------

HTTP, GATEWAY, EKS = "http:invoke", "apigateway:invoke", "eks:call"
SDK, OPTIMISED = "aws-sdk:dynamodb:describeTable", "dynamodb:getItem"
LAMBDA, INVOKE = "arn:aws:lambda:us-east-1:123456789012:function:f", "lambda:invoke"

CASES: list[tuple[str, Mapping[str, tuple[str, str]]]] = [
    (
        HTTP,
        {
            "refused": ("States.Http.Socket", "Cannot connect to host 127.0.0.1"),
            "reset": ("States.Http.Socket", ""),
            "slow": ("States.Http.Socket", "timed out after 0.3 seconds"),
            "huge": ("States.DataLimitExceeded", "262144 bytes"),
            "typed": ("States.Runtime", "image/png"),
            "down": ("States.Http.StatusCode.503", "Service Unavailable"),
            "throttled": ("States.Http.StatusCode.429", "Too Many Requests"),
            "expired": ("States.Http.StatusCode.403", "Forbidden"),
        },
    ),
    *(
        (
            resource,
            {
                "refused": (f"{prefix}.SdkClientException", "Cannot connect to host 127.0.0.1"),
                "reset": (f"{prefix}.SdkClientException", ""),
                "slow": (f"{prefix}.SdkClientException", "No answer came within 0.3 seconds"),
                "huge": ("States.DataLimitExceeded", "262144 bytes"),
                "typed": ("States.Runtime", "image/png"),
                "down": (f"{prefix}.503", "<html>"),
                "throttled": (f"{prefix}.429", "told: ThrottlingException"),
                "expired": (f"{prefix}.403", "told: ExpiredTokenException"),
            },
        )
        for resource, prefix in ((GATEWAY, "ApiGateway"), (EKS, "EKS"))
    ),
    *(
        (
            resource,
            {
                "refused": (f"{prefix}.SdkClientException", "Connect to 127.0.0.1:"),
                "reset": (f"{prefix}.SdkClientException", "Unable to execute HTTP request: The connection failed"),
                "slow": (f"{prefix}.SdkClientException", "Read timed out"),
                "huge": ("States.DataLimitExceeded", resource.rpartition(":")[0]),
                "typed": (f"{prefix}.SdkClientException", "Unable to unmarshall response"),
                "down": (f"{prefix}.{other}", "503"),
                "throttled": (f"{prefix}.ThrottlingException", "told: ThrottlingException"),
                "expired": (f"{prefix}.{other}", "told: ExpiredTokenException"),
            },
        )
        for resource, prefix, other in (
            (SDK, "DynamoDb", "DynamoDbException"),
            (OPTIMISED, "DynamoDB", "AmazonDynamoDBException"),
        )
    ),
    *(
        (
            resource,
            {
                "refused": ("Lambda.SdkClientException", "Cannot connect to host 127.0.0.1"),
                "reset": ("Lambda.SdkClientException", "Unable to execute HTTP request"),
                "slow": ("Lambda.ClientExecutionTimeoutException", "did not complete before"),
                "huge": ("States.DataLimitExceeded", "'lambda'"),
                "typed": ("Lambda.Unknown", "not JSON"),
                "down": ("Lambda.AWSLambdaException", "Status Code: 503"),
                "throttled": ("Lambda.TooManyRequestsException", "told: ThrottlingException"),
                "expired": ("Lambda.AWSLambdaException", "Error Code: ExpiredTokenException"),
            },
        )
        for resource in (LAMBDA, INVOKE)
    ),
]

# botocore itself repeats what may pass.
REPEATED = {"reset", "slow", "down", "throttled"}


def sent_per_call(resource: str, fault: str) -> int:
    return 3 if resource in (SDK, OPTIMISED) and fault in REPEATED else 1


@dataclass
class World:
    """Everything that can be called, at one address. `patience` is the time limit of each call."""

    url: str
    patience: float
    place: Path
    arguments: dict[str, Any] = field(default_factory=dict)

    @asynccontextmanager
    async def table(self) -> AsyncGenerator[dict[str, Integration]]:
        store = MemoryStore()
        await store.open()
        connections = Connections(store, Sealer(None, {}))
        basic = {"BasicAuthParameters": {"Username": "ann", "Password": PASSWORD}}
        connection = await connections.put("partner", read_parameters(json.dumps(basic)))
        contexts(self.place)
        authority = base64.b64encode((self.place / "ca.pem").read_bytes()).decode()
        cluster = {"ClusterName": "blue", "Endpoint": self.url, "CertificateAuthority": authority}
        self.arguments = {
            HTTP: {"ApiEndpoint": self.url, "Method": "POST", "InvocationConfig": {"ConnectionArn": connection}},
            GATEWAY: {"ApiEndpoint": self.url.removeprefix("http://"), "Method": "POST", "AuthType": "IAM_ROLE"},
            EKS: {**cluster, "Method": "POST", "Path": "/api/v1/namespaces"},
            SDK: {"TableName": "t"},
            OPTIMISED: {"TableName": "t", "Key": {"id": {"S": "1"}}},
            LAMBDA: {},
            INVOKE: {"FunctionName": "f", "Payload": {}},
        }
        sessions = AwsSessions(endpoint_url=self.url, keys=Keys("AKIDEXAMPLE", SECRET), patience=self.patience)
        http = HttpIntegration(connections, time_limit=self.patience)
        gateway = ApiGatewayIntegration(sessions, time_limit=self.patience)
        eks = KubernetesIntegration(sessions, lambda: VirtualClock(0.0), time_limit=self.patience)
        try:
            async with LambdaEndpoint(self.url, longest=self.patience) as endpoint:
                yield {
                    "http": http,
                    "apigateway": gateway,
                    "eks:call": eks,
                    "aws-sdk": AwsSdkIntegration(sessions),
                    "dynamodb": OptimisedIntegration(sessions, lambda: VirtualClock(0.0)),
                    "lambda": LambdaIntegration(None, endpoint),
                }
        finally:
            for each in (http, gateway, eks):
                await each.close()
            sessions.close()

    async def ended(self, resource: str, error: str) -> tuple[Any, int]:
        """How an execution ends that retries and catches this error, and how many attempts have failed."""
        async with self.table() as table:
            task = {
                "Type": "Task",
                "Resource": resource if resource.startswith("arn:") else f"arn:aws:states:::{resource}",
                "Parameters": self.arguments[resource],
                "Retry": [{"ErrorEquals": [error], "MaxAttempts": ATTEMPTS - 1}],
                "Catch": [{"ErrorEquals": [error], "Next": "Caught"}],
                "End": True,
            }
            states = {"Call": task, "Caught": {"Type": "Pass", "End": True}}
            machine = StateMachine(
                arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
                name="m",
                definition=json.dumps({"StartAt": "Call", "States": states}),
                role_arn="arn:aws:iam::123456789012:role/r",
            )
            async with Engine(MemoryStore(), table, clock=VirtualClock(1.7e9)) as engine:
                started = await engine.start(machine, {}, "one")
                await engine.wait_closed(started.arn)
                failed = [each for each in await engine.journal(started.arn) if each.type.endswith("Failed")]
                attempts = sum(each.type in ("TaskFailed", "LambdaFunctionFailed") for each in failed)
                return await engine.result(started.arn), attempts


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    # botocore waits between its own attempts on no clock that a test could set.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def nobody() -> Iterator[str]:
    """An address where nobody listens, and nobody else will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def played(world: World, resource: str, error: str) -> tuple[Any, int]:
    async def bounded() -> tuple[Any, int]:
        async with asyncio.timeout(60):
            return await world.ended(resource, error)

    return asyncio.run(bounded())


ROWS = [(resource, fault, *told) for resource, faults in CASES for fault, told in faults.items()]


def test_every_fault_is_told_of_everything_that_is_called() -> None:
    assert all(faults.keys() == FAULTS.keys() for _, faults in CASES)


@pytest.mark.parametrize(("resource", "fault", "error", "told"), ROWS, ids=[f"{each[0]}-{each[1]}" for each in ROWS])
def test_a_fault_that_lasts_is_retried_and_then_caught_by_its_name(
    resource: str,
    fault: str,
    error: str,
    told: str,
    place: Path,
    nobody: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    behave = FAULTS[fault]
    patience = 0.3 if fault == "slow" else 30.0
    if behave is None:
        result, attempts = played(World(nobody, patience, place), resource, error)
    else:
        with faulty(behave) as server:
            result, attempts = played(World(server.url, patience, place), resource, error)
            assert len(server.seen) == attempts * sent_per_call(resource, fault)
    if error == "States.Runtime":
        # AWS: nothing retries or catches it.
        assert (result.summary.status, result.summary.error, attempts) == ("FAILED", error, 1)
        cause = result.summary.cause
    else:
        assert (result.summary.status, result.output["Error"], attempts) == ("SUCCEEDED", error, ATTEMPTS), result
        cause = result.output["Cause"]
    assert cause and told in cause, cause
    for secret in (SECRET, PASSWORD):
        assert secret not in f"{cause}{caplog.text}"


PASSING = [row for row in ROWS if FAULTS[row[1]] is not None and row[2] != "States.Runtime"]


@pytest.mark.parametrize(
    ("resource", "fault", "error"), [row[:3] for row in PASSING], ids=[f"{each[0]}-{each[1]}" for each in PASSING]
)
def test_a_fault_that_passes_costs_an_attempt(resource: str, fault: str, error: str, place: Path) -> None:
    behave, faults = FAULTS[fault], sent_per_call(resource, fault)
    assert behave is not None

    def once(exchange: Exchange) -> None:
        (behave if len(server.seen) <= faults else well)(exchange)

    server: Faulty
    with faulty(once) as server:
        result, attempts = played(World(server.url, 0.3 if fault == "slow" else 30.0, place), resource, error)
    assert (result.summary.status, attempts) == ("SUCCEEDED", 1)
    assert "Error" not in result.output

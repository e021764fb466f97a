"""What goes wrong between a Task and AWS: each fault has its error name, and a definition can retry or catch it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from aws_calling import answer, call_of, refusal

from faulty_aws import Exchange, faulty
from treadle.integrations.assembly import Parts, assembled
from treadle.integrations.aws import AwsSdkIntegration, AwsSessions, Keys
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine, Result
from treadle.runtime.machines import StateMachine
from treadle.stores import MemoryStore

GET = "aws-sdk:dynamodb:describeTable"
TABLE = {"TableName": "t"}
SECRET = "s3cr3t-key-of-nobody"


def sessions(url: str, **options: Any) -> AwsSessions:
    return AwsSessions(endpoint_url=url, keys=Keys("AKIDEXAMPLE", SECRET), **options)


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def huge(exchange: Exchange) -> None:
    exchange.answer({"Table": {"TableName": "x" * 9_000_000}})


def truncated(exchange: Exchange) -> None:
    exchange.send(b'{"Table"', promised=100)
    exchange.handler.close_connection = True


FAULTS: list[tuple[str, Callable[[Exchange], None], str, str, int]] = [
    ("reset", Exchange.reset, "DynamoDb.SdkClientException", "Unable to execute HTTP request", 3),
    ("truncated", truncated, "DynamoDb.SdkClientException", "Unable to execute HTTP request", 3),
    ("slow", Exchange.hang, "DynamoDb.SdkClientException", "Read timed out", 3),
    (
        "throttled",
        lambda exchange: exchange.refuse("ThrottlingException", "Rate exceeded"),
        "DynamoDb.ThrottlingException",
        "(SDK Attempt Count: 3)",
        3,
    ),
    (
        "at fault",
        lambda exchange: exchange.refuse("InternalServerError", status=500),
        "DynamoDb.InternalServerErrorException",
        "Status Code: 500",
        3,
    ),
    (
        "expired",
        lambda exchange: exchange.refuse("ExpiredTokenException", "The security token included is expired"),
        "DynamoDb.DynamoDbException",
        "The security token included is expired (Service: DynamoDb, Status Code: 400, Request ID: request-1)",
        1,
    ),
    ("huge", huge, "States.DataLimitExceeded", "'aws-sdk:dynamodb'", 1),
]


@pytest.mark.parametrize(
    ("behave", "error", "cause", "attempts"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_each_fault_has_its_error(
    behave: Callable[[Exchange], None], error: str, cause: str, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    with faulty(behave) as aws:
        used = sessions(aws.url, patience=0.3 if behave is Exchange.hang else 30.0)
        refused = refusal(AwsSdkIntegration(used), GET, TABLE)
        used.close()
        assert refused.name == error, refused
        assert cause in (refused.cause or ""), refused
        assert len(aws.seen) == attempts
        assert SECRET not in f"{refused.cause}{caplog.text}"


def test_nobody_listening_is_no_answer() -> None:
    used = sessions(f"http://127.0.0.1:{unused_port()}")
    refused = refusal(AwsSdkIntegration(used), GET, TABLE)
    assert (refused.name, refused.cause is not None and "Connect to 127.0.0.1:" in refused.cause) == (
        "DynamoDb.SdkClientException",
        True,
    )


def test_a_role_that_cannot_be_taken_fails_the_task() -> None:
    denied = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    role = "arn:aws:iam::210987654321:role/theirs"
    with faulty(lambda exchange: exchange.send(denied, 403, **{"Content-Type": "text/xml"})) as aws:
        used = sessions(aws.url)
        refused = refusal(AwsSdkIntegration(used), GET, TABLE, credentials={"RoleArn": role})
        used.close()
    assert refused.name == "States.TaskFailed"
    assert f"ot authorized to assume the task state's role, {role}" in (refused.cause or "")


def test_a_fault_that_passes_is_not_seen() -> None:
    def behave(exchange: Exchange) -> None:
        if len(aws.seen) == 1:
            exchange.reset()
        else:
            exchange.answer({"Table": {"TableName": "t"}})

    with faulty(behave) as aws:
        used = sessions(aws.url)
        assert answer(AwsSdkIntegration(used), GET, TABLE) == {"Table": {"TableName": "t"}}
        used.close()


def test_a_repeated_call_carries_the_same_token() -> None:
    with faulty(lambda exchange: exchange.answer({"ARN": "a", "Name": "n", "VersionId": "v"})) as aws:
        used = sessions(aws.url)
        integration = AwsSdkIntegration(used)
        for again, key in ((False, "key"), (True, "key"), (False, "other")):
            answer(integration, "aws-sdk:secretsmanager:createSecret", {"Name": "n"}, again=again, idempotency=key)
        used.close()
        first, second, third = (exchange.json["ClientRequestToken"] for exchange in aws.seen)
    assert first == second != third


# ---- in a definition ---------------------------------------------------------------------------------------------


async def ended(url: str, task: dict[str, Any], **options: Any) -> Result:
    """How an execution of one Task ends, in virtual time."""
    definition: dict[str, Any] = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Task", "Resource": f"arn:aws:states:::{GET}", "Parameters": TABLE, "End": True, **task},
        },
    }
    if "Catch" in task:
        definition["States"]["B"] = {"Type": "Pass", "End": True}
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
    machine = StateMachine(arn=arn, name="m", definition=json.dumps(definition), role_arn="arn:aws:iam::1:role/r")
    engine: Engine
    parts = Parts(engine=lambda: engine, machines={}.get, aws=sessions(url, **options))
    async with assembled(parts) as table:
        engine = Engine(MemoryStore(), table, clock=VirtualClock(1_767_225_600.0))
        async with engine:
            started = await engine.start(machine, {}, "e")
            await engine.wait_closed(started.arn)
            return await engine.result(started.arn)


def run(work: Any) -> Any:
    import asyncio

    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(bounded())


def test_a_definition_retries_a_throttled_call() -> None:
    def behave(exchange: Exchange) -> None:
        if len(aws.seen) <= 3:
            exchange.refuse("ThrottlingException")
        else:
            exchange.answer({"Table": {"TableName": "t"}})

    with faulty(behave) as aws:
        result = run(ended(aws.url, {"Retry": [{"ErrorEquals": ["DynamoDb.ThrottlingException"]}]}))
    assert (result.summary.status, result.output) == ("SUCCEEDED", {"Table": {"TableName": "t"}})


def test_a_definition_catches_a_connection_that_is_refused() -> None:
    catch = [{"ErrorEquals": ["DynamoDb.SdkClientException"], "Next": "B"}]
    result = run(ended(f"http://127.0.0.1:{unused_port()}", {"Catch": catch}))
    assert (result.summary.status, result.output["Error"]) == ("SUCCEEDED", "DynamoDb.SdkClientException")


def test_an_answer_that_is_too_large_is_caught_as_any_failure() -> None:
    with faulty(huge) as aws:
        result = run(ended(aws.url, {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}))
    assert (result.summary.status, result.output["Error"]) == ("SUCCEEDED", "States.DataLimitExceeded")


def test_parameters_that_do_not_fit_cannot_be_caught() -> None:
    task = {"Parameters": {"Table": "t"}, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}
    result = run(ended("http://127.0.0.1:9", task))
    assert (result.summary.status, result.summary.error) == ("FAILED", "States.Runtime")


def test_a_call_says_nothing_of_keys_when_it_is_shown() -> None:
    assert SECRET not in repr(Keys("AKIDEXAMPLE", SECRET, SECRET)) and "Call(" in repr(call_of(GET, TABLE))

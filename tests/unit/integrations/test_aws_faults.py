"""What botocore does with faults between a Task and AWS. Which error names they have stands in test_faults.py."""

from __future__ import annotations

import json
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


def truncated(exchange: Exchange) -> None:
    exchange.send(b'{"Table"', promised=100)
    exchange.handler.close_connection = True


FAULTS: list[tuple[str, Callable[[Exchange], None], str, str, int]] = [
    ("truncated", truncated, "DynamoDb.SdkClientException", "Unable to execute HTTP request", 3),
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
]


@pytest.mark.parametrize(
    ("behave", "error", "cause", "attempts"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_each_fault_has_its_error(
    behave: Callable[[Exchange], None], error: str, cause: str, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    with faulty(behave) as aws:
        used = sessions(aws.url)
        refused = refusal(AwsSdkIntegration(used), GET, TABLE)
        used.close()
        assert refused.name == error, refused
        assert cause in (refused.cause or ""), refused
        assert len(aws.seen) == attempts
        assert SECRET not in f"{refused.cause}{caplog.text}"


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


def test_parameters_that_do_not_fit_cannot_be_caught() -> None:
    task = {"Parameters": {"Table": "t"}, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}
    result = run(ended("http://127.0.0.1:9", task))
    assert (result.summary.status, result.summary.error) == ("FAILED", "States.Runtime")


def test_a_call_says_nothing_of_keys_when_it_is_shown() -> None:
    assert SECRET not in repr(Keys("AKIDEXAMPLE", SECRET, SECRET)) and "Call(" in repr(call_of(GET, TABLE))

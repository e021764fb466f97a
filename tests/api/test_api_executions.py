"""Executions over HTTP, with boto3 against `treadle up`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from api_serving import FAILS, PASS, STATES, WAITS, ended, machine
from botocore.exceptions import ClientError

Create = Callable[..., str]


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Code and message of the error that a call gives."""
    with pytest.raises(ClientError) as error:
        call()
    told: Any = error.value.response["Error"]
    return told["Code"], told["Message"]


def test_an_execution_is_started_described_listed_and_has_a_history(states: Any, create: Create, name: str) -> None:
    arn = create()
    started = states.start_execution(stateMachineArn=arn, name=name, input='{"a" : 1}', traceHeader="Root=1")
    assert started["executionArn"] == arn.replace(":stateMachine:", ":execution:") + f":{name}"
    found = ended(states, started["executionArn"])
    assert (found["status"], found["input"], found["output"]) == ("SUCCEEDED", '{"a" : 1}', '{"a":1}')
    assert found["startDate"] == started["startDate"]
    assert (found["redriveStatus"], found["redriveCount"], found["traceHeader"]) == ("NOT_REDRIVABLE", 0, "Root=1")
    (listed,) = states.list_executions(stateMachineArn=arn)["executions"]
    assert (listed["executionArn"], listed["status"]) == (started["executionArn"], "SUCCEEDED")
    events = states.get_execution_history(executionArn=started["executionArn"])["events"]
    assert [each["type"] for each in events] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]


def test_metadata_alone_has_no_data(states: Any, create: Create) -> None:
    arn = states.start_execution(stateMachineArn=create(), input='{"secret": 1}')["executionArn"]
    ended(states, arn)
    found = states.describe_execution(executionArn=arn, includedData="METADATA_ONLY")
    assert (found["inputDetails"], found["outputDetails"]) == ({"included": False}, {"included": False})
    assert not {"input", "output"} & set(found)
    events = states.get_execution_history(executionArn=arn, includeExecutionData=False)["events"]
    assert "secret" not in json.dumps(events, default=str)


def test_a_repeated_start_is_the_first_while_that_one_runs(states: Any, create: Create, name: str) -> None:
    arn = create(WAITS)
    first = states.start_execution(stateMachineArn=arn, name=name, input="{}")
    again = states.start_execution(stateMachineArn=arn, name=name, input="{ }")
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
    told = ("ExecutionAlreadyExists", f"Execution Already Exists: '{first['executionArn']}'")
    assert refused(lambda: states.start_execution(stateMachineArn=arn, name=name, input="[1]")) == told
    states.stop_execution(executionArn=first["executionArn"])
    assert refused(lambda: states.start_execution(stateMachineArn=arn, name=name, input="{}")) == told


def test_a_stopped_execution_stays_stopped(states: Any, create: Create) -> None:
    arn = states.start_execution(stateMachineArn=create(WAITS))["executionArn"]
    stopped = states.stop_execution(executionArn=arn, error="Enough", cause="no more")
    again = states.stop_execution(executionArn=arn)
    assert stopped["stopDate"] == again["stopDate"]
    found = states.describe_execution(executionArn=arn)
    assert (found["status"], found["error"], found["cause"]) == ("ABORTED", "Enough", "no more")
    last = states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)["events"][0]
    assert (last["type"], last["previousEventId"]) == ("ExecutionAborted", 0)


def test_a_history_is_read_page_by_page_in_both_directions(states: Any, create: Create) -> None:
    arn = states.start_execution(stateMachineArn=create(machine(**{f"S{i}": {"Type": "Pass"} for i in range(6)})))
    arn = arn["executionArn"]
    ended(states, arn)
    for backwards in (False, True):
        pages = states.get_paginator("get_execution_history").paginate(
            executionArn=arn, reverseOrder=backwards, PaginationConfig={"PageSize": 4}
        )
        ids = [[each["id"] for each in page["events"]] for page in pages]
        every = list(range(1, 15))
        assert [id for page in ids for id in page] == (every[::-1] if backwards else every)
        assert [len(page) for page in ids] == [4, 4, 4, 2]


def test_a_page_token_is_good_for_its_own_request_only(states: Any, create: Create) -> None:
    arn = create()
    for _ in range(3):
        states.start_execution(stateMachineArn=arn)
    first = states.list_executions(stateMachineArn=arn, maxResults=2)
    token = first["nextToken"]
    second = states.list_executions(stateMachineArn=arn, maxResults=10, nextToken=token)
    assert len({each["executionArn"] for each in first["executions"] + second["executions"]}) == 3
    assert "nextToken" not in second
    invalid = ("InvalidToken", "Invalid Token: 'Invalid token'")
    assert refused(lambda: states.list_executions(stateMachineArn=create(), nextToken=token)) == invalid
    assert refused(lambda: states.list_executions(stateMachineArn=arn, nextToken=token[:-4] + "AAAA")) == invalid
    assert refused(lambda: states.list_state_machines(nextToken="no token")) == invalid


def test_a_failed_execution_is_redriven_once_for_each_client_token(states: Any, create: Create) -> None:
    arn = states.start_execution(stateMachineArn=create(FAILS))["executionArn"]
    found = ended(states, arn)
    assert (found["status"], found["error"], found["redriveStatus"]) == ("FAILED", "Mine", "REDRIVABLE")
    first = states.redrive_execution(executionArn=arn, clientToken="one")
    ended(states, arn)
    assert states.redrive_execution(executionArn=arn, clientToken="one") == {**first, "ResponseMetadata": ANY}
    assert states.describe_execution(executionArn=arn)["redriveCount"] == 1
    states.redrive_execution(executionArn=arn, clientToken="two")
    found = ended(states, arn)
    assert (found["redriveCount"], found["redriveDate"] >= first["redriveDate"]) == (2, True)
    assert states.redrive_execution(executionArn=arn, clientToken="one")["redriveDate"] == first["redriveDate"]


def test_what_succeeded_cannot_be_redriven(states: Any, create: Create) -> None:
    arn = states.start_execution(stateMachineArn=create())["executionArn"]
    ended(states, arn)
    assert refused(lambda: states.redrive_execution(executionArn=arn)) == (
        "ExecutionNotRedrivable",
        "Execution is SUCCEEDED and cannot be redriven",
    )


def test_a_running_execution_keeps_the_definition_that_it_started_with(states: Any, create: Create) -> None:
    arn = create(WAITS)
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    states.update_state_machine(stateMachineArn=arn, definition=PASS)
    found = states.describe_state_machine_for_execution(executionArn=execution)
    assert (found["definition"], found["stateMachineArn"], "revisionId" in found) == (WAITS, arn, False)
    later = states.start_execution(stateMachineArn=arn)["executionArn"]
    assert states.describe_state_machine_for_execution(executionArn=later)["definition"] == PASS


def test_an_express_execution_answers_when_it_has_ended(states: Any, create: Create) -> None:
    arn = create(type="EXPRESS")
    found = states.start_sync_execution(stateMachineArn=arn, input='{"a": 1}', name="again")
    assert (found["status"], found["output"], found["name"]) == ("SUCCEEDED", '{"a":1}', "again")
    assert found["billingDetails"] == {"billedDurationInMilliseconds": 100, "billedMemoryUsedInMB": 64}
    assert states.start_sync_execution(stateMachineArn=arn, name="again")["executionArn"] != found["executionArn"]
    failed = states.start_sync_execution(stateMachineArn=create(FAILS, type="EXPRESS"))
    assert (failed["status"], failed["error"], "output" in failed) == ("FAILED", "Mine", False)
    started = states.start_execution(stateMachineArn=arn)
    told = ("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'")
    assert refused(lambda: states.describe_execution(executionArn=started["executionArn"])) == told
    unsupported = "StateMachineTypeNotSupported"
    assert refused(lambda: states.list_executions(stateMachineArn=arn))[0] == unsupported
    assert refused(lambda: states.start_sync_execution(stateMachineArn=create()))[0] == unsupported


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


ANY = _Any()
NOWHERE = f"{STATES}:stateMachine:nowhere"
NONE = f"{STATES}:execution:nowhere:none"


@pytest.mark.parametrize(
    ("operation", "given", "code", "message"),
    [
        ("start_execution", {"stateMachineArn": "x"}, "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'"),
        (
            "start_execution",
            {"stateMachineArn": NOWHERE},
            "StateMachineDoesNotExist",
            f"State Machine Does Not Exist: '{NOWHERE}'",
        ),
        ("start_execution", {"stateMachineArn": NOWHERE, "name": "a b"}, "InvalidName", "Invalid Name: 'a b'"),
        (
            "start_execution",
            {"stateMachineArn": f"{NOWHERE}/label"},
            "ValidationException",
            f"The operation does not support the ARN of a distributed Map state: '{NOWHERE}/label'",
        ),
        (
            "describe_execution",
            {"executionArn": NONE},
            "ExecutionDoesNotExist",
            f"Execution Does Not Exist: '{NONE}'",
        ),
        (
            "describe_execution",
            {"executionArn": NOWHERE},
            "InvalidArn",
            "Invalid Arn: 'Resource type not valid in this context: stateMachine'",
        ),
        ("stop_execution", {"executionArn": NONE}, "ExecutionDoesNotExist", f"Execution Does Not Exist: '{NONE}'"),
        ("redrive_execution", {"executionArn": NONE}, "ExecutionDoesNotExist", f"Execution Does Not Exist: '{NONE}'"),
        (
            "get_execution_history",
            {"executionArn": NONE},
            "ExecutionDoesNotExist",
            f"Execution Does Not Exist: '{NONE}'",
        ),
        (
            "list_executions",
            {"stateMachineArn": NOWHERE},
            "StateMachineDoesNotExist",
            f"State Machine Does Not Exist: '{NOWHERE}'",
        ),
    ],
)
def test_what_is_wrong_is_told_as_aws_does(
    states: Any, operation: str, given: dict[str, Any], code: str, message: str
) -> None:
    assert refused(lambda: getattr(states, operation)(**given)) == (code, message)


@pytest.mark.parametrize(
    ("input", "fault"),
    [
        ("", "Invalid execution input."),
        ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
        (f'"{"x" * 262_143}"', None),
        (f'"{"ü" * 140_000}"', "size exceeds the maximum of 262144 bytes"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_an_input_that_is_no_json_or_too_long_is_refused(
    states: Any, create: Create, input: str, fault: str | None
) -> None:
    code, message = refused(lambda: states.start_execution(stateMachineArn=create(), input=input))
    if fault is None:
        assert code == "ValidationException"
        assert message.startswith("1 validation error detected: Value at 'input' failed to satisfy constraint")
    else:
        assert (code, message) == ("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{fault}'")

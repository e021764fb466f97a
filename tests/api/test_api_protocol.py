"""What goes over the wire when a request is no good, and what a killed server has kept."""

from __future__ import annotations

import json
import signal
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from api_serving import ROLE, Served, machine, until

TARGET = "AWSStepFunctions."
SIGNED = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=00"


def asked(served: Served, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer to a raw request."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(HTTPConnection(served.endpoint.removeprefix("http://"), timeout=20)) as connection:
        # A server that has read enough answers, and takes no more.
        with suppress(BrokenPipeError):
            connection.request("POST", "/", body, given)
        with closing(HTTPResponse(connection.sock, method="POST")) as answer:
            answer.begin()
            return answer.status, json.load(answer)


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("Nothing", b"{}", "UnknownOperationException"),
        ("ListActivities", b"{", "SerializationException"),
        ("ListActivities", b"[]", "SerializationException"),
        ("ListActivities", b'"\xff"', "SerializationException"),
        ("ListActivities", b"[" * 100_000, "SerializationException"),
        ("ListActivities", b'{"maxResults": "ten"}', "SerializationException"),
        ("ListActivities", b'{"maxResults": 1e400}', "SerializationException"),
        ("ListActivities", b'{"maxResults": 1001}', "ValidationException"),
        ("ListActivities", b" " * 3_200_000, "RequestEntityTooLargeException"),
        ("CreateActivity", b'{"name": null}', "ValidationException"),
        ("CreateActivity", b'{"name": "\\ud800"}', "SerializationException"),
    ],
)
def test_a_request_that_is_no_good_is_never_a_fault_of_the_server(
    served: Served, operation: str, body: bytes, code: str
) -> None:
    status, told = asked(served, body, X_Amz_Target=TARGET + operation)
    assert (status, told["__type"]) == (400, code)


def test_unknown_members_are_ignored_and_those_that_are_null_too(served: Served) -> None:
    status, told = asked(served, b'{"new": 1, "maxResults": null}', X_Amz_Target=f"{TARGET}ListActivities")
    assert (status, "activities" in told) == (200, True)


def test_a_service_that_is_not_here_is_named(served: Served) -> None:
    status, told = asked(served, b"", Authorization=SIGNED.format("sqs"))
    assert (status, told["__type"]) == (400, "UnknownServiceException")
    assert "'sqs'" in told["message"]


def test_a_web_page_of_another_site_is_refused(served: Served) -> None:
    target = f"{TARGET}ListActivities"
    assert (
        asked(served, b"{}", X_Amz_Target=target, Origin="http://evil.example")[1]["__type"] == "AccessDeniedException"
    )
    assert asked(served, b"{}", X_Amz_Target=target, Origin="http://localhost:3000")[0] == 200


def test_a_killed_server_goes_on_with_what_it_acknowledged(tmp_path: Path) -> None:
    served = Served(tmp_path / "data")
    states = served.client()
    activity = states.create_activity(name="a")["activityArn"]
    task = machine(T={"Type": "Task", "Resource": activity}, W={"Type": "Wait", "Seconds": 1})
    arn = states.create_state_machine(name="m", definition=task, roleArn=ROLE, publish=True)["stateMachineArn"]
    execution = states.start_execution(stateMachineArn=f"{arn}:1", name="e", input='{"n": 1}')["executionArn"]
    token = states.get_activity_task(activityArn=activity)["taskToken"]
    served.stop(signal.SIGKILL)
    served.start()
    states = served.client()
    states.send_task_success(taskToken=token, output='"done"')
    found = until(lambda: (d := states.describe_execution(executionArn=execution))["status"] != "RUNNING" and d)
    assert (found["status"], found["output"], found["stateMachineVersionArn"]) == ("SUCCEEDED", '"done"', f"{arn}:1")
    assert served.stop() == 0

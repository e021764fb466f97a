"""The approval solution on `treadle up`: killed while it waits, answered over HTTP as Jira does, results in S3."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from treadle.cli.approval import Stack, here
from treadle.local.presence import leftover
from treadle.solutions.approval import FOLDER

DEADLINE = 60.0
RELEASE = json.loads((FOLDER / "inputs" / "workflow-input.json").read_text())


class Up:
    """The solution on this machine."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.errors = (data.parent / "errors.txt").open("a")
        self.start("0")

    def start(self, port: str) -> None:
        words = ["up", str(FOLDER), "--data", str(self.data), "--port", port, "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "treadle", *words], stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, Path(self.errors.name).read_text()
        self.port = json.loads(line)["endpoint"].rpartition(":")[2]
        self.stack: Stack = here(self.data)

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        soon(lambda: leftover(self.data) is None)

    def release(self, story: str, **more: Any) -> str:
        """Start a workflow and see that it waits."""
        name = self.stack.start(json.dumps(RELEASE | {"story": story} | more), None)
        headers = {"authorization": "Bearer wrong"}
        assert post(self.stack.callback, {"story": story, "status": "success"}, headers)[0] == 401
        machine = self.stack.machine.replace(":stateMachine:", ":execution:") + f":{name}"
        states = self.stack.client("stepfunctions")

        def waiting() -> bool:
            told = states.get_execution_history(executionArn=machine, reverseOrder=True, maxResults=30)["events"]
            assert told[0]["type"] not in ("ExecutionFailed", "ExecutionSucceeded"), json.dumps(told[0], default=str)
            submitted = [each["taskSubmittedEventDetails"] for each in told if each["type"] == "TaskSubmitted"]
            return any(each["resourceType"] == "aws-sdk:dynamodb" for each in submitted)

        soon(waiting)
        return name

    def token(self) -> str:
        return self.stack.client("secretsmanager").get_secret_value(SecretId=self.stack.secret)["SecretString"]

    def ended(self, name: str) -> dict[str, Any]:
        return soon(lambda: None if (told := self.stack.results(name))["status"] == "RUNNING" else told)


def soon(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
    return found


def post(url: str, body: Any, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"content-type": "application/json", **headers}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "data")
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGTERM)
    made.errors.close()


def command(up: Up, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    words = (sys.executable, "-m", "treadle", "approval", *words, "--data", str(up.data), "--json")
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


def test_a_workflow_that_waits_survives_a_kill_and_both_kinds_of_webhook_answer_it(up: Up, tmp_path: Path) -> None:
    first, second = up.release("PROJ-1"), up.release("PROJ-2")
    up.end(signal.SIGKILL)
    up.start(up.port)

    bearer = {"authorization": f"Bearer {up.token()}"}
    body = {"story": "PROJ-1", "status": "success", "message": "tested", "approver": "ann"}
    status, answer = post(up.stack.callback, body, bearer)
    assert (status, answer["execution"], answer["state"]) == (200, first, "DONE")
    told = up.ended(first)
    assert (told["status"], told["errors"], told["result"]["decision"]["votes"][0]["who"]) == ("SUCCEEDED", None, "ann")
    assert told["result"]["apis"]["deployment"]["environment"] == "staging"
    assert "success decided by ann" in told["log"]
    assert post(up.stack.callback, body, bearer)[0] == 409

    change = {"field": "status", "toString": "Declined"}
    event: dict[str, Any] = {
        "webhookEvent": "jira:issue_updated",
        "issue": {"key": "PROJ-2"},
        "user": {"accountId": "557058:bob"},
    }
    event["timestamp"] = int(time.time() * 1000)
    content = json.dumps(event | {"changelog": {"items": [change]}}).encode()
    digest = hmac.new(up.token().encode(), content, hashlib.sha256).hexdigest()
    signed = {"x-hub-signature": f"sha256={digest}", "x-atlassian-webhook-identifier": "delivery-1"}
    assert post(up.stack.callback, content, {**signed, "x-hub-signature": "sha256=" + "0" * 64})[0] == 401
    assert post(up.stack.callback, content, signed)[1]["outcome"] == "failure"
    assert post(up.stack.callback, content, signed)[1]["duplicate"] is True
    told = up.ended(second)
    assert (told["status"], told["result"]["error"]["Error"]) == ("FAILED", "Approval.Rejected")
    assert "Approval.Rejected: The story is declined." in told["errors"]

    (tmp_path / "release.json").write_text(json.dumps(RELEASE | {"story": "PROJ-3", "environment": "mars"}))
    started = json.loads(command(up, "start", str(tmp_path / "release.json"), "--name", "to-mars").stdout)
    assert started == {"execution": "to-mars"}
    assert "UnknownEnvironment" in up.ended("to-mars")["errors"]
    shown = command(up, "results", "to-mars")
    assert (shown.returncode, json.loads(shown.stdout)["result"]["error"]["Error"]) == (1, "Refused")
    refused = command(up, "callback", "PROJ-3", "hello", "success")
    assert (refused.returncode, json.loads(refused.stdout)["status"]) == (1, 404)
    name = up.release("PROJ-4")
    assert command(up, "callback", "PROJ-4", "hello", "success").returncode == 0
    assert up.ended(name)["status"] == "SUCCEEDED"

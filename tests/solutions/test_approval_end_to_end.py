"""The approval solution on `treadle up`: killed while it waits, answered over HTTP as Jira does, results in S3.

One test, since what takes long is to bring everything up; its parts are functions. Each way through the workflow is in
`test_approval_workflow`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from approval_workflow import RELEASE, soon
from click.testing import CliRunner, Result

from treadle.cli.app import cli
from treadle.cli.approval import Stack, here
from treadle.local.presence import leftover
from treadle.local.stack.state import read_state
from treadle.solutions.approval import FOLDER

DEADLINE = 60.0
KEY = {"AKIAOPERATOR": "the-secret-of-the-operator"}


class Up:
    """The solution on this machine."""

    def __init__(self, data: Path, keys: Path) -> None:
        self.data, self.keys = data, keys
        self.errors = (data.parent / "errors.txt").open("a")
        self.start("0")

    def start(self, port: str) -> None:
        words = ["up", str(FOLDER), "--data", str(self.data), "--port", port, "--auth", str(self.keys), "--json"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "treadle", *words], stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, Path(self.errors.name).read_text()
        self.endpoint = json.loads(line)["endpoint"]
        self.port = self.endpoint.rpartition(":")[2]
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
        self.waits(name)
        return name

    def waits(self, name: str) -> None:
        machine = self.stack.machine.replace(":stateMachine:", ":execution:") + f":{name}"
        states = self.stack.client("stepfunctions")

        def waiting() -> bool:
            told = states.get_execution_history(executionArn=machine, reverseOrder=True, maxResults=30)["events"]
            assert told[0]["type"] not in ("ExecutionFailed", "ExecutionSucceeded"), told[0]
            submitted = [each["taskSubmittedEventDetails"] for each in told if each["type"] == "TaskSubmitted"]
            return any(each["resourceType"] == "aws-sdk:dynamodb" for each in submitted)

        soon(waiting)

    def made(self, resource: str) -> list[str]:
        """What a resource of the template is called."""
        state = read_state(self.data)
        assert state is not None
        return [each.id for each in state.resources if each.name == resource]

    def token(self) -> str:
        return self.stack.client("secretsmanager").get_secret_value(SecretId=self.stack.secret)["SecretString"]

    def ended(self, name: str) -> dict[str, Any]:
        return soon(lambda: None if (told := self.stack.results(name))["status"] == "RUNNING" else told)


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
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Up]:
    """Up, and letting in only who signs with the key of the profile."""
    credentials = "".join(f"aws_access_key_id = {key}\naws_secret_access_key = {KEY[key]}\n" for key in KEY)
    (tmp_path / "credentials").write_text(
        f"[operator]\n{credentials}\n[stranger]\naws_access_key_id = AKIASTRANGER\naws_secret_access_key = x\n"
    )
    (tmp_path / "config").write_text("[profile operator]\nregion = us-east-1\n[profile stranger]\nregion = us-east-1\n")
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # Many processes of the same program: only the first one compiles it.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "operator")
    keys = tmp_path / "keys.yaml"
    keys.touch(0o600)
    keys.write_text(json.dumps(KEY))
    made = Up(tmp_path / "data", keys)
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGTERM)
    made.errors.close()


def treadle(*words: str) -> Result:
    """A command in this process."""
    return CliRunner().invoke(cli, ("approval", *words, "--json"))


def operator(up: Up, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, of somebody who has never heard of this machine's `treadle up`."""
    command = (sys.executable, "-m", "treadle", "approval", *words, "--aws", "--json")
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=up.data.parent)


def test_the_solution_on_this_machine(up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = up.release("PROJ-1"), up.release("PROJ-2")
    up.end(signal.SIGKILL)
    up.start(up.port)
    both_kinds_of_webhook_answer_what_waited_through_the_kill(up, first, second)
    only_pages_that_cors_admits_may_ask(up)
    a_person_steers_it_by_the_command_line(up, tmp_path)
    a_decision_is_sent_though_its_sender_was_killed(up)
    the_same_commands_work_on_an_endpoint_that_plays_aws(up, tmp_path, monkeypatch)


def both_kinds_of_webhook_answer_what_waited_through_the_kill(up: Up, first: str, second: str) -> None:
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
    event = {"webhookEvent": "jira:issue_updated", "issue": {"key": "PROJ-2"}, "user": {"accountId": "557058:bob"}}
    at = {"timestamp": int(time.time() * 1000)}
    content = json.dumps(event | at | {"changelog": {"items": [change]}}).encode()
    digest = hmac.new(up.token().encode(), content, hashlib.sha256).hexdigest()
    signed = {"x-hub-signature": f"sha256={digest}", "x-atlassian-webhook-identifier": "delivery-1"}
    assert post(up.stack.callback, content, {**signed, "x-hub-signature": "sha256=" + "0" * 64})[0] == 401
    assert post(up.stack.callback, content, signed)[1]["outcome"] == "failure"
    assert post(up.stack.callback, content, signed)[1]["duplicate"] is True
    told = up.ended(second)
    assert (told["status"], told["result"]["error"]["Error"]) == ("FAILED", "Approval.Rejected")
    assert "Approval.Rejected: The story is declined." in told["errors"]


def only_pages_that_cors_admits_may_ask(up: Up) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for origin, admitted in (("https://example.atlassian.net", True), ("https://evil.example", False)):
        request = urllib.request.Request(up.stack.callback, headers={"origin": origin, **asks}, method="OPTIONS")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert admitted and answer.headers["access-control-allow-origin"] == origin
        except urllib.error.HTTPError as error:
            with error:
                assert not admitted and error.code == 400
    body = {"story": "PROJ-1", "status": "success"}
    stranger = {"origin": "https://evil.example", "authorization": f"Bearer {up.token()}"}
    assert post(up.stack.callback, body, stranger)[1]["__type"] == "AccessDeniedException"


def a_person_steers_it_by_the_command_line(up: Up, folder: Path) -> None:
    data = ("--data", str(up.data))
    (folder / "release.json").write_text(json.dumps(RELEASE | {"story": "PROJ-3", "environment": "mars"}))
    started = treadle("start", str(folder / "release.json"), "--name", "to-mars", *data)
    assert json.loads(started.stdout) == {"execution": "to-mars"}
    assert "UnknownEnvironment" in up.ended("to-mars")["errors"]
    shown = treadle("results", "to-mars", *data)
    assert (shown.exit_code, json.loads(shown.stdout)["result"]["error"]["Error"]) == (1, "Refused")
    refused = treadle("callback", "PROJ-3", "hello", "success", *data)
    assert (refused.exit_code, json.loads(refused.stdout)["status"]) == (1, 404)
    name = up.release("PROJ-4")
    assert treadle("callback", "PROJ-4", "hello", "success", *data).exit_code == 0
    assert up.ended(name)["status"] == "SUCCEEDED"


def a_decision_is_sent_though_its_sender_was_killed(up: Up) -> None:
    """The real callback, killed between its claim and its decision; then what the schedule calls every minute."""
    name, [table] = up.release("PROJ-5"), up.made("Approvals")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = {
            "AWS_ENDPOINT_URL": up.endpoint,
            "AWS_ENDPOINT_URL_SFN": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "CALLBACK_SECRET": up.stack.secret,
            "TABLE": table,
        }
        event = {"headers": {"authorization": f"Bearer {up.token()}"}, "isBase64Encoded": False}
        body = {"story": "PROJ-5", "status": "success", "message": "tested", "approver": "ann"}
        program = f"import sys; sys.path.insert(0, {str(FOLDER / 'functions')!r}); import callback, json; "
        program += f"callback.handler({event | {'body': json.dumps(body)}!r}, None)"
        with subprocess.Popen([sys.executable, "-c", program], env=os.environ | there) as sender:
            silent.settimeout(DEADLINE)
            with silent.accept()[0] as connection:
                assert connection.recv(1)
                sender.kill()
    key = {"story": {"S": "PROJ-5"}, "execution": {"S": name}}
    changed = {"TableName": table, "Key": key, "UpdateExpression": "SET lease = :ago"}
    dynamodb = up.stack.client("dynamodb")
    row = dynamodb.get_item(TableName=table, Key=key)["Item"]
    assert row["state"]["S"] == "CLAIMED" and up.stack.results(name)["status"] == "RUNNING"
    # A minute later: the lease is over, and the schedule calls its function.
    ago = {"N": str(int(row["lease"]["N"]) - 61)}
    dynamodb.update_item(**changed, ExpressionAttributeValues={":ago": ago})
    [function] = up.made("Sweep")
    assert [each["ScheduleExpression"] for each in rules(up) if function in json.dumps(each)] == ["rate(1 minute)"]
    answer = up.stack.client("lambda").invoke(FunctionName=function)["Payload"].read()
    assert json.loads(answer) == {"sent": 1, "left": 0}
    assert "success decided by ann" in up.ended(name)["log"]


def the_same_commands_work_on_an_endpoint_that_plays_aws(up: Up, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = up.stack
    values = {
        "Machine": stack.machine,
        "Bucket": stack.bucket,
        "Callback": stack.callback,
        "CallbackToken": stack.secret,
    }
    outputs = {name: {"Value": value} for name, value in values.items()}
    template = {"Resources": {"Any": {"Type": "AWS::SNS::Topic"}}}
    cloudformation = stack.client("cloudformation")
    cloudformation.create_stack(StackName="approval", TemplateBody=json.dumps(template | {"Outputs": outputs}))
    cloudformation.create_stack(StackName="another", TemplateBody=json.dumps(template))
    snake = {"Machine": "machine", "Bucket": "bucket", "Callback": "callback", "CallbackToken": "callback_token"}
    (folder / "outputs.json").write_text(json.dumps({snake[name]: {"value": each} for name, each in values.items()}))
    (folder / "release.json").write_text(json.dumps(RELEASE | {"story": "PROJ-6"}))
    monkeypatch.setenv("AWS_ENDPOINT_URL", up.endpoint)

    started = operator(up, "start", "release.json", "--name", "on-aws")
    assert json.loads(started.stdout) == {"execution": "on-aws"}, started.stderr
    up.waits("on-aws")
    assert json.loads(treadle("results", "on-aws", "--aws").stdout)["status"] == "RUNNING"
    by_terraform = treadle("callback", "PROJ-6", "fine", "success", "--aws", "--outputs", str(folder / "outputs.json"))
    assert json.loads(by_terraform.stdout)["answer"]["outcome"] == "success"
    up.ended("on-aws")
    assert "succeeded" in json.loads(treadle("results", "on-aws", "--aws").stdout)["log"]

    for words, says in (
        (("--stack", "nowhere"), "The stack nowhere cannot be read"),
        (("--stack", "another"), "is another one: it has no output 'Machine'"),
        (("--outputs", str(folder / "release.json")), "write it with `terraform output -json"),
    ):
        assert says in str(treadle("results", "on-aws", "--aws", *words).stderr)
    monkeypatch.setenv("AWS_PROFILE", "stranger")
    assert "check --stack, the region and the keys" in treadle("results", "on-aws", "--aws").stderr


def rules(up: Up) -> list[Any]:
    """The rules of the stack, as it was made."""
    made = read_state(up.data)
    assert made is not None
    return [dict(each.properties) for each in made.resources if each.type == "AWS::Events::Rule"]

"""`treadle up TEMPLATE` as a process: killed, started again, watching, ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

TREADLE = [sys.executable, "-m", "treadle"]
DEADLINE = 60.0

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Papers: {Type: AWS::S3::Bucket, Properties: {BucketName: papers}}
  Token: {Type: AWS::SecretsManager::Secret, Properties: {Name: token, GenerateSecretString: {PasswordLength: 16}}}
  Say: {Type: AWS::Serverless::Function, Properties: {Runtime: python3.11, Handler: say.handler, CodeUri: code}}
  Speak:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: speak
      Definition: {StartAt: Say, States: {Say: {Type: Task, Resource: !GetAtt Say.Arn, End: true}}}
"""


class Running:
    """A `treadle up` of a folder with a template."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data = folder / "data"
        self.errors = (folder / "errors.txt").open("a")
        self.process = subprocess.Popen(
            [*TREADLE, "up", str(folder), "--data", str(self.data), "--port", "0", "--json", *options],
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.ready = self.line()
        self.endpoint = self.ready["endpoint"]

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=self.endpoint, **keys)

    def speak(self) -> Any:
        states = self.client("stepfunctions")
        arn = "arn:aws:states:us-east-1:123456789012:stateMachine:speak"
        started = states.start_execution(stateMachineArn=arn, input="{}")["executionArn"]
        told = soon(lambda: ended(states.describe_execution(executionArn=started)))
        return json.loads(told["output"])

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


def ended(told: dict[str, Any]) -> Any:
    return told if told["status"] != "RUNNING" else None


def soon(look: Callable[[], Any]) -> Any:
    until = time.monotonic() + DEADLINE
    while not (found := look()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
    return found


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return b"treadle" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def treadle(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TREADLE, *arguments], capture_output=True, text=True, check=False)


def test_a_stack_goes_on_after_a_kill_changes_while_it_is_watched_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "say.py").write_text("def handler(event, context): return 1\n")
    (tmp_path / "template.yaml").write_text(TEMPLATE)

    first = Running(tmp_path)
    assert {each["action"] for each in first.ready["resources"]} == {"made"}
    assert first.speak() == 1
    first.client("s3").put_object(Bucket="papers", Key="a", Body=b"kept")
    secret = first.client("secretsmanager").get_secret_value(SecretId="token")["SecretString"]
    cloud = int((first.data / "cloud" / "cloud.pid").read_text())
    first.end(signal.SIGKILL)
    soon(lambda: gone(cloud))
    assert "Nothing is up" in treadle("status", "--data", str(first.data)).stdout

    second = Running(tmp_path, "--watch")
    assert {each["action"] for each in second.ready["resources"]} == {"kept"}
    assert second.client("s3").get_object(Bucket="papers", Key="a")["Body"].read() == b"kept"
    assert second.client("secretsmanager").get_secret_value(SecretId="token")["SecretString"] == secret
    assert len(second.client("stepfunctions").list_executions(
        stateMachineArn="arn:aws:states:us-east-1:123456789012:stateMachine:speak"
    )["executions"]) == 1  # fmt: skip
    assert second.speak() == 1
    (tmp_path / "code" / "say.py").write_text("def handler(event, context): return 'changed'\n")
    assert "Say changed" in second.line()["message"]
    assert second.speak() == "changed"
    (tmp_path / "template.yaml").write_text(TEMPLATE + "  Broken: {}\n")
    assert "a resource has a Type" in second.line()["message"]
    assert second.speak() == "changed"

    told = json.loads(treadle("status", "--data", str(second.data), "--json").stdout)
    assert (told["up"], told["endpoint"], told["stack"]) == (True, second.endpoint, second.ready["stack"])
    examined = treadle("doctor", "--data", str(second.data))
    assert examined.returncode == 0, examined.stdout
    cloud = int((second.data / "cloud" / "cloud.pid").read_text())
    assert "has ended" in treadle("down", "--data", str(second.data)).stdout
    second.end(signal.SIGTERM)
    assert gone(cloud)
    assert "is deleted" in treadle("down", "--data", str(second.data), "--delete").stdout
    assert not (second.data / "cloud").exists()


def test_a_template_that_cannot_be_read_ends_with_place_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {X: !Ref Lost}}\n")
    ran = treadle("up", str(tmp_path), "--data", str(tmp_path / "data"), "--port", "0")
    assert ran.returncode == 2
    assert "template.yaml:2: Resources.A: Ref Lost: there is no such parameter or resource here." in ran.stderr
    assert treadle("up", "--watch", "--port", "0").returncode == 2
    assert "NAME=VALUE" in treadle("up", str(tmp_path), "--parameter", "x", "--port", "0").stderr

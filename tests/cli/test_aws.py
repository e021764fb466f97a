"""`treadle run` with Tasks that call AWS: where the environment leads, and nowhere unasked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from local_cloud import LocalCloud

Treadle = Callable[..., Result]


def definition(folder: Path, resource: str, parameters: Any) -> str:
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, "End": True}
    (folder / "aws.asl.json").write_text(json.dumps({"StartAt": "Call", "States": {"Call": task}}))
    return "aws.asl.json"


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.mark.parametrize("resource", ["sqs:sendMessage", "aws-sdk:sqs:sendMessage"])
def test_a_task_calls_the_service_that_the_environment_leads_to(
    treadle: Treadle, folder: Path, local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, resource: str
) -> None:
    for name, value in local_cloud.environment.items():
        monkeypatch.setenv(name, value)
    client = local_cloud.client("sqs")
    url = client.create_queue(QueueName=local_cloud.unique("q"))["QueueUrl"]
    result = treadle("run", definition(folder, resource, {"QueueUrl": url, "MessageBody": {"a": 1}}), "--name", "x")
    assert result.exit_code == 0, result.stderr
    (message,) = client.receive_message(QueueUrl=url)["Messages"]
    client.close()
    assert (message["Body"], json.loads(result.stdout)["MessageId"]) == ('{"a":1}', message["MessageId"])


@pytest.mark.usefixtures("no_aws")
def test_aws_itself_is_not_called_unasked(treadle: Treadle, folder: Path) -> None:
    result = treadle("run", definition(folder, "aws-sdk:s3:listBuckets", {}))
    assert result.exit_code == 2
    assert "set AWS_ENDPOINT_URL, or call AWS itself with --aws" in result.stderr


@pytest.mark.usefixtures("no_aws")
def test_an_action_that_there_is_not_is_told_before_anything_runs(treadle: Treadle, folder: Path) -> None:
    result = treadle("run", definition(folder, "aws-sdk:s3:fly", {}), "--aws")
    assert result.exit_code == 2
    assert "The AWS service 's3' has no action 'fly'" in result.stderr

"""Tasks of a running `treadle up` call AWS services where it is told that they are."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import boto3
from api_serving import ROLE, Served, ended

from local_cloud import LocalCloud


def test_a_task_writes_an_item_and_reads_it_again(local_cloud: LocalCloud, tmp_path: Path) -> None:
    parameter = local_cloud.unique("p")
    put = {"Name": parameter, "Value": {"a": 1}, "Type": "String"}
    steps = {
        "Put": {"Resource": "arn:aws:states:::aws-sdk:ssm:putParameter", "Parameters": put, "Next": "Get"},
        "Get": {
            "Resource": "arn:aws:states:::aws-sdk:ssm:getParameter",
            "Parameters": {"Name": parameter},
            "End": True,
        },
    }
    definition = {"StartAt": "Put", "States": {name: {"Type": "Task", **step} for name, step in steps.items()}}
    assert output_of(definition, local_cloud, tmp_path)["Parameter"]["Value"] == '{"a":1}'


def test_step_functions_as_a_service_is_treadle_itself(local_cloud: LocalCloud, tmp_path: Path) -> None:
    listing = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:listStateMachines", "End": True}
    definition = {"StartAt": "L", "States": {"L": {**listing, "Parameters": {}}}}
    (listed,) = output_of(definition, local_cloud, tmp_path)["StateMachines"]
    assert listed["Name"] == "aws"


def output_of(definition: Any, local_cloud: LocalCloud, folder: Path) -> Any:
    """What a workflow gives on a server that is told of the local cloud."""
    served = Served(folder, "--aws-endpoint-url", local_cloud.endpoint)
    try:
        states = served.client()
        machine = states.create_state_machine(name="aws", definition=json.dumps(definition), roleArn=ROLE)
        started = states.start_execution(stateMachineArn=machine["stateMachineArn"])
        described = ended(states, started["executionArn"])
        states.close()
    finally:
        assert served.stop() == 0
    assert described["status"] == "SUCCEEDED", described
    return json.loads(described["output"])


def test_without_an_endpoint_of_aws_a_local_cloud_serves_what_is_not_ours_and_keeps_it_through_a_kill(
    tmp_path: Path,
) -> None:
    listing = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets", "End": True}
    server = Served(tmp_path)
    try:
        _s3(server).create_bucket(Bucket="orders")
        server.stop(signal.SIGKILL)
        server.start()
        states = server.client()
        machine = states.create_state_machine(
            name="m", roleArn=ROLE, definition=json.dumps({"StartAt": "List", "States": {"List": listing}})
        )
        arn = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        described = ended(states, arn)
        assert described["status"] == "SUCCEEDED", described
        assert [each["Name"] for each in json.loads(described["output"])["Buckets"]] == ["orders"]
        states.close()
    finally:
        server.stop()


def _s3(server: Served) -> Any:
    return boto3.client(
        "s3", "us-east-1", endpoint_url=server.endpoint, aws_access_key_id="test", aws_secret_access_key="test"
    )

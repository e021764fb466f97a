"""Tasks of a running `treadle up` call AWS services where it is told that they are."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import boto3
from api_serving import ROLE, Served

from local_cloud import LocalCloud

DEADLINE = 30.0


def ended(states: Any, arn: str) -> Any:
    """The execution, once it has ended."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        described = states.describe_execution(executionArn=arn)
        if described["status"] != "RUNNING":
            return described
        time.sleep(0.05)
    raise AssertionError(f"{arn} runs on")


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


def test_a_map_run_reads_and_writes_buckets_there(local_cloud: LocalCloud, tmp_path: Path) -> None:
    bucket = local_cloud.unique("b")
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="items.json", Body=b"[1, 2]")
    each = {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket": bucket, "Key": "items.json"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "End": True}},
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": bucket, "Prefix": "out"},
        },
        "End": True,
    }
    details = output_of({"StartAt": "M", "States": {"M": each}}, local_cloud, tmp_path)["ResultWriterDetails"]
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=details["Key"])["Body"].read())
    written = s3.get_object(Bucket=bucket, Key=manifest["ResultFiles"]["SUCCEEDED"][0]["Key"])["Body"].read()
    s3.close()
    assert sorted(one["Output"] for one in json.loads(written)) == ["1", "2"]


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

"""Tasks of a running `treadle up` call AWS services where it is told that they are."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

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
    served = Served(tmp_path, "--aws-endpoint-url", local_cloud.endpoint)
    try:
        states = served.client()
        machine = states.create_state_machine(name="aws", definition=json.dumps(definition), roleArn=ROLE)
        started = states.start_execution(stateMachineArn=machine["stateMachineArn"])
        described = ended(states, started["executionArn"])
        states.close()
    finally:
        assert served.stop() == 0
    assert described["status"] == "SUCCEEDED", described
    assert json.loads(described["output"])["Parameter"]["Value"] == '{"a":1}'

"""The AWS CLI, with the two variables that `treadle up` prints and nothing else that it would need to know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from api_serving import REGION, ROLE, WAITS, Served


def test_the_aws_cli_drives_an_execution(served: Served, name: str) -> None:
    variables = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": served.endpoint,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": REGION,
    }

    def aws(operation: str, **given: str) -> Any:
        options = [part for key, value in given.items() for part in (f"--{key.replace('_', '-')}", value)]
        command = [str(Path(sys.executable).with_name("aws")), "stepfunctions", operation, *options]
        told = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=True).stdout
        return json.loads(told) if told.strip() else None

    arn = aws("create-state-machine", name=name, definition=WAITS, role_arn=ROLE)["stateMachineArn"]
    execution = aws("start-execution", state_machine_arn=arn, input='{"n": 1}')["executionArn"]
    aws("stop-execution", execution_arn=execution, error="Enough")
    assert aws("describe-execution", execution_arn=execution)["status"] == "ABORTED"
    aws("redrive-execution", execution_arn=execution)
    types = [each["type"] for each in aws("get-execution-history", execution_arn=execution)["events"]]
    assert types[:4] == ["ExecutionStarted", "WaitStateEntered", "ExecutionAborted", "ExecutionRedriven"]

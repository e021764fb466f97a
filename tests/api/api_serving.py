"""`treadle up` in a process of its own, and a boto3 client whose answers are held against the service's model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/workflow"
STATES = f"arn:aws:states:{REGION}:123456789012"


class Served:
    """A running `treadle up`. `told` is what it had to say when it has ended."""

    def __init__(self, folder: Path, *options: str, **variables: str) -> None:
        self.folder, self._options, self._variables = folder, options, variables
        self.told = ""
        self.start()

    def start(self) -> None:
        """Begin, or begin again."""
        command = [sys.executable, "-m", "treadle", "up", "--port", "0", "--json", "--data", str(self.folder)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        self.process = subprocess.Popen(
            [*command, *self._options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | self._variables,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.ready: dict[str, Any] = json.loads(line)

    @property
    def endpoint(self) -> str:
        return self.ready["endpoint"]

    def stop(self, how: int = signal.SIGTERM) -> int:
        """End it; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        _, self.told = self.process.communicate(timeout=20)
        assert "Traceback" not in self.told, self.told
        return self.process.returncode

    def client(self, **settings: Any) -> Any:
        """A Step Functions client whose answers are checked strictly."""
        client: Any = boto3.client(
            "stepfunctions",
            REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}, read_timeout=70, **settings),
        )
        client.meta.events.register("before-parse.stepfunctions", _check)
        return client


def _check(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    body = json.loads(response_dict["body"])
    assert response_dict["status_code"] < 500, body
    if response_dict["status_code"] >= 400:
        assert set(body) >= {"__type", "message"}, body
        shape = {each.name: each for each in operation_model.service_model.error_shapes}.get(body.pop("__type"))
        assert shape is None or misfits(body, shape) == []
        return
    assert misfits(body, operation_model.output_shape) == []


def misfits(value: Any, shape: Shape, path: str = "$") -> list[str]:
    """Where an answer is not as its shape says: members that are missing or unknown, values of the wrong kind."""
    match shape:
        case StructureShape():
            if not isinstance(value, dict):
                return [f"{path} is no structure"]
            found = [f"{path}.{name} is unknown" for name in value if name not in shape.members]
            found += [f"{path}.{name} is missing" for name in shape.required_members if name not in value]
            for name, member in shape.members.items():
                if name in value:
                    found += misfits(value[name], member, f"{path}.{name}")
            return found
        case ListShape():
            if not isinstance(value, list):
                return [f"{path} is no list"]
            return [each for i, item in enumerate(value) for each in misfits(item, shape.member, f"{path}[{i}]")]
        case MapShape():
            return [each for key, item in value.items() for each in misfits(item, shape.value, f"{path}[{key}]")]
        case StringShape():
            wrong = not isinstance(value, str) or (shape.enum and value not in shape.enum)
            return [f"{path} is {value!r}"] if wrong else []
    kinds: dict[str, tuple[type, ...]] = {"boolean": (bool,), "integer": (int,), "long": (int,)}
    kind = kinds.get(shape.type_name, (int, float))
    if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kind):
        return [f"{path} is {value!r}"]
    return []


def until(wanted: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `wanted` gives, as soon as it gives something."""
    end = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)
    return found


def ended(states: Any, execution_arn: str) -> Any:
    """What is told of an execution once it has ended."""

    def told() -> Any:
        described = states.describe_execution(executionArn=execution_arn)
        return None if described["status"] == "RUNNING" else described

    return until(told)


def machine(**states: Mapping[str, Any]) -> str:
    """A definition that runs these states in order."""
    names = list(states)
    following = [{"Next": name} for name in names[1:]] + [{"End": True}]
    return json.dumps(
        {
            "StartAt": names[0],
            "States": {
                name: state if state["Type"] in ("Fail", "Succeed", "Choice") else {**state, **next}
                for (name, state), next in zip(states.items(), following, strict=True)
            },
        }
    )


PASS = machine(A={"Type": "Pass"})
WAITS = machine(W={"Type": "Wait", "Seconds": 3600})
FAILS = machine(F={"Type": "Fail", "Error": "Mine", "Cause": "because"})

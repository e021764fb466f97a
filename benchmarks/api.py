"""The API over 50 connections: `treadle up`, durable, and moto's server on the same requests.

Each server and the load have a process of their own. moto keeps nothing on disk, and has no StartSyncExecution.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from figures import Figure
from load import CONNECTIONS, SCOPE

SECONDS = 4.0
PORT = 5098
ROLE = "arn:aws:iam::123456789012:role/bench"
PASSES = {
    "StartAt": "A",
    "States": {
        "A": {"Type": "Pass", "Next": "B"},
        "B": {"Type": "Pass", "Next": "C"},
        "C": {"Type": "Pass", "End": True},
    },
}


def figures() -> Iterator[Figure]:
    """The rows of this part."""
    for by, serving in (("treadle", treadle), ("moto (not durable)", moto)):
        with serving() as url:
            machine = created(url, "standard", "STANDARD")
            start = {"stateMachineArn": machine, "name": "run-{n}", "input": "{}"}
            yield from rows(by, url, "StartExecution", start)
            named = {"stateMachineArn": machine, "name": "one", "input": "{}"}
            execution = asked(url, "StartExecution", named)["executionArn"]
            while asked(url, "DescribeExecution", {"executionArn": execution})["status"] == "RUNNING":
                time.sleep(0.05)
            yield from rows(by, url, "DescribeExecution", {"executionArn": execution})
            if serving is treadle:
                express = created(url, "express", "EXPRESS")
                yield from rows(by, url, "StartSyncExecution", {"stateMachineArn": express, "input": "{}"})


def rows(by: str, url: str, operation: str, body: dict[str, Any]) -> Iterator[Figure]:
    """Calls per second, and how long one takes, of one operation."""
    command = [sys.executable, str(Path(__file__).parent / "load.py"), url, operation, str(SECONDS), json.dumps(body)]
    told = json.loads(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
    name = f"{operation}, {CONNECTIONS} at once"
    yield Figure(name, told["per_second"], "calls/s", by=by)
    yield Figure(f"{operation}, p50", told["p50"], "ms", by=by)
    yield Figure(f"{operation}, p99", told["p99"], "ms", by=by)


@contextmanager
def treadle() -> Iterator[str]:
    """A `treadle up` on a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "treadle", "up", "--port", "0", "--json", "--data", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                yield json.loads(server.stdout.readline())["endpoint"]
            finally:
                server.terminate()


@contextmanager
def moto() -> Iterator[str]:
    """A moto server that runs what it is asked to start."""
    command = [sys.executable, "-m", "moto.server", "-p", str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            url = f"http://127.0.0.1:{PORT}"
            body = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
            until = time.monotonic() + 30
            while True:
                try:
                    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/config", body)).read()
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise SystemExit("moto did not start") from None
                    time.sleep(0.1)
            yield url
        finally:
            server.kill()


def created(url: str, name: str, type: str) -> str:
    """The ARN of a new state machine of three states."""
    given = {"name": name, "definition": json.dumps(PASSES), "roleArn": ROLE, "type": type}
    return asked(url, "CreateStateMachine", given)["stateMachineArn"]


def asked(url: str, operation: str, given: dict[str, Any]) -> Any:
    """One call."""
    headers = {"X-Amz-Target": f"AWSStepFunctions.{operation}", "Authorization": SCOPE}
    headers["Content-Type"] = "application/x-amz-json-1.0"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(given).encode(), headers)) as answer:
        return json.load(answer)

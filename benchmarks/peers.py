"""The same work on peers: moto's state machine interpreter, and DBOS's durable steps.

They live in an environment of their own (requirements/bench.lock); this file runs there, and prints its figures as
JSON. moto keeps nothing on disk and is asked over HTTP, as its users do; DBOS writes each step into SQLite.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import definitions
from figures import Figure

PYTHON = Path(__file__).parent.parent / ".venv-bench" / "bin" / "python"
PORT = 5099


def figures() -> Iterator[Figure]:
    """The peers' figures; without their environment a row that says how to make it."""
    if not PYTHON.exists():
        raise SystemExit("The peers are not installed: run `make bench`, or leave them out with --only.")
    for peer in ("moto", "dbos"):
        with tempfile.TemporaryDirectory() as folder:
            out = subprocess.run(
                [str(PYTHON), __file__, peer], cwd=folder, text=True, check=True, stdout=subprocess.PIPE
            ).stdout
        yield from (Figure(**row) for row in json.loads(out.splitlines()[-1]))


def moto() -> list[dict[str, Any]]:
    """Executions over the AWS API, one after another."""
    import boto3
    from botocore.config import Config

    server = subprocess.Popen(
        [str(PYTHON.parent / "moto_server"), "-p", str(PORT)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{PORT}"
        _until_up(url)
        body = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/config", body)).read()
        client = boto3.client(
            "stepfunctions",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"max_attempts": 0}, read_timeout=120),
        )
        return [
            _moto_run(client, "durable chain of 100", definitions.chain(100), {}, definitions.CHAIN_TRANSITIONS, 5),
            _moto_run(client, "durable loop", definitions.LOOP, {}, definitions.LOOP_TRANSITIONS, 1),
            _moto_run(client, "durable Map", definitions.MAP, definitions.ITEMS, definitions.MAP_TRANSITIONS, 1),
        ]
    finally:
        server.kill()
        server.wait()


def _until_up(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{url}/moto-api/").read()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("moto did not start")


def _moto_run(client: Any, name: str, definition: Any, input: Any, entered: int, times: int) -> dict[str, Any]:
    arn = client.create_state_machine(
        name=name.replace(" ", "-"),
        definition=json.dumps(definition),
        roleArn="arn:aws:iam::123456789012:role/bench",
    )["stateMachineArn"]
    shortest = float("inf")
    for turn in range(times):
        begin = time.perf_counter()
        # moto makes no name of its own.
        started = client.start_execution(stateMachineArn=arn, name=f"run-{turn}", input=json.dumps(input))
        execution = started["executionArn"]
        while client.describe_execution(executionArn=execution)["status"] == "RUNNING":
            if time.perf_counter() - begin > 120:
                raise SystemExit(f"moto did not end {name}")
            time.sleep(0.002)
        shortest = min(shortest, time.perf_counter() - begin)
    return {"name": name, "value": entered / shortest, "unit": "transitions/s", "by": "moto (not durable)"}


def dbos() -> list[dict[str, Any]]:
    """Workflows of ten steps that do nothing."""
    from dbos import DBOS

    DBOS(
        config={
            "name": "bench",
            "system_database_url": "sqlite:///dbos.sqlite",
            "log_level": "ERROR",
            "run_admin_server": False,
        }
    )

    @DBOS.step()
    def step(number: int) -> int:
        return number

    @DBOS.workflow()
    def workflow(length: int) -> int:
        return sum(step(number) for number in range(length))

    DBOS.launch()
    workflow(10)
    begin = time.perf_counter()
    for _ in range(20):
        workflow(10)
    alone = 200 / (time.perf_counter() - begin)
    begin = time.perf_counter()
    for handle in [DBOS.start_workflow(workflow, 10) for _ in range(100)]:
        handle.get_result()
    together = 1000 / (time.perf_counter() - begin)
    DBOS.destroy()
    return [
        {"name": "task steps, in process, 1 at once", "value": alone, "unit": "steps/s", "by": "dbos (SQLite)"},
        {"name": "task steps, in process, 100 at once", "value": together, "unit": "steps/s", "by": "dbos (SQLite)"},
    ]


if __name__ == "__main__":
    print(json.dumps({"moto": moto, "dbos": dbos}[sys.argv[1]]()))

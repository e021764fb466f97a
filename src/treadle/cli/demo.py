"""`treadle demo`: a solution brought up on this machine and shown from its start to its end.

Owns the story that is told. Everything is done by the commands that a person would give, in processes of their own: the
server is killed in the middle, and goes on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from treadle.cli.app import command
from treadle.cli.problems import OK, Problem

_PATIENCE: Final = 60.0


@click.group()
def demo() -> None:
    """Show a solution at work, in a folder that is thrown away."""


@command(demo, example="treadle demo approval")
def approval() -> int:
    """Three APIs are called, somebody approves, the server dies in between."""
    from treadle.cli.approval import Stack, here
    from treadle.solutions.approval import FOLDER

    sample = (FOLDER / "inputs" / "workflow-input.json").read_text()
    story = json.loads(sample)["story"]
    with tempfile.TemporaryDirectory() as kept:
        data = Path(kept)
        with _up(FOLDER, data):
            click.echo("The solution is up: functions, APIs, tables, a bucket, a state machine.")
            before: Stack = here(data)
            name = before.start(sample, None)
            _until(lambda: _waits(before, name), "the workflow waits")
            click.echo(f"{name} has called three APIs and waits for {story}. Now the server is killed.")
        with _up(FOLDER, data):
            click.echo("It is up again. Jira says that the story is done:")
            found: Stack = here(data)
            code, answer = found.call_back(
                {"story": story, "status": "success", "message": "Tested on staging", "approver": "ann"}
            )
            click.echo(f"  {code} {json.dumps(answer)}")
            told: dict[str, Any] = _until(lambda: _ended(found, name), "the workflow ends")
            click.echo(f"{told['status']}\n{json.dumps(told['result'], indent=2)}\n{told['log']}")
    return OK


@contextmanager
def _up(template: Path, data: Path) -> Generator[None]:
    """A `treadle up` that is killed when the block ends."""
    words = [sys.executable, "-m", "treadle", "up", str(template), "--data", str(data), "--port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise Problem("The solution did not come up: what went wrong stands above.")
            yield
        finally:
            process.kill()
            process.wait()
            _end_cloud(data)


def _end_cloud(data: Path) -> None:
    """Wait until the local cloud has noticed that its server is gone; what it keeps is on disk."""
    from treadle.local.presence import leftover

    until = time.monotonic() + _PATIENCE
    while (pid := leftover(data)) is not None:
        if time.monotonic() > until:
            os.kill(pid, signal.SIGTERM)
            return
        time.sleep(0.1)


def _waits(stack: Any, name: str) -> bool:
    arn = stack.machine.replace(":stateMachine:", ":execution:", 1) + f":{name}"
    told = stack.client("stepfunctions").get_execution_history(executionArn=arn, reverseOrder=True, maxResults=20)
    if stack.results(name)["status"] != "RUNNING":
        raise Problem(f"{name} ended before anybody decided.")
    return any(
        each["type"] == "TaskSubmitted" and each["taskSubmittedEventDetails"]["resourceType"] == "aws-sdk:dynamodb"
        for each in told["events"]
    )


def _ended(stack: Any, name: str) -> dict[str, Any] | None:
    told = stack.results(name)
    return None if told["status"] == "RUNNING" else told


def _until(look: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + _PATIENCE
    while not (found := look()):
        if time.monotonic() > until:
            raise Problem(f"It took more than {_PATIENCE:.0f} seconds until {what}.")
        time.sleep(0.2)
    return found

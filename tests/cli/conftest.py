"""A folder with a workflow, its functions and its answers, and the command in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from treadle.cli import cli

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
ORDERS: dict[str, Any] = {
    "StartAt": "Charge card",
    "States": {
        "Charge card": {
            "Type": "Task",
            "Resource": f"{LAMBDA}charge",
            "Retry": [{"ErrorEquals": ["Busy"]}],
            "ResultPath": "$.charge",
            "Next": "Ask finance",
        },
        "Ask finance": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {"QueueUrl": "finance", "MessageBody": {"token.$": "$$.Task.Token"}},
            "HeartbeatSeconds": 600,
            "ResultPath": "$.approval",
            "Next": "Cool down",
        },
        "Cool down": {"Type": "Wait", "Seconds": 86400, "Next": "Ship"},
        "Ship": {"Type": "Task", "Resource": f"{LAMBDA}ship", "ResultPath": None, "End": True},
    },
}
ANSWERS: dict[str, Any] = {
    "Charge card": [{"error": "Busy", "cause": "try later"}, {"return": {"ok": True}, "after": 2}],
    "Ask finance": [{"return": {"by": "mira"}, "after": 3600}],
    "Ship": [{"return": None}],
}
# Answers nothing, so that somebody else can.
WAITING: dict[str, Any] = {**ANSWERS, "Charge card": {"return": {}}, "Ask finance": {"never": True}}
SHORT: dict[str, Any] = {
    **ORDERS,
    "States": {**ORDERS["States"], "Cool down": {"Type": "Pass", "Next": "Ship"}},
}


def write(path: Path, value: Any) -> None:
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory of the test: orders, short (without its day of waiting), answers, functions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TREADLE_STORE", raising=False)
    write(tmp_path / "orders.asl.json", ORDERS)
    write(tmp_path / "short.asl.json", SHORT)
    write(tmp_path / "answers.yaml", ANSWERS)
    write(tmp_path / "waiting.yaml", WAITING)
    (tmp_path / "functions").mkdir()
    write(tmp_path / "functions" / "charge.py", "def handler(event, context):\n    return event['order']\n")
    write(tmp_path / "functions" / "ship.py", "def handler(event, context):\n    return 'shipped'\n")
    return tmp_path


@pytest.fixture
def treadle(folder: Path) -> Callable[..., Result]:
    """Run a command in this process."""

    def run(*words: str, input: str | None = None) -> Result:
        return CliRunner().invoke(cli, words, input=input)

    return run


class Process:
    """A command in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "treadle", *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.told = ""

    def wait_for(self, text: str) -> None:
        """Return when the standard error has shown a text."""
        assert self.process.stderr is not None
        deadline = time.monotonic() + 20
        while text not in self.told:
            line = self.process.stderr.readline()
            self.told += line
            assert line, f"it ended without {text!r}: {self.told}"
            assert time.monotonic() < deadline, self.told

    def kill(self, number: int = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return self.end()[0]

    def end(self) -> tuple[int, str, str]:
        """The exit status, the standard output, the standard error."""
        out, err = self.process.communicate(timeout=20)
        self.told += err
        return self.process.returncode, out, self.told


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Process]]:
    """Start a command in a process of its own."""
    started: list[Process] = []

    def run(*words: str) -> Process:
        started.append(Process(folder, *words))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()
        for stream in (each.process.stdout, each.process.stderr):
            if stream is not None:
                stream.close()

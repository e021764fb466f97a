"""`treadle up` in a process of its own, for tests of the platform."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3

TREADLE = [sys.executable, "-m", "treadle"]


class Up:
    """A running `treadle up`, with its data in `folder`. `variables` are the environment's, and no others of AWS."""

    def __init__(self, folder: Path, *options: str, variables: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with (folder / "errors.txt").open("a") as errors:
            self.process = subprocess.Popen(
                [*TREADLE, "up", "--port", "0", "--json", "--data", str(folder), *options],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment | (variables or {}),
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors
        self.ready: dict[str, Any] = json.loads(line)
        self.endpoint: str = self.ready["endpoint"]

    @property
    def errors(self) -> str:
        """What it has told so far."""
        return (self.folder / "errors.txt").read_text()

    def client(self, service: str) -> Any:
        """A client at its endpoint."""
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}
        return boto3.client(service, endpoint_url=self.endpoint, **keys)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; gives its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert "Traceback" not in self.errors, self.errors
        return status

"""AWS on this machine, for tests: one moto server process per test session, on a free port.

`local_cloud` is a fixture of every test. The services keep what a test puts there, so a test names its buckets, queues
and tables uniquely (`cloud.unique("bucket")`) instead of wiping what its neighbours use.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REGION = "us-east-1"
DEADLINE = 60.0


@dataclass(frozen=True)
class LocalCloud:
    """The endpoint of the server, clients for it, and the environment that leads any SDK to it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str, **settings: Any) -> Any:
        """A boto3 client. It keeps connections: close it, or leave it to the session."""
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, **keys, **settings)  # type: ignore[call-overload]

    def unique(self, name: str) -> str:
        """A name that no other test has."""
        return f"{name}-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A moto server that lives as long as the test session."""
    log = tmp_path_factory.mktemp("local-cloud") / "log"
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            yield LocalCloud(_endpoint(server, log))
        finally:
            server.terminate()


def _endpoint(server: subprocess.Popen[bytes], log: Path) -> str:
    """The address that the server printed once it listens."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and server.poll() is None:
        if found := re.search(r"Running on (http://[\d.]+:\d+)", log.read_text()):
            return found.group(1)
        time.sleep(0.05)
    raise AssertionError(f"The moto server did not start:\n{log.read_text()}")

"""The approval solution's functions at work, against a local cloud and a Step Functions that can be told to fail."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from approval_functions import Deployed, importable
from approval_workflow import Engine, Routes, Workflow

from local_cloud import LocalCloud


class Decisions:
    """An endpoint where decisions are sent: it remembers them, or answers with an error."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.errors: list[str] = []
        self.before: Callable[[], None] | None = None
        """What happens before the next answer."""
        decisions = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if decisions.before is not None:
                    decisions.before()
                error = decisions.errors.pop(0) if decisions.errors else None
                if error is None:
                    decisions.sent.append((self.headers["x-amz-target"].partition(".")[2], body))
                content = json.dumps({} if error is None else {"__type": error}).encode()
                self.send_response(200 if error is None else 400)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """In the local cloud of `treadle up`: its writes are one after the other, so that conditions hold as on AWS.

    A moto server by itself looks at the condition and writes later, and lets two racing writers through.
    """
    folder, nothing = str(tmp_path_factory.mktemp("cloud")), "http://127.0.0.1:1"
    command = [sys.executable, "-m", "treadle.local.cloud.process", folder, nothing]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            yield Deployed(LocalCloud(f"http://127.0.0.1:{port}"))
        finally:
            process.terminate()


@pytest.fixture
def decisions() -> Iterator[Decisions]:
    made = Decisions()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def functions(deployed: Deployed, decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The handlers, imported anew for each test."""
    for name, value in deployed.environment(decisions.url).items():
        monkeypatch.setenv(name, value)
    names = ("callback", "sweep", "validation", "deployment", "notification")
    with importable() as load:
        yield SimpleNamespace(**{name: load(name).handler for name in names}, load=load)


@pytest.fixture(scope="module")
def workflow(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workflow]:
    """The whole solution in virtual time, for all tests of a module."""
    routes = Routes()
    serving = threading.Thread(target=routes.server.serve_forever, kwargs={"poll_interval": 0.02})
    called: dict[str, Any] = {}
    engine = Engine(deployed, tmp_path_factory.mktemp("engine") / "executions.db", called)
    with pytest.MonkeyPatch.context() as patched, importable() as load:
        for name, value in (deployed.environment(engine.url) | {"API_URL": routes.url}).items():
            patched.setenv(name, value)
        names = ("callback", "sweep", "validation", "deployment", "notification", "call")
        routes.functions = {name: load(name).handler for name in names}
        called["call"] = lambda event: routes.functions["call"](event, None)
        bucket = deployed.cloud.unique("bucket")
        deployed.cloud.client("s3").create_bucket(Bucket=bucket)
        serving.start()
        with engine:
            yield Workflow(deployed, engine, routes, bucket)
        routes.server.shutdown()
        routes.server.server_close()
        serving.join()

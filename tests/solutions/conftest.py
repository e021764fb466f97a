"""The approval solution's functions at work, against a local cloud and a Step Functions that can be told to fail."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from approval_functions import Deployed, importable
from approval_workflow import Engine, Routes, Workflow
from small_service import Answering, at_work

from local_cloud import LocalCloud


class Decisions:
    """An endpoint where decisions are sent: it remembers them, or answers with an error."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.errors: list[str] = []
        self.before: Callable[[], None] | None = None
        """What happens before the next answer."""
        decisions = self

        class Handler(Answering):
            def do_POST(self) -> None:
                body = json.loads(self.body())
                if decisions.before is not None:
                    decisions.before()
                error = decisions.errors.pop(0) if decisions.errors else None
                if error is None:
                    decisions.sent.append((self.headers["x-amz-target"].partition(".")[2], body))
                content = json.dumps({} if error is None else {"__type": error}).encode()
                self.give(200 if error is None else 400, content)

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
    with at_work(made.server):
        yield made


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
        with at_work(routes.server), engine:
            yield Workflow(deployed, engine, routes, bucket)

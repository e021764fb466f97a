"""Runs the recorded conformance cases over HTTP: a `treadle up` and, where cases need them, AWS's services of moto.

The cases' own runner asks, in several threads; functions are those of its stub. Owns the processes and the choice of
cases; what a case is and whether it passes is the runner's.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from .adapter import ACCOUNT, REGION, SELF_CONTAINED, Case, Result, folder, module, tell

JOBS = 8
"""Cases at a time: most of them wait most of the time."""
START_SECONDS = 60.0
LONG_SECONDS = 5
"""Waits of this length make a case one for the long runs."""


def every() -> list[Case]:
    """All cases, in the order of their ids."""
    read = [json.loads(path.read_text()) for path in (folder() / "cases").glob("*/*.json")]
    return sorted(read, key=lambda each: each["id"])


def self_contained(case: Case) -> bool:
    """Whether a case needs Step Functions and functions only."""
    return set(case["requires"]) <= SELF_CONTAINED


def lasting(case: Case) -> bool:
    """Whether a case waits for long, in the time that really passes."""
    return case["wait_hint_s"] >= LONG_SECONDS


def run(selected: Sequence[Case], verbose: bool = False) -> list[Result]:
    """Run the cases; those that need it one at a time, after the others."""
    with TemporaryDirectory() as data, ExitStack() as stack:
        aws = None if all(map(self_contained, selected)) else stack.enter_context(_moto(Path(data)))
        stub = stack.enter_context(_functions())
        options = SimpleNamespace(
            account=ACCOUNT,
            region=REGION,
            timeout=30,
            dump=None,
            inject_exec_names=False,
            endpoint_url=stack.enter_context(_up(Path(data), stub, aws)),
            aws_endpoint_url=aws,
            lambda_stub_url=stub,
        )
        runner = module("run").Runner(options)
        together = [each for each in selected if not _alone(each)]
        with ThreadPoolExecutor(JOBS) as threads:
            results = list(threads.map(runner.run, sorted(together, key=lambda each: -each["wait_hint_s"])))
        results += [runner.run(each) for each in selected if _alone(each)]
        for client in runner.clients.values():
            client.close()
    results.sort(key=lambda each: each["id"])
    if verbose:
        tell(results)
    return results


def _alone(case: Case) -> bool:
    """Whether a case disturbs others: it says so, or it makes what others make under the same name."""
    return bool(case.get("exclusive")) or case["area"] == "services-sns"


@contextmanager
def _up(data: Path, functions: str, aws: str | None) -> Iterator[str]:
    command = [sys.executable, "-m", "treadle", "up", "--port", "0", "--data", str(data / "up")]
    if aws is not None:
        command += ["--aws-endpoint-url", aws]
    with _listening(command, data / "up.log", AWS_ENDPOINT_URL_LAMBDA=functions) as url:
        yield url


@contextmanager
def _moto(data: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"]
    with _listening(command, data / "moto.log") as url:
        yield url


@contextmanager
def _functions() -> Iterator[str]:
    """The cases' stub of Lambda, in this process."""
    stub = module("lambda_stub")
    server = stub.ThreadingHTTPServer(("127.0.0.1", 0), stub.H)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # callers go away where a case wants a timeout
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _listening(command: Sequence[str], log: Path, **variables: str) -> Iterator[str]:
    """A server in a process of its own; gives the address that it tells when it listens."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | variables
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment | keys) as process,
    ):
        try:
            yield _address(process, log)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://[\d.]+:\d+", log.read_text()):
            return found.group()
        time.sleep(0.05)
    raise AssertionError(f"The server did not start:\n{log.read_text()}")

"""`treadle status`, `treadle down` and `treadle doctor`: what is up, ending it, and what may stand in its way.

Owns looking from outside, at the files of a data folder. Nothing here needs a running process.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.problems import FAILED, OK, Problem
from treadle.cli.stack_table import place_of, show
from treadle.local.presence import Presence, leftover, present
from treadle.local.stack.state import read_state

_PATIENCE: Final = 20.0
"""Seconds that a process may take to end."""


@command(example="treadle status")
@options.data
@options.as_json
def status(data: str, as_json: bool) -> int:
    """Show what is up, and the resources of its stack."""
    folder = Path(data)
    here, state = present(folder), read_state(folder)
    if here is not None and here.stack is None:
        # It is up without the template that was there another time.
        state = None
    resources = [] if state is None else list(state.resources)
    endpoint = "" if here is None else here.endpoint
    if as_json:
        told = [
            {"name": each.name, "type": each.type, "where": place_of(each, endpoint), "support": each.support}
            for each in resources
        ]
        stack = None if state is None else state.stack
        click.echo(json.dumps({"up": here is not None, "endpoint": endpoint, "stack": stack, "resources": told}))
        return OK
    if resources:
        show(resources, endpoint, {})
    if here is None:
        click.echo(f"Nothing is up on {folder}: start it with `treadle up`.")
    else:
        click.echo(f"treadle is up at {here.endpoint} (process {here.pid}).")
    return OK


@command(example="treadle down\ntreadle down --delete")
@options.data
@click.option("--delete", is_flag=True, help="Delete the stack and all that the data folder keeps, executions too.")
def down(data: str, delete: bool) -> int:
    """End `treadle up`. What is kept in the data folder stays, and the next `treadle up` goes on with it."""
    folder = Path(data)
    here = present(folder)
    if here is not None:
        _end(here)
        click.echo(f"treadle at {here.endpoint} has ended.")
    elif (left := leftover(folder)) is not None:
        _signal(left, signal.SIGKILL)
        click.echo(f"Nothing is up on {folder}. Its local cloud, process {left}, was left behind and has ended.")
    elif not delete:
        click.echo(f"Nothing is up on {folder}.")
    if delete:
        for name in _kept(folder):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        others = folder.is_dir() and any(folder.iterdir())
        click.echo(f"What treadle kept in {folder} is deleted{'; other files there stay' if others else ''}.")
    return OK


def _end(here: Presence) -> None:
    _signal(here.pid, signal.SIGTERM)
    until = time.monotonic() + _PATIENCE
    while here.alive:
        if time.monotonic() > until:
            raise Problem(
                f"Process {here.pid} does not end: end it with `kill -9 {here.pid}`; nothing is lost by that."
            )
        time.sleep(0.05)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise Problem(f"Process {pid} is another user's: ask that user, or root, to end it.") from None


def _kept(folder: Path) -> Iterator[str]:
    """The files that `treadle up` makes in its folder, and no other."""
    ours = ("cloud", "functions", "inline", "stack.json", "stack.new", "up.json", "up.json.new")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name in ours or path.name.startswith("treadle.db"):
            yield path.name


@command(example="treadle doctor")
@options.data
@click.option("--port", type=click.IntRange(1, 65_535), default=8083, show_default=True, help="The port to look at.")
@options.as_json
def doctor(data: str, port: int, as_json: bool) -> int:
    """Look for what may stand in the way of `treadle up`: versions, the port, the data folder, leftovers."""
    folder = Path(data)
    findings = list(_examined(folder, port))
    if as_json:
        click.echo(json.dumps([{"good": good, "what": what} for good, what in findings]))
    else:
        for good, what in findings:
            click.echo(f"{'ok   ' if good else 'FAULT'} {what}")
    return OK if all(good for good, _ in findings) else FAILED


def _examined(folder: Path, port: int) -> Iterator[tuple[bool, str]]:
    yield sys.version_info >= (3, 11), f"Python {platform.python_version()}, treadle {version('treadle')}"
    yield True, f"moto {version('moto')}, botocore {version('botocore')}"
    node = shutil.which("node")
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout if node else ""
    yield True, f"Node.js {told.strip()}" if told else "no Node.js: functions in JavaScript cannot run"
    here = present(folder)
    if here is not None:
        yield True, f"treadle is up at {here.endpoint} (process {here.pid})"
    else:
        yield _port(port)
        if (folder / "up.json").exists():
            yield True, f"the last `treadle up` on {folder} was killed: the next one goes on with what was kept"
    yield _writable(folder)
    left = leftover(folder)
    if left is None:
        yield True, "no process was left behind"
    else:
        yield False, f"process {left} of a local cloud was left behind: end it with `treadle down --data {folder}`"
    elsewhere = os.environ.get("AWS_ENDPOINT_URL")
    ours = here.endpoint if here is not None else f"http://127.0.0.1:{port}"
    if elsewhere is None:
        yield True, "AWS_ENDPOINT_URL is not set: clients of this shell talk to AWS"
    elif elsewhere.rstrip("/") == ours:
        yield True, f"AWS_ENDPOINT_URL is {elsewhere}"
    else:
        yield (
            False,
            (
                f"AWS_ENDPOINT_URL is {elsewhere}: clients of this shell go there. To send them here: "
                f"`export AWS_ENDPOINT_URL={ours}`"
            ),
        )


def _port(port: int) -> tuple[bool, str]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return False, f"port {port} is for root alone: choose one above 1023 with `treadle up --port`"
        except OSError:
            whose = "a treadle with another --data" if _speaks(port) else "another program"
            return False, f"port {port} is in use by {whose}: choose another with `treadle up --port`"
    return True, f"port {port} is free"


def _speaks(port: int) -> bool:
    """Whether a treadle listens at a port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return "version" in json.loads(answer.read(65536))
    except (OSError, ValueError, TypeError, http.client.HTTPException):
        return False


def _writable(folder: Path) -> tuple[bool, str]:
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    try:
        # What the rights say is not the whole truth: the file system may be read-only or full.
        with tempfile.TemporaryFile(dir=there):
            return True, f"{folder} can be written"
    except OSError as error:
        return False, f"{folder} cannot be written ({error.strerror}): choose another --data"

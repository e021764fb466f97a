"""`treadle status`, `treadle down` and `treadle doctor`: what is up, ending it, and what may stand in its way.

Owns looking from outside, at the files of a data folder. Nothing here needs a running process.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.options import DEFAULT_STORE
from treadle.cli.problems import FAILED, OK, Problem
from treadle.cli.stack_table import place_of, show
from treadle.local.presence import Presence, leftover, present
from treadle.local.stack.state import read_state

_PATIENCE: Final = 20.0
"""Seconds that a process may take to end."""

data: Any = click.option(
    "--data", default=DEFAULT_STORE, show_default=True, metavar="DIR", help="The folder where everything is kept."
)


@command(example="treadle status")
@data
@options.as_json
def status(data: str, as_json: bool) -> int:
    """Show what is up, and the resources of its stack."""
    folder = Path(data)
    here, state = present(folder), read_state(folder)
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
@data
@click.option("--delete", is_flag=True, help="Delete the stack and all that the data folder keeps, executions too.")
def down(data: str, delete: bool) -> int:
    """End `treadle up`. What is kept in the data folder stays, and the next `treadle up` goes on with it."""
    folder = Path(data)
    here = present(folder)
    if here is not None:
        _end(here)
        click.echo(f"treadle at {here.endpoint} has ended.")
    elif not delete:
        click.echo(f"Nothing is up on {folder}.")
    if delete:
        for name in _kept(folder):
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        click.echo(f"{folder} is empty.")
    return OK


def _end(here: Presence) -> None:
    os.kill(here.pid, signal.SIGTERM)
    until = time.monotonic() + _PATIENCE
    while here.alive:
        if time.monotonic() > until:
            raise Problem(
                f"Process {here.pid} does not end: end it with `kill -9 {here.pid}`; nothing is lost by that."
            )
        time.sleep(0.05)


def _kept(folder: Path) -> Iterator[str]:
    """The files that `treadle up` makes in its folder, and no other."""
    ours = ("cloud", "inline", "stack.json", "stack.new", "up.json", "treadle.db")
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name in ours or path.name.startswith("treadle.db"):
            yield path.name


@command(example="treadle doctor")
@data
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
        free = _free(port)
        yield (
            free,
            f"port {port} is free" if free else f"port {port} is in use: choose another with `treadle up --port`",
        )
    holder = folder if folder.exists() else folder.absolute().parent
    writable = os.access(holder, os.W_OK)
    yield writable, f"{folder} can be written" if writable else f"{folder} cannot be written: choose another --data"
    left = leftover(folder)
    if left is None:
        yield True, "no process was left behind"
    else:
        yield False, f"process {left} of a local cloud was left behind: end it with `kill {left}`"
    elsewhere = os.environ.get("AWS_ENDPOINT_URL")
    ours = here.endpoint if here is not None else f"http://127.0.0.1:{port}"
    yield elsewhere in (None, ours), f"AWS_ENDPOINT_URL is {elsewhere or 'not set: clients talk to AWS'}"


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

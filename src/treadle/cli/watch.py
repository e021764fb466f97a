"""`treadle executions watch`: what a server's executions do, as it happens.

Owns the reading of the server's event stream, and the coming back when it breaks off: with the id of the last event, so
that nothing is told twice. The lines are progress.py's, as for `treadle run`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.options import DEFAULT_STORE
from treadle.cli.problems import OK, Problem, run_async
from treadle.cli.progress import STATUSES, Way, no_hint
from treadle.cli.show import clean, console, status_text, write
from treadle.machine.journal import DETAILS, Entry

_VARIABLES: Final = ("AWS_ENDPOINT_URL_SFN", "AWS_ENDPOINT_URL")
_SILENCE: Final = 45.0
"""Seconds without a sign of the server after which it counts as gone."""
_PATIENCE: Final = 60.0
"""Seconds for which a server that is gone is waited for."""
_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 3.0
_LONGEST: Final = 64 * 1024 * 1024
"""Bytes of one event: far more than a history event can have."""


@command(example="treadle executions watch --json")
@click.argument("execution", required=False)
@click.option(
    "--endpoint",
    metavar="URL",
    help="The server. [default: AWS_ENDPOINT_URL, or who is up on the folder .treadle]",
)
@options.as_json
def watch(execution: str | None, endpoint: str | None, as_json: bool) -> int:
    """Watch executions of a `treadle up` as they go: one until it ends, by its ARN or name, or all until Ctrl-C.

    A server that goes is waited for, for a minute: where it comes back, the watching goes on behind the last event.
    """
    return run_async(_watch(endpoint, execution, as_json))


def _found() -> str:
    from treadle.local.presence import present

    named = next((os.environ[each] for each in _VARIABLES if os.environ.get(each)), None)
    up = None if named else present(Path(DEFAULT_STORE))
    if named is None and up is None:
        raise Problem("watch: nobody is up on the folder .treadle: start `treadle up`, or name a server by --endpoint.")
    return named or (up.endpoint if up else "")


async def _watch(endpoint: str | None, execution: str | None, as_json: bool) -> int:
    ways: dict[str, Way] = {}
    out = console()
    async for name, data in _lasting(endpoint, execution):
        if as_json:
            click.echo(json.dumps({"kind": name, **data}))
        if name == "end":
            return OK
        if name in ("history", "retry"):
            if not as_json:
                for line in _lines(ways, data, labelled=execution is None):
                    write(line, out)
        elif name == "missed":
            _note(str(data.get("message", name)))
    return OK


async def _lasting(endpoint: str | None, execution: str | None) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """The events of a server, however often the connection or the server itself is made anew. Raises Problem."""
    last, since, pause, known = "", None, _PAUSE, False
    while True:
        try:
            async for id, name, data in _events(endpoint or _found(), execution, last):
                last, since, pause, known = id, None, _PAUSE, True
                if name not in ("open", "dropped", "closing"):
                    yield name, data
        except Problem as problem:
            if not known:
                raise
            broken = str(problem)
        else:
            broken = "watch: the server has ended the connection."
        now = time.monotonic()
        if since is None:
            since = now
            _note(f"{broken} Coming back ...")
        elif now - since > _PATIENCE:
            raise Problem(broken)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _note(text: str) -> None:
    click.echo(clean(text), err=True)


async def _events(endpoint: str, execution: str | None, last: str) -> AsyncGenerator[tuple[str, str, dict[str, Any]]]:
    """The server-sent events of a server behind the one with the id `last`: id, name, data. Raises Problem."""
    import aiohttp

    # The server tells every few seconds that it is there.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE)
    asked = {} if execution is None else {"execution": execution}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, read_bufsize=_LONGEST) as session,
            session.get(
                f"{endpoint.rstrip('/')}/events", params=asked, headers={"Last-Event-ID": last} if last else {}
            ) as answer,
        ):
            if answer.content_type != "text/event-stream":
                raise Problem(f"watch: {endpoint} has no events of treadle: it answered with {answer.status}.")
            id, name = last, ""
            async for raw in answer.content:
                field, _, value = raw.decode().rstrip("\n").partition(": ")
                if field == "id":
                    id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    yield id, name, json.loads(value)
                elif not field and not value and not name:
                    yield id, "open", {}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        told = error or "it says nothing any more"
        raise Problem(f"watch: {endpoint} cannot be read: {told}. Is a `treadle up` there?") from None


def _lines(ways: dict[str, Way], data: Mapping[str, Any], *, labelled: bool) -> list[Text]:
    arn: str = data["executionArn"]
    entry = _entry(data)
    label = f"{clean(arn.rpartition(':')[2])[:24]}: " if labelled else ""
    if entry.type in ("ExecutionStarted", "ExecutionRedriven") and arn not in ways:
        ways[arn] = Way(arn, no_hint, label)
    way = ways.get(arn)
    if way is None or (entry.frame not in way.visits and entry.type.endswith("StateExited")):
        # It was under way before the watching began.
        return [Text(f"{'':>11}{label}{entry.type}", "dim")]
    lines = way.take([entry])
    if entry.type in STATUSES:
        del ways[arn]
        told = ": ".join(clean(str(entry.details[each])) for each in ("error", "cause") if entry.details.get(each))
        lines.append(Text(label) + status_text(STATUSES[entry.type]) + Text(f" {told}" if told else ""))
    return lines


def _entry(data: Mapping[str, Any]) -> Entry:
    """The journal entry that an event tells of, as far as its line needs it."""
    frame = tuple(data["frame"])
    if "due" in data:
        return Entry("RetryScheduled", 0, 0, frame, data["timestamp"], {}, {"at": data["due"]})
    event = data["event"]
    details = dict(event.get(DETAILS[event["type"]] or "", {}))
    if "assignedVariables" in details:
        details["assignedVariables"] = {name: json.loads(text) for name, text in details["assignedVariables"].items()}
    note = {"next": data["next"]} if "next" in data else {}
    return Entry(event["type"], event["id"], event["previousEventId"], frame, event["timestamp"], details, note)

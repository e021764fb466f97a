"""Brings one execution to its end and tells how it ended: what `run`, `redrive` and `fork` have in common.

Owns the frame around an execution: the lines before and after it, the exit status, what is said when it is interrupted.
How it begins is the caller's. Progress goes to the standard error, the output or the JSON document to the standard
output.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from treadle.cli.follow import Display, Interrupted, StandsStill, follow, signals
from treadle.cli.inputs import Source
from treadle.cli.options import DEFAULT_STORE
from treadle.cli.problems import FAILED, OK
from treadle.cli.session import Before, Setup, at_work, clock_of, world_of
from treadle.cli.show import clean, console, json_text, lasting, short, status_text, write, write_json
from treadle.language.scope import Json
from treadle.machine.journal import Entry, history
from treadle.runtime.clock import START
from treadle.runtime.engine import Engine, Result
from treadle.runtime.ports import Commit, Store

MEMORY: Final = "memory:"


@dataclass(frozen=True, slots=True)
class Drive:
    """One execution, where it is kept, and what it needs. `go_on` is the command that takes it up again."""

    source: Source
    setup: Setup
    arn: str
    url: str
    as_json: bool
    go_on: str

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.arn.split(":")[7]

    def hint(self, arn: str, wait: int, state: str, several: bool) -> str:
        """How to answer a task that waits."""
        if self.setup.virtual or self.url == MEMORY:
            return "only --mock can answer it here: nobody else sees what is kept in memory"
        words = ["treadle", "tasks", "succeed", arn.split(":")[7], str(wait) if several else state, "--output", "{}"]
        return f"answer it with: {shlex.join(words + store_option(self.url))}"


def store_option(url: str) -> list[str]:
    """`--store` as it must be written for a store; nothing for the default one."""
    return [] if url == DEFAULT_STORE else ["--store", url]


def go_on_command(definition: str, name: str, url: str, setup: Setup) -> str:
    """The command that takes up an execution again."""
    options = {
        "--functions": setup.functions,
        "--mock": setup.mock,
        "--machines": setup.machines,
        "--mcp-servers": setup.mcp_servers,
        "--seed": setup.seed,
        "--name": name,
    }
    words = ["treadle", "run", definition]
    for option, value in options.items():
        words += [] if value is None else [option, value]
    flags = {"--virtual-time": setup.virtual, "--aws": setup.aws}
    return shlex.join([*words, *store_option(url), *(flag for flag, given in flags.items() if given)])


async def drive(
    task: Drive,
    store: Store,
    news: str,
    past: Before,
    begin: Callable[[Engine], Awaitable[Any]] | None = None,
    standing: Collection[str] | None = None,
) -> int:
    """Have the execution begin, or go on by itself, and stay with it to its end; gives the exit status.

    `news` is what is said when everything that the execution may call has been found; `standing` has the states that
    one under way is in.
    """
    out = console(err=True)
    world = world_of(task.setup, task.source, standing)
    write(clean(news), out)
    clock = clock_of(task.setup, past.last or START)
    commits: asyncio.Queue[Commit] = asyncio.Queue()
    display = Display(out, task.arn, task.hint, clock, task.as_json)
    with signals() as signalled:
        stood = [
            (summary.arn, journal, await store.waits(summary.arn))
            for summary, journal in past.executions
            if summary.arn == task.arn or summary.status == "RUNNING"
        ]
        async with at_work(store, world, task.arn, past, clock, task.setup.seed, commits) as engine:
            # Only now can others do what the lines tell them to.
            for arn, journal, waits in stood:
                display.catch_up(arn, journal, waits)
            if begin is not None:
                with clock.busy():
                    await begin(engine)
            try:
                await follow(engine, task.arn, display, commits, signalled)
            except Interrupted as interrupted:
                _tell_interruption(task, out)
                return interrupted.status
            except StandsStill:
                write("It stands still: it waits for an answer, and in virtual time only --mock gives one.", out)
            result, journal = await engine.result(task.arn), await engine.journal(task.arn)
    return describe(result, journal, task.as_json, out)


def _tell_interruption(task: Drive, out: Console) -> None:
    if task.url == MEMORY:
        write("Interrupted. The execution was kept in memory only, and is gone.", out)
    else:
        write(f"Interrupted. The execution {task.name} stays in {task.url} and goes on with:", out)
        write(f"  {task.go_on}", out)


def describe(result: Result, journal: list[Entry], as_json: bool, out: Console) -> int:
    """Show how an execution ended; gives the exit status."""
    summary = result.summary
    if as_json:
        write_json(document(result, journal))
    else:
        told = ": ".join(short(each, 2000) for each in (summary.error, summary.cause) if each)
        end = journal[-1].at if summary.stopped_at is None else summary.stopped_at
        events = max(entry.id for entry in journal)
        line = status_text(summary.status) + Text(f" {told}" if told else "")
        write(line.append(f" after {lasting(end - summary.started_at)}, {events} events", "dim"), out)
        if summary.status == "SUCCEEDED":
            click.echo(json_text(result.output))
    return OK if summary.status == "SUCCEEDED" else FAILED


def document(result: Result, journal: list[Entry]) -> dict[str, Json]:
    """An execution as JSON: the names are those of AWS's DescribeExecution, data is parsed, times are seconds."""
    summary = result.summary
    told: dict[str, Json] = {
        "executionArn": summary.arn,
        "stateMachineArn": summary.machine_arn,
        "name": summary.name,
        "status": summary.status,
        "startDate": summary.started_at,
        "stopDate": summary.stopped_at,
        "redriveCount": summary.redrives,
        "input": result.input,
    }
    if summary.status == "SUCCEEDED":
        told["output"] = result.output
    told |= {name: value for name, value in (("error", summary.error), ("cause", summary.cause)) if value is not None}
    return {**told, "history": history(journal)}

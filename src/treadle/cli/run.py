"""`treadle run`: one execution, from its start or from where it stopped, to its end."""

from __future__ import annotations

import hashlib
import random
import re
import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.check import standing_in
from treadle.cli.drive import MEMORY, Drive, describe, drive, go_on_command
from treadle.cli.inputs import Source, WorkflowType, either, read_definition, source_of
from treadle.cli.options import DEFAULT_STORE
from treadle.cli.problems import Problem, run_async
from treadle.cli.session import Before, Record, Setup, before, opened, record
from treadle.cli.show import console, moment, write
from treadle.errors import NotFound
from treadle.language.scope import Json
from treadle.machine.execution import recover
from treadle.machine.journal import json_text
from treadle.runtime.engine import Engine, Result
from treadle.runtime.machines import LONGEST_EXPRESS, execution_arn
from treadle.runtime.ports import Store, Summary
from treadle.stores import open_store

# AWS 'StartExecution', name.
_NAME: Final = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_AHEAD: Final = 60.0
"""Seconds that an execution may be ahead of this machine's clock before virtual time must be the reason."""


@command(example="treadle run orders.asl.json --input '{\"order\": 7}' --mock answers.yaml --name order-7")
@click.argument("definition")
@click.option("--input", "given", metavar="JSON", help="The input. [default: {}]")
@click.option("--input-file", metavar="FILE", help="A file with the input; - for the standard input.")
@options.world
@click.option(
    "--store",
    "url",
    envvar=options.STORE_VARIABLE,
    show_envvar=True,
    metavar="URL",
    help="Where the execution is kept: the path of a folder or file, sqlite:///path/to/file.db, or memory:. "
    f"[default: {DEFAULT_STORE}; memory: in virtual time and for EXPRESS]",
)
@click.option("--name", metavar="NAME", help="The execution's name. [default: a new one]")
@click.option("--virtual-time", is_flag=True, help="No waiting: time jumps to the next thing that happens.")
@click.option("--seed", metavar="TEXT", help="Fix what is random: two runs in virtual time are then the same.")
@options.workflow_type
@options.as_json
def run(
    definition: str,
    given: str | None,
    input_file: str | None,
    functions: str | None,
    mock: str | None,
    machines: str | None,
    mcp_servers: str | None,
    aws: bool,
    url: str | None,
    name: str | None,
    virtual_time: bool,
    seed: str | None,
    kind: WorkflowType,
    as_json: bool,
) -> int:
    """Run one execution of DEFINITION to its end, and show each step.

    With the name of an execution that is in the store, that one goes on where it stopped. The exit status is 0 when it
    succeeds, 1 when it fails, times out or is stopped, 2 when the command or the definition is wrong, 3 when the store
    stands in the way.
    """
    fleeting = virtual_time or kind == "EXPRESS"
    url = url or (MEMORY if fleeting else DEFAULT_STORE)
    if kind == "EXPRESS" and url != MEMORY:
        raise Problem("--store: Express executions are kept nowhere. Leave --store out, or run it as STANDARD.")
    source = read_definition(definition, kind)
    if name is not None and not _NAME.fullmatch(name):
        raise Problem(f"--name: '{name}' is no name: 1 to 80 characters without blanks and signs such as : / * are.")
    folder = machines if machines is not None or definition == "-" else str(Path(definition).parent)
    setup = Setup(functions, mock, folder, virtual_time, seed, mcp_servers, aws)
    value = either("--input", given, "--input-file", input_file)
    name = name or _new_name(source.machine.name, seed)
    shown = Setup(functions, mock, machines, virtual_time, seed, mcp_servers, aws)
    task = Drive(
        source=source,
        setup=setup,
        arn=_arn(source, name, seed),
        url=url,
        as_json=as_json,
        go_on=go_on_command(definition, name, url, shown),
    )
    return run_async(_run(task, name, value))


def _new_name(machine: str, seed: str | None) -> str:
    bits = random.Random(seed).getrandbits(32) if seed is not None else secrets.randbits(32)
    return f"{machine[:60]}-{bits:08x}"


def _arn(source: Source, name: str, seed: str | None) -> str:
    if source.machine.type == "STANDARD":
        return execution_arn(source.machine.arn, name)
    # AWS: names of Express executions may repeat, so the ARN ends with an identifier of its own.
    return f"{source.machine.arn.replace(':stateMachine:', ':express:', 1)}:{_new_name(name, seed)}"


async def _run(task: Drive, name: str, value: Json | None) -> int:
    async with opened(open_store(task.url)) as store:
        try:
            summary = await store.summary(task.arn)
        except NotFound:
            return await _start(task, store, name, {} if value is None else value[0])
        _same_input(summary, value)
        return await _go_on(task, store, summary)


async def _start(task: Drive, store: Store, name: str, value: Json) -> int:
    longest = None if task.source.machine.type == "STANDARD" else LONGEST_EXPRESS

    async def begin(engine: Engine) -> None:
        if task.url != MEMORY:
            await record(store, task.arn, Record(task.source.path, task.go_on))
        await engine.start(task.source.machine, value, name, arn=task.arn, longest=longest)

    kept = "in memory only" if task.url == MEMORY else f"in {task.url}"
    return await drive(task, store, f"Execution {name} of {task.source.machine.name}, kept {kept}", Before(), begin)


async def _go_on(task: Drive, store: Store, summary: Summary) -> int:
    text = await store.definition(summary.definition)
    source = source_of(task.source.path, text, "STANDARD", summary.machine_arn)
    if summary.status != "RUNNING":
        out = console(err=True)
        journal = await store.journal(summary.arn)
        execution = recover(source.plan, journal)
        write(f"Execution {summary.name} ended before, at {moment(summary.stopped_at)}:", out)
        return describe(Result(summary, execution.input, execution.output), journal, task.as_json, out)
    past = await before(store, summary.arn)
    if not task.setup.virtual and past.last is not None and past.last > time.time() + _AHEAD:
        raise Problem(f"{summary.name} is at {moment(past.last)}: it ran in virtual time. Go on with --virtual-time.")
    news = f"Execution {summary.name} goes on where it stopped, after {summary.length} entries of its journal"
    if summary.definition != task.source.machine.digest:
        news += f", with the definition that it was started with ({task.source.path} has changed since)"
    standing = standing_in(await store.journal(summary.arn))
    return await drive(replace(task, source=source), store, news, past, standing=standing)


def _same_input(summary: Summary, value: Json | None) -> None:
    """A command with another input means another execution."""
    if value is None:
        return
    digest = hashlib.sha256(json_text(value[0]).encode("utf-8", "surrogatepass")).hexdigest()
    if digest != summary.input_digest:
        raise Problem(f"--input: the execution {summary.name} exists with another input. Choose another --name.")

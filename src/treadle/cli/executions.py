"""`treadle executions`: what a store holds, and what can be done with an execution that has ended."""

from __future__ import annotations

import dataclasses
import secrets
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
from rich.text import Text

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.check import standing_in
from treadle.cli.drive import Drive, drive, go_on_command
from treadle.cli.inputs import Source, either, machine_arn, source_of
from treadle.cli.problems import OK, Problem, run_async
from treadle.cli.progress import STATUSES, Way, no_hint, run_line
from treadle.cli.session import Before, Record, Setup, before, existing_store, opened, record, recorded
from treadle.cli.show import clean, console, json_text, lasting, moment, short, status_text, table, write, write_json
from treadle.cli.target import Access, access
from treadle.cli.watch import watch
from treadle.language.scope import Json
from treadle.machine.commands import Status
from treadle.machine.journal import Entry, history
from treadle.runtime.control import Description, ListExecutions, OpenWait, Stop
from treadle.runtime.engine import Engine
from treadle.runtime.machines import execution_arn
from treadle.runtime.offline import OfflineControl
from treadle.runtime.ports import Store, Summary


@click.group()
def executions() -> None:
    """Executions in a store.

    EXECUTION is an ARN, a name, or machine:name. Listing, showing and stopping also work while a `treadle run` is at
    work on the store.
    """


executions.add_command(watch)


# ---- looking -----------------------------------------------------------------------------------------------------


@command(executions, name="list", example="treadle executions list --status FAILED")
@click.option("--status", type=click.Choice(get_args(Status)), help="Only those of this status.")
@click.option("--machine", metavar="NAME", help="Only those of this state machine: a name or an ARN.")
@click.option("--map-run", metavar="ARN", help="The children of this map run, the last one first.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@click.option("--after", metavar="EXECUTION", help="Begin after this one: the next page.")
@options.as_json
@options.store
def list_executions(
    status: Status | None,
    machine: str | None,
    map_run: str | None,
    limit: int,
    after: str | None,
    as_json: bool,
    url: str,
) -> int:
    """List executions, the newest first; the children of a distributed Map only where its map run is named."""
    if machine is not None and map_run is not None:
        raise Problem("--map-run: the children of a map run are of one state machine: leave --machine out.")
    if machine is not None and not machine.startswith("arn:"):
        machine = machine_arn(machine)
    wanted = ListExecutions(machine_arn=machine, map_run_arn=map_run, status=status, limit=limit)
    page, following = run_async(_list(url, wanted, after))
    if as_json:
        write_json({"executions": [_listed(each) for each in page], "next": following})
        return OK
    table(["name", "status", "machine", "started", "took", "error"], [_row(each) for each in page], console())
    if following is not None:
        write(f"There are more: --after {following}", console(err=True))
    return OK


async def _list(url: str, wanted: ListExecutions, after: str | None) -> tuple[list[Summary], str | None]:
    async with access(url) as store:
        last = None if after is None else await store.find(after)
        return await store.control.executions(msgspec.structs.replace(wanted, after=last))


def _row(summary: Summary) -> list[str | Text]:
    took = "-" if summary.stopped_at is None else lasting(summary.stopped_at - summary.started_at)
    machine = summary.machine_arn.rpartition(":stateMachine:")[2]
    started = moment(summary.started_at)
    return [summary.name, status_text(summary.status), machine, started, took, short(summary.error or "-", 60)]


def _listed(summary: Summary) -> dict[str, Json]:
    told: dict[str, Json] = {
        "executionArn": summary.arn,
        "stateMachineArn": summary.machine_arn,
        "name": summary.name,
        "status": summary.status,
        "startDate": summary.started_at,
        "stopDate": summary.stopped_at,
        "redriveCount": summary.redrives,
    }
    if summary.member is not None and summary.map_run_arn is not None:
        told |= {"mapRunArn": summary.map_run_arn, "itemCount": summary.member.items}
    return told | {
        name: value for name, value in (("error", summary.error), ("cause", summary.cause)) if value is not None
    }


@command(executions, example="treadle executions show order-7")
@click.argument("execution")
@options.as_json
@options.store
def show(execution: str, as_json: bool, url: str) -> int:
    """Show an execution: its status, its times, its data and what it waits for."""
    described = run_async(_describe(url, execution))
    summary = described.summary
    if as_json:
        told = {**_listed(summary), "input": described.input, "output": described.output}
        runs = [each.arn for each in described.map_runs]
        write_json({**told, "waits": [_wait_document(each) for each in described.waits], "mapRuns": runs})
        return OK
    out = console()
    write(_heading(summary), out)
    rows = [
        ("machine", summary.machine_arn),
        ("map run", summary.map_run_arn or ""),
        ("started", moment(summary.started_at)),
        ("stopped", moment(summary.stopped_at)),
        ("redriven", f"{summary.redrives} times, {moment(summary.redriven_at)}" if summary.redrives else ""),
        ("error", summary.error or ""),
        ("cause", summary.cause or ""),
        ("journal", f"{summary.length} entries"),
    ]
    for name, value in rows:
        if value:
            write(Text().append(f"{name:<9}", "dim").append(clean(value)), out)
    write(Text("input", "dim"), out)
    click.echo(json_text(described.input))
    if summary.status == "SUCCEEDED":
        write(Text("output", "dim"), out)
        click.echo(json_text(described.output))
    for each in described.map_runs:
        write(Text().append("map run  ", "dim").append(clean(each.arn)).append(" ") + status_text(each.status), out)
        write(run_line(each), out)
    if described.waits:
        table(["waits for", "state", "number", "since", "until"], [_wait_row(each) for each in described.waits], out)
    return OK


async def _describe(url: str, execution: str) -> Description:
    async with access(url) as store:
        return await store.control.describe(await store.find(execution))


def _heading(summary: Summary) -> Text:
    return Text().append(clean(summary.arn), "bold").append(" ") + status_text(summary.status)


def _wait_row(wait: OpenWait) -> list[str]:
    what = wait.kind if wait.resource is None else f"{wait.kind} {wait.resource}"
    return [what, wait.state or "(time limit)", str(wait.wait), moment(wait.since), moment(wait.due)]


def _wait_document(wait: OpenWait) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(wait).items() if name not in ("arn", "token")}


@command(executions, name="history", example="treadle executions history order-7 --aws")
@click.argument("execution")
@click.option("--aws", is_flag=True, help="The events in the JSON of AWS's GetExecutionHistory.")
@options.as_json
@options.store
def show_history(execution: str, aws: bool, as_json: bool, url: str) -> int:
    """Show what an execution did, as a timeline or as AWS's events (--aws; --json is the same)."""
    arn, journal = run_async(_journal(url, execution))
    if aws or as_json:
        write_json({"events": history(journal)})
        return OK
    out = console()
    for line in Way(arn, no_hint).take(journal):
        write(line, out)
    last = journal[-1]
    if last.type in STATUSES:
        told = ": ".join(short(last.details[name], 2000) for name in ("error", "cause") if last.details.get(name))
        write(status_text(STATUSES[last.type]) + Text(f" {told}" if told else ""), out)
    return OK


async def _journal(url: str, execution: str) -> tuple[str, list[Entry]]:
    async with access(url) as store:
        arn = await store.find(execution)
        return arn, await store.control.journal(arn)


# ---- acting ------------------------------------------------------------------------------------------------------


@command(executions, example="treadle executions stop order-7 --error Cancelled --cause 'ordered twice'")
@click.argument("execution")
@click.option("--error", metavar="NAME", help="The error name that the execution ends with.")
@click.option("--cause", metavar="TEXT", help="The cause that it ends with.")
@options.store
def stop(execution: str, error: str | None, cause: str | None, url: str) -> int:
    """Stop an execution that runs. Stopping one that has ended changes nothing."""
    summary = run_async(_stop(url, execution, error, cause))
    out = console(err=True)
    write(_heading(summary).append(f" {moment(summary.stopped_at)}", "dim"), out)
    return OK


async def _stop(url: str, execution: str, error: str | None, cause: str | None) -> Summary:
    async with access(url) as store:
        arn = await store.find(execution)
        return await store.control.stop(Stop(arn=arn, error=error, cause=cause))


@command(executions, example="treadle executions redrive order-7 --mock answers.yaml")
@click.argument("execution")
@options.world
@options.as_json
@options.store
def redrive(
    execution: str,
    functions: str | None,
    mock: str | None,
    machines: str | None,
    mcp_servers: str | None,
    aws: bool,
    as_json: bool,
    url: str,
) -> int:
    """Let an execution that failed, timed out or was stopped go on where it ended, to its end."""
    setup = Setup(functions, mock, machines, mcp_servers=mcp_servers, aws=aws)
    return run_async(_redrive(url, execution, setup, as_json))


async def _redrive(url: str, execution: str, setup: Setup, as_json: bool) -> int:
    async with opened(existing_store(url)) as store:
        summary, source = await _find(store, url, execution)
        task = _drive(summary, source, url, setup, as_json)
        news = f"Execution {summary.name} goes on after it ended {summary.status}"
        past = await before(store, summary.arn)

        async def begin(engine: Engine) -> None:
            await engine.redrive(summary.arn)

        return await drive(task, store, news, past, begin, standing_in(await store.journal(summary.arn)))


@command(
    executions,
    example="treadle executions fork order-7 --from 'Charge card' --input '{\"order\": 8}' --mock answers.yaml",
)
@click.argument("execution")
@click.option("--from", "state", metavar="STATE", help="The state to go on from: where it was entered last.")
@click.option("--event", type=int, metavar="ID", help="The history event that entered the state to go on from.")
@click.option("--input", "given", metavar="JSON", help="What the state gets instead of its input.")
@click.option("--input-file", metavar="FILE", help="A file with what the state gets; - for the standard input.")
@click.option("--variables", metavar="JSON", help="An object with workflow variables to set before.")
@click.option("--name", metavar="NAME", help="The copy's name. [default: a new one]")
@options.world
@options.as_json
@options.store
def fork(
    execution: str,
    state: str | None,
    event: int | None,
    given: str | None,
    input_file: str | None,
    variables: str | None,
    name: str | None,
    functions: str | None,
    mock: str | None,
    machines: str | None,
    mcp_servers: str | None,
    aws: bool,
    as_json: bool,
    url: str,
) -> int:
    """Run a copy of an execution from a state that it once entered, with other data where wanted, to its end."""
    if (state is None) == (event is None):
        raise Problem("fork: give either --from STATE or --event ID.")
    value = either("--input", given, "--input-file", input_file)
    assigned = either("--variables", variables, "", None)
    if assigned is not None and not isinstance(assigned[0], dict):
        raise Problem("--variables: an object is wanted, with a value for each variable.")
    changed = {name: each[0] for name, each in (("input", value), ("variables", assigned)) if each is not None}
    setup = Setup(functions, mock, machines, mcp_servers=mcp_servers, aws=aws)
    return run_async(_fork(url, execution, state, event, changed, name, setup, as_json))


async def _fork(
    url: str,
    execution: str,
    state: str | None,
    event: int | None,
    changed: dict[str, Json],
    name: str | None,
    setup: Setup,
    as_json: bool,
) -> int:
    async with opened(existing_store(url)) as store:
        summary, source = await _find(store, url, execution)
        journal = await store.journal(summary.arn)
        at = event if state is None else _entering(journal, state, summary.name)
        assert at is not None
        entering = next((index for index, entry in enumerate(journal) if entry.id == at), len(journal))
        standing = standing_in(journal[: entering + 1])
        name = name or f"{summary.name[:60]}-fork-{secrets.token_hex(4)}"
        arn = execution_arn(summary.machine_arn, name)
        copy = msgspec.structs.replace(summary, arn=arn, name=name)
        task = _drive(copy, source, url, setup, as_json)
        news = f"Execution {name} is a copy of {summary.name} and goes on from event {at}"

        async def begin(engine: Engine) -> None:
            await record(store, arn, Record(source.path, task.go_on))
            await engine.fork(summary.arn, at, name=name, **changed)

        return await drive(task, store, news, Before(), begin, standing)


def _entering(journal: list[Entry], state: str, name: str) -> int:
    entered = [entry for entry in journal if entry.type.endswith("StateEntered")]
    found = [entry.id for entry in entered if entry.details["name"] == state]
    if not found:
        known = ", ".join(dict.fromkeys(entry.details["name"] for entry in entered))
        raise Problem(f"--from: {name} never entered '{state}'; it entered {known}.")
    return found[-1]


async def _find(store: Store, url: str, execution: str) -> tuple[Summary, Source]:
    found = Access(url, OfflineControl(store), store)
    arn = await found.find(execution)
    summary = (await found.control.describe(arn)).summary
    text = await store.definition(summary.definition)
    path = (await recorded(store, summary)).definition
    return summary, source_of(path, text, "STANDARD", summary.machine_arn)


def _drive(summary: Summary, source: Source, url: str, setup: Setup, as_json: bool) -> Drive:
    go_on = go_on_command(source.path, summary.name, url, setup)
    folder = Path(source.path).parent
    if setup.machines is None and folder.is_dir():
        setup = dataclasses.replace(setup, machines=str(folder))
    return Drive(source, setup, summary.arn, url, as_json, go_on)

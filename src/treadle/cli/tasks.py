"""`treadle tasks`: callbacks and activities that wait for somebody, and answers to them."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.inputs import either
from treadle.cli.problems import OK, Problem, run_async
from treadle.cli.show import clean, console, moment, table, write, write_json
from treadle.cli.target import Access, access
from treadle.runtime.control import Fail, Heartbeat, ListTasks, OpenWait, Succeed


@click.group()
def tasks() -> None:
    """Tasks that wait for an answer: callbacks and activities.

    A task is named by its execution and its state, or by its number where several of one state are open. It does not
    matter whether a `treadle run` is at work on the store: then that process takes the answer.
    """


@command(tasks, name="list", example="treadle tasks list")
@click.argument("execution", required=False)
@click.option("--tokens", is_flag=True, help="Show the task tokens: whoever has one can end the task.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most.")
@options.as_json
@options.store
def list_tasks(execution: str | None, tokens: bool, limit: int, as_json: bool, url: str) -> int:
    """List open tasks, of one EXECUTION or of all that run."""
    found = run_async(_list(url, execution, tokens, limit))
    if as_json:
        write_json(list(map(_document, found)))
        return OK
    out = console()
    rows = [_row(each, tokens) for each in found]
    headings = ["execution", "task", "state", "kind", "since", "until", "heartbeat until"]
    table([*headings, *(["token"] if tokens else [])], rows, out)
    return OK


async def _list(url: str, execution: str | None, tokens: bool, limit: int) -> list[OpenWait]:
    async with access(url) as store:
        arn = None if execution is None else await store.find(execution)
        return await store.control.tasks(ListTasks(arn=arn, limit=limit, tokens=tokens))


def _row(task: OpenWait, tokens: bool) -> list[str]:
    shown = [
        task.arn.split(":", 7)[7],
        str(task.wait),
        task.state,
        task.kind,
        moment(task.since),
        moment(task.due),
        moment(task.heartbeat_due),
    ]
    return [*shown, task.token or ""] if tokens else shown


def _document(task: OpenWait) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(task)
    return {name: value for name, value in plain.items() if name != "token" or value is not None}


# ---- answers -----------------------------------------------------------------------------------------------------


@command(tasks, example="treadle tasks succeed order-7 'Ask finance' --output '{\"approved\": true}'")
@click.argument("execution")
@click.argument("task")
@click.option("--output", metavar="JSON", help="What the task gives. [default: {}]")
@click.option("--output-file", metavar="FILE", help="A file with what the task gives; - for the standard input.")
@options.store
def succeed(execution: str, task: str, output: str | None, output_file: str | None, url: str) -> int:
    """Let TASK (a state or a number) of EXECUTION succeed."""
    value = either("--output", output, "--output-file", output_file)

    async def answer(store: Access, wait: OpenWait) -> None:
        await store.control.answer(Succeed(arn=wait.arn, wait=wait.wait, output={} if value is None else value[0]))

    return run_async(_answer(url, execution, task, answer, "has succeeded"))


@command(tasks, example="treadle tasks fail order-7 'Ask finance' --error Rejected --cause 'too expensive'")
@click.argument("execution")
@click.argument("task")
@click.option("--error", metavar="NAME", help="The error name that Retry and Catch see.")
@click.option("--cause", metavar="TEXT", help="The cause.")
@options.store
def fail(execution: str, task: str, error: str | None, cause: str | None, url: str) -> int:
    """Let TASK (a state or a number) of EXECUTION fail."""

    async def answer(store: Access, wait: OpenWait) -> None:
        await store.control.answer(Fail(arn=wait.arn, wait=wait.wait, error=error, cause=cause))

    return run_async(_answer(url, execution, task, answer, "has failed"))


@command(tasks, example="treadle tasks heartbeat order-7 'Ask finance'")
@click.argument("execution")
@click.argument("task")
@options.store
def heartbeat(execution: str, task: str, url: str) -> int:
    """Say that TASK (a state or a number) of EXECUTION is still being worked on."""

    async def answer(store: Access, wait: OpenWait) -> None:
        await store.control.answer(Heartbeat(wait.arn, wait.wait))

    return run_async(_answer(url, execution, task, answer, "is alive"))


async def _answer(url: str, execution: str, task: str, answer: Any, told: str) -> int:
    async with access(url) as store:
        wait = await _open_task(store, execution, task)
        await answer(store, wait)
        out = console(err=True)
        name = wait.arn.split(":", 7)[7]
        write(f"The task {clean(wait.state)} of {clean(name)} {told}.", out)
        go_on = await store.go_on(wait.arn)
        if go_on is not None:
            await _tell_status(store, wait.arn, go_on)
    return OK


async def _tell_status(store: Access, arn: str, go_on: str) -> None:
    """Without a process at work, nothing goes on by itself."""
    out = console(err=True)
    status = (await store.control.describe(arn)).summary.status
    if status == "RUNNING":
        write(f"No process is at work on it. It goes on with:\n  {go_on}", out)
    else:
        write(f"With that the execution has ended: {status}", out)


async def _open_task(store: Access, execution: str, task: str) -> OpenWait:
    arn = await store.find(execution)
    found = await store.control.tasks(ListTasks(arn=arn, limit=1000))
    chosen = [each for each in found if each.state == task] or [each for each in found if str(each.wait) == task]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        numbers = ", ".join(str(each.wait) for each in chosen)
        raise Problem(f"{task}: several tasks of this state are open in {execution}; name one by number: {numbers}.")
    known = ", ".join(sorted({each.state for each in found})) or "none"
    raise Problem(f"{task}: {execution} has no such open task; open: {known}.")

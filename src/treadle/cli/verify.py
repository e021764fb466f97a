"""`treadle verify`: whether everything in a store agrees with itself.

Owns what is compared: each journal with the rules of histories, the open waits and the summary with what the journal
leads to. It changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.problems import FAILED, OK, run_async
from treadle.cli.session import existing_store, opened
from treadle.cli.show import clean, console, write, write_json
from treadle.errors import Corrupt, DefinitionError, StoreError
from treadle.language.compile import compile_definition
from treadle.language.plan import MapPlan, Plan
from treadle.machine.commands import RunTask, StartTimer
from treadle.machine.execution import Execution, recover
from treadle.machine.journal import Entry
from treadle.machine.map_run import recover_run
from treadle.runtime.calls import kind_of
from treadle.runtime.live import MORE
from treadle.runtime.machines import processor_of
from treadle.runtime.ports import Store, Summary, WaitRow
from treadle.testing.checker import BrokenHistory, check_journal


@command(example="treadle verify --store .treadle")
@options.as_json
@options.store
def verify(as_json: bool, url: str) -> int:
    """Check every execution of a store: its journal, its open waits, its summary.

    The exit status is 1 when something is wrong; each finding names the execution.
    """
    checked, findings = run_async(_verify(url, as_json))
    if as_json:
        write_json({"executions": checked, "findings": [{"execution": arn, "finding": text} for arn, text in findings]})
    else:
        out = console()
        for arn, text in findings:
            write(clean(f"{arn}: {text}"), out)
        write(f"{checked} executions, {len(findings)} findings", out)
    return FAILED if findings else OK


async def _verify(url: str, quiet: bool) -> tuple[int, list[tuple[str, str]]]:
    checked, found = 0, list[tuple[str, str]]()
    out = console(err=True)
    bar = Progress(TextColumn("verifying"), BarColumn(), MofNCompleteColumn(), console=out, transient=True)
    async with opened(existing_store(url)) as store:
        bar.disable = quiet or not out.is_terminal
        with bar:
            task = bar.add_task("verify", total=None)
            plans: dict[str, Plan] = {}
            try:
                async for summary in store.every():
                    found += [(summary.arn, text) async for text in faults(store, summary, plans)]
                    checked += 1
                    bar.update(task, completed=checked)
            except Corrupt as error:
                found.append((url, f"{error} What comes after it was not checked."))
    return checked, found


async def faults(store: Store, summary: Summary, plans: dict[str, Plan]) -> AsyncIterator[str]:
    """Everything that is wrong with an execution. `plans` remembers compiled definitions."""
    try:
        if summary.definition not in plans:
            plans[summary.definition] = compile_definition(await store.definition(summary.definition))
        journal = await store.journal(summary.arn)
        rows = await store.waits(summary.arn)
    except (StoreError, DefinitionError) as error:
        yield str(error)
        return
    plan = plans[summary.definition]
    if summary.is_map_run:
        async for text in _map_run_faults(store, summary, plan, journal):
            yield text
        return
    if summary.member is not None:
        plan = processor_of(plan, summary.member)
    try:
        check_journal(journal, plan)
    except BrokenHistory as error:
        yield f"journal: {error}"
        return
    try:
        execution = recover(plan, journal)
    except (AssertionError, KeyError, AttributeError, IndexError, TypeError) as error:
        yield f"journal: it cannot be replayed: {type(error).__name__}: {error}"
        return
    for text in _summary_faults(summary, journal, execution):
        yield text
    for text in _wait_faults(rows, execution):
        yield text


async def _map_run_faults(store: Store, summary: Summary, plan: Plan, journal: list[Entry]) -> AsyncIterator[str]:
    """What is wrong with a map run: its summary, or a child that is not what the run says of it."""
    assert summary.member is not None
    state = plan.state(summary.member.state)
    assert isinstance(state, MapPlan)
    try:
        run = recover_run(state, journal)
    except (AssertionError, KeyError, AttributeError, IndexError, TypeError) as error:
        yield f"journal: it cannot be replayed: {type(error).__name__}: {error}"
        return
    rebuilt: dict[str, Any] = {
        "length": len(journal),
        "status": run.status,
        "redrives": run.redrives,
        "progress": run.progress(),
    }
    for field, value in rebuilt.items():
        stored = getattr(summary, field)
        if stored != value:
            yield f"summary: {field} is {stored!r}, the journal says {value!r}"
    first = 0
    while page := await store.results(summary.arn, first):
        for each in page:
            member = each.summary.member
            assert member is not None and member.child is not None
            first = member.child + 1
            told, found = run.child(member.child), each.summary.status
            # A child ends before its run knows; while a run is being stopped, children may still run or end.
            if told in ("SUCCEEDED", "FAILED", "TIMED_OUT") and told != found:
                yield f"child {member.child}: the run says {told}, the child is {found}"


def _summary_faults(summary: Summary, journal: list[Entry], execution: Execution) -> Iterator[str]:
    ended = journal[-1].at if execution.status != "RUNNING" else None
    rebuilt: dict[str, Any] = {
        "length": len(journal),
        "status": execution.status,
        "started_at": execution.started_at,
        "stopped_at": ended,
        "error": execution.error,
        "cause": execution.cause,
        "redrives": execution.redrives,
        "redriven_at": execution.redriven_at,
    }
    for field, value in rebuilt.items():
        stored = getattr(summary, field)
        if stored != value:
            yield f"summary: {field} is {stored!r}, the journal says {value!r}"


def _wait_faults(rows: list[WaitRow], execution: Execution) -> Iterator[str]:
    # The timer for the rest of a page belongs to no entry.
    stored = {row.wait: row for row in rows if row.wait != MORE}
    rebuilt = execution.waits()
    for wait in sorted(rebuilt.keys() - stored.keys()):
        yield f"wait {wait}: the journal has it open at entry {wait}, the store does not"
    for wait in sorted(stored.keys() - rebuilt.keys()):
        yield f"wait {wait}: the store has it open, the journal does not"
    for wait in sorted(stored.keys() & rebuilt.keys()):
        row, command = stored[wait], rebuilt[wait]
        due = command.at if isinstance(command, StartTimer) else None
        if isinstance(command, RunTask):
            due = command.deadline
        kind, topic = kind_of(command)
        expected = {"command": command, "kind": kind, "topic": topic, "due": due}
        for field, value in expected.items():
            if getattr(row, field) != value:
                yield f"wait {wait}: its {field} is {getattr(row, field)!r}, the journal says {value!r}"

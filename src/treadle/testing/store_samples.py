"""Something to keep in a store, and ways to look at what it keeps: for the contract suite and for tests of one store.

Owns entries, waits and commits that mean nothing but differ wherever a store could mix them up.
Neighbour: store_contract.py.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import msgspec

from treadle.errors import StoreError
from treadle.language.scope import Json
from treadle.machine.commands import Phase, RunTask, StartMapRun, StartTimer, Status, Wait
from treadle.machine.journal import Entry
from treadle.runtime.ports import Commit, Member, Store, Summary, WaitKind, WaitRow

Make: TypeAlias = Callable[[], Store]
"""Makes a store. Stores that it makes, one after the other, share what they keep."""

MACHINE: Final = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"
TOPIC: Final = "arn:aws:states:us-east-1:123456789012:activity:approve"


def arn_of(execution: str) -> str:
    """The ARN of an execution of the machine `orders`."""
    return f"arn:aws:states:us-east-1:123456789012:execution:orders:{execution}"


def entries_of(first: int, count: int, value: Json = None) -> list[Entry]:
    """Entries of a journal, `value` in their details and notes."""
    return [
        Entry("PassStateEntered", number + 1, number, (1, number), 1e9 + number / 8, {"input": value}, {"seen": value})
        for number in range(first, first + count)
    ]


def summary_of(
    execution: str, length: int, status: Status = "RUNNING", started_at: float = 1e9, machine: str = MACHINE
) -> Summary:
    """The summary of an execution."""
    return Summary(
        arn=arn_of(execution),
        machine_arn=machine,
        name=execution,
        definition="sha256:00",
        status=status,
        started_at=started_at,
        length=length,
    )


def commit_of(
    execution: str,
    expected: int,
    count: int = 1,
    opened: Sequence[WaitRow] = (),
    closed: Sequence[int] = (),
    *,
    value: Json = None,
    status: Status = "RUNNING",
    started_at: float = 1e9,
    machine: str = MACHINE,
) -> Commit:
    """A commit of `count` entries after the first `expected` ones."""
    summary = summary_of(execution, expected + count, status, started_at, machine)
    return Commit(expected, entries_of(expected, count, value), summary, opened, closed)


def task(wait: int, phase: Phase = "scheduled", arguments: Json = None) -> RunTask:
    """The command of a Task state."""
    return RunTask(
        wait=wait, state="Ask", resource="arn:aws:states:::lambda:invoke", arguments=arguments, phase=phase, attempt=0
    )


def wait_of(
    execution: str,
    wait: int,
    kind: WaitKind = "timer",
    due: float | None = None,
    heartbeat_due: float | None = None,
    *,
    phase: Phase = "scheduled",
    topic: str | None = None,
    created_at: float = 0.0,
) -> WaitRow:
    """An open wait with the command that belongs to its kind."""
    commands: dict[WaitKind, Wait] = {
        "timer": StartTimer(wait, due or 0.0),
        "map_run": StartMapRun(wait=wait, state="Each", arn=MACHINE + "/Each:1", settings={"n": [1]}),
    }
    return WaitRow(
        arn=arn_of(execution),
        wait=wait,
        kind=kind,
        command=commands.get(kind) or task(wait, phase),
        due=due,
        heartbeat_due=heartbeat_due,
        topic=topic,
        created_at=created_at,
    )


def child_of(run: str, number: int, status: Status = "RUNNING") -> Commit:
    """The first commit of a child of a map run: two entries, `number` in them."""
    arn = run_arn(run)
    summary = msgspec.structs.replace(
        summary_of(f"{run}-{number}", 2, status),
        machine_arn=MACHINE + "/Each",
        member=Member(arn, "Each", number, 3),
        parent=(arn, number),
    )
    return Commit(0, entries_of(0, 2, number), summary)


def run_arn(run: str) -> str:
    """The ARN of a map run."""
    return f"arn:aws:states:us-east-1:123456789012:mapRun:orders/Each:{run}"


@asynccontextmanager
async def opened(make: Make) -> AsyncGenerator[Store]:
    """A store, open as long as the context lasts."""
    store = make()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def write(store: Store, commit: Commit) -> None:
    """Write one step alone. Raises the StoreError that the store gives for it."""
    (error,) = await store.commit_all([commit])
    if error is not None:
        raise error


async def error_of(awaitable: Awaitable[object]) -> type[StoreError] | None:
    """The kind of StoreError that it raises; None when it raises none."""
    try:
        await awaitable
    except StoreError as error:
        return type(error)
    return None


async def everything(store: Store) -> dict[str, tuple[Summary, list[Entry], list[WaitRow]]]:
    """All executions of a store: summary, journal and open waits, by ARN."""
    return {
        summary.arn: (summary, await store.journal(summary.arn), await store.waits(summary.arn))
        async for summary in store.every()
    }


def numbers(rows: Sequence[WaitRow]) -> list[int]:
    """The waits' numbers, in the order of the rows."""
    return [row.wait for row in rows]

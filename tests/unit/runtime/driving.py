"""What the tests of the engine drive it with: machines, integrations that keep a ledger, stores that fail, checks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from treadle.errors import StoreError
from treadle.language.compile import compile_definition
from treadle.language.plan import MapPlan, Plan
from treadle.machine.execution import recover
from treadle.machine.map_run import recover_run
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine, processor_of
from treadle.runtime.ports import Call, Commit, Redelivery, Store, Summary, WaitRow
from treadle.stores import MemoryStore
from treadle.testing.checker import check_journal

T = TypeVar("T")

START = 1_767_225_600.0
ACCOUNT = "us-east-1:123456789012"
LAMBDA = f"arn:aws:lambda:{ACCOUNT}:function:f"
ACTIVITY = f"arn:aws:states:{ACCOUNT}:activity:a"
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
JOB = "arn:aws:states:::batch:submitJob.sync"
TOKEN = {"QueueUrl": "q", "MessageBody.$": "$$.Task.Token"}


def machine(definition: dict[str, Any], name: str = "m", **fields: Any) -> StateMachine:
    """A state machine with this definition."""
    return StateMachine(
        arn=f"arn:aws:states:{ACCOUNT}:stateMachine:{name}",
        name=name,
        definition=json.dumps(definition),
        role_arn="arn:aws:iam::123456789012:role/r",
        **fields,
    )


def chain(*states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A definition whose states A, B, C... follow one another."""
    names = [chr(ord("A") + index) for index in range(len(states))]
    onward: list[dict[str, Any]] = [*({"Next": name} for name in names[1:]), {"End": True}]
    ends = ("Fail", "Succeed", "Choice")
    return {
        "StartAt": "A",
        "States": {
            name: state if state["Type"] in ends else {**state, **following}
            for name, state, following in zip(names, states, onward, strict=True)
        },
        **fields,
    }


def task(resource: str = LAMBDA, **fields: Any) -> dict[str, Any]:
    """A Task state; one that waits for its token puts it into what it sends."""
    parameters = {"Parameters": TOKEN} if resource == CALLBACK else {}
    if resource == JOB:
        parameters = {"Parameters": {"JobName": "n", "JobDefinition": "d", "JobQueue": "q"}}
    return {"Type": "Task", "Resource": resource, **parameters, **fields}


def wait(seconds: int) -> dict[str, Any]:
    """A Wait state."""
    return {"Type": "Wait", "Seconds": seconds}


async def echo(call: Call) -> Any:
    """Answer with the arguments."""
    return call.arguments


@dataclass
class Ledger:
    """An integration that remembers what was asked of it."""

    answer: Callable[[Call], Awaitable[Any]] = echo
    job: Callable[[Call], Awaitable[Any]] = echo
    redelivery: Redelivery = "again"
    calls: list[Call] = field(default_factory=list)
    polls: list[Call] = field(default_factory=list)
    cancels: list[Call] = field(default_factory=list)
    interrupted: list[Call] = field(default_factory=list)

    async def call(self, call: Call) -> Any:
        self.calls.append(call)
        try:
            return await self.answer(call)
        except asyncio.CancelledError:
            self.interrupted.append(call)
            raise

    async def poll(self, call: Call) -> Any:
        self.polls.append(call)
        return await self.job(call)

    async def cancel(self, call: Call) -> None:
        self.cancels.append(call)


async def never(call: Call) -> Any:
    """Do not answer."""
    await asyncio.get_running_loop().create_future()


def open_engine(store: Store | None = None, ledger: Ledger | None = None, **options: Any) -> Engine:
    """An engine in virtual time whose tasks all go to one ledger."""
    ledger = ledger or Ledger()
    kinds = ("lambda", "activity", "service", "aws-sdk", "http")
    options.setdefault("clock", VirtualClock(START))
    integrations = {**dict.fromkeys(kinds, ledger), **options.pop("integrations", {})}
    return Engine(store or MemoryStore(), integrations, **options)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, with asyncio's own checks; what hangs is a failure, not a wait."""

    async def bounded() -> T:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(bounded())


async def quiet(engine: Engine) -> None:
    """Return when nothing more happens by itself, not even with time."""
    assert isinstance(engine.clock, VirtualClock)
    await asyncio.sleep(0)
    with engine.clock.busy():
        pass
    await engine.clock.still.wait()


async def settled(engine: Engine) -> None:
    """Return when everything has happened that needs no time."""
    assert isinstance(engine.clock, VirtualClock)
    await engine.clock.sleep_until(engine.clock.now() + 0.001)


async def closed(engine: Engine, arn: str) -> Summary:
    """How the execution ended, and that its books are right."""
    summary = await engine.wait_closed(arn)
    with engine.clock.busy():
        await check_execution(engine.store, summary)
    return summary


async def waits(engine: Engine, arn: str) -> list[WaitRow]:
    """The open waits of an execution."""
    with engine.clock.busy():
        return await engine.store.waits(arn)


async def check_books(store: Store) -> None:
    """Every journal keeps the rules; open waits and summaries are what the journals say."""
    async for summary in store.every():
        await check_execution(store, summary)


async def check_execution(store: Store, summary: Summary) -> None:
    """The books of one execution, in which nothing is happening."""
    whole = compile_definition(await store.definition(summary.definition))
    journal = await store.journal(summary.arn)
    if summary.is_map_run:
        await check_map_run(store, summary, whole)
        return
    plan = whole if summary.member is None else processor_of(whole, summary.member)
    check_journal(journal, plan)
    execution = recover(plan, journal)
    assert {row.wait: row.command for row in await store.waits(summary.arn)} == execution.waits()
    assert (summary.length, summary.status) == (len(journal), execution.status)
    assert (summary.stopped_at is None) == (summary.status == "RUNNING")


async def check_map_run(store: Store, summary: Summary, plan: Plan) -> None:
    """The books of one map run that is over: its children are as it says."""
    assert summary.member is not None
    state = plan.state(summary.member.state)
    assert isinstance(state, MapPlan)
    run = recover_run(state, await store.journal(summary.arn))
    assert (summary.status, summary.progress, summary.redrives) == (run.status, run.progress(), run.redrives)
    assert await store.waits(summary.arn) == []
    children = (await store.children(summary.arn, limit=10**6)).executions
    assert summary.progress is not None
    counts = summary.progress.children
    for status, count in (("SUCCEEDED", counts.succeeded), ("FAILED", counts.failed), ("TIMED_OUT", counts.timed_out)):
        assert sum(each.status == status for each in children) == count
    assert not any(each.status == "RUNNING" for each in children)


def types(journal: list[Any]) -> list[str]:
    """What happened, in order."""
    return [entry.type for entry in journal]


class Failing:
    """A store that does what `plan` says at each commit: it gives an error, and whether the commit is written first."""

    def __init__(self, store: Store, plan: Callable[[int, Commit], tuple[StoreError, bool] | None]) -> None:
        self.inner, self.plan, self.commits = store, plan, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def commit_all(self, commits: Sequence[Commit]) -> list[Exception | None]:
        return [await self.outcome(commit) for commit in commits]

    async def outcome(self, commit: Commit) -> Exception | None:
        number, self.commits = self.commits, self.commits + 1
        failure = self.plan(number, commit)
        if failure is None or failure[1]:
            (error,) = await self.inner.commit_all([commit])
            if failure is None:
                return error
        return failure[0]

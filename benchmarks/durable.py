"""The durable engine on SQLite: every acknowledged step is flushed to the disk before it counts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import definitions
from figures import Figure, peak

from treadle.functions import Functions, FunctionSpec, InProcessFunctions, ProcessFunctions
from treadle.integrations.lambda_ import LambdaIntegration
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.stores import open_store

WAITING = 100_000
HANDLER = "def handler(event, context):\n    return {}\n"


def machine(name: str, definition: dict[str, Any]) -> StateMachine:
    """A definition as the engine takes it."""
    return StateMachine(
        arn=f"arn:aws:states:us-east-1:123456789012:stateMachine:{name}",
        name=name,
        definition=json.dumps(definition),
        role_arn="arn:aws:iam::123456789012:role/bench",
    )


@asynccontextmanager
async def engine(folder: str, functions: Functions) -> AsyncIterator[Engine]:
    """An engine on a store in a folder."""
    async with Engine(open_store(f"{folder}/treadle.db"), {"lambda": LambdaIntegration(functions)}) as running:
        yield running


def in_process() -> Functions:
    """A function that does nothing, called in this process."""
    return InProcessFunctions({"noop": lambda event, context: {}})


async def once(running: Engine, each: StateMachine, input: Any) -> None:
    """One execution from start to end."""
    started = await running.start(each, input)
    summary = await running.wait_closed(started.arn)
    assert summary.status == "SUCCEEDED", summary.cause


async def timed(work: Callable[[], Awaitable[None]], times: int, at_once: int) -> float:
    """Seconds that so many runs take, so many of them at the same time."""
    room = asyncio.Semaphore(at_once)

    async def one() -> None:
        async with room:
            await work()

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(times):
            group.create_task(one())
    return time.perf_counter() - begin


async def transitions(running: Engine) -> list[Figure]:
    """Durable transitions per second."""
    figures = []
    for name, definition, input, entered, times, aim in (
        ("durable chain of 100", definitions.chain(100), {}, definitions.CHAIN_TRANSITIONS, 600, 100_000),
        ("durable loop", definitions.LOOP, {}, definitions.LOOP_TRANSITIONS, 60, 0),
        ("durable Map", definitions.MAP, definitions.ITEMS, definitions.MAP_TRANSITIONS, 60, 0),
    ):
        each = machine(name.replace(" ", "-"), definition)
        await once(running, each, input)
        seconds = await timed(lambda e=each, i=input: once(running, e, i), times, 50)
        figures.append(Figure(name, times * entered / seconds, "transitions/s", aim))
    return figures


async def task_steps(running: Engine, kind: str) -> list[Figure]:
    """Task steps per second, alone and side by side."""
    figures = []
    each = machine(f"steps-{kind}", definitions.steps(10))
    await once(running, each, {})
    for at_once, times, aim in ((1, 40, 0), (100, 600, 5_000)):
        seconds = await timed(lambda: once(running, each, {}), times, at_once)
        figures.append(Figure(f"task steps, {kind}, {at_once} at once", times * 10 / seconds, "steps/s", aim))
    return figures


async def latency(running: Engine) -> list[Figure]:
    """From the call of start to the end of three states."""
    each = machine("three", definitions.THREE)
    await once(running, each, {})
    taken = []
    for _ in range(500):
        begin = time.perf_counter()
        await once(running, each, {})
        taken.append((time.perf_counter() - begin) * 1000)
    cuts = statistics.quantiles(taken, n=100)
    return [
        Figure("three states, p50", cuts[49], "ms", 5, most=True),
        Figure("three states, p99", cuts[98], "ms"),
    ]


async def in_one_process() -> list[Figure]:
    """What functions in this process give."""
    with tempfile.TemporaryDirectory() as folder:
        async with engine(folder, in_process()) as running:
            figures = await transitions(running)
            figures += await task_steps(running, "in process")
            return figures + await latency(running)


async def in_processes() -> list[Figure]:
    """What functions in warm processes give."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "noop.py").write_text(HANDLER)
        spec = FunctionSpec(name="noop", handler="noop.handler", folder=Path(folder), runtime="python3.11")
        async with ProcessFunctions({"noop": spec}) as functions, engine(folder, functions) as running:
            return await task_steps(running, "processes")


# ---- in processes of their own: memory, and what a kill leaves ----------------------------------------------------


async def fill(folder: str, number: int) -> None:
    """Start executions that wait for a callback, and stay."""
    async with engine(folder, in_process()) as running:
        each = machine("callback", definitions.CALLBACK)
        room = asyncio.Semaphore(500)

        async def one(index: int) -> None:
            async with room:
                await running.start(each, {"order": index}, f"order-{index}")

        for first in range(0, number, 5000):
            await asyncio.gather(*(one(index) for index in range(first, min(first + 5000, number))))
        while len(await running.store.open_callbacks(1, (running.arn_of(each, f"order-{number - 1}"), 0))) < 1:
            await asyncio.sleep(0.05)
        report(waiting=number, megabytes=peak())


async def reopen(folder: str) -> None:
    """Open a store and say when it is ready, and how much memory that took."""
    begin = time.perf_counter()
    async with engine(folder, in_process()) as running:
        taken = time.perf_counter() - begin
        report(seconds=taken, megabytes=peak())
        await running.store.close()


def report(**told: float) -> None:
    """Tell the parent process, and wait to be killed or let go."""
    print(json.dumps(told), flush=True)
    sys.stdin.read()


def child(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, float]]:
    """A process of this file, and what it reports."""
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def waiting() -> Iterator[Figure]:
    """A hundred thousand executions that wait: memory, and the way back after a kill."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process, told = child("fill", folder, str(WAITING))
        yield Figure(f"start {WAITING:,} that wait", WAITING / (time.perf_counter() - begin), "executions/s")
        yield Figure(f"{WAITING:,} waiting, memory", told["megabytes"], "MB", 1_000, most=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process, told = child("reopen", folder)
        yield Figure("from kill to resumed", told["seconds"], "s", 1, most=True)
        yield Figure("reopened, memory", told["megabytes"], "MB", 1_000, most=True)
        process.kill()
        process.wait()


def figures() -> Iterator[Figure]:
    """Everything durable."""
    yield from asyncio.run(in_one_process())
    yield from asyncio.run(in_processes())
    yield from waiting()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", folder, number]:
            asyncio.run(fill(folder, int(number)))
        case ["reopen", folder]:
            asyncio.run(reopen(folder))
        case other:
            raise SystemExit(f"unknown part {other}: use benchmarks/run.py")

"""Real handlers in real files, run in real processes, all on one event loop for a module."""

from __future__ import annotations

import asyncio
import os
import select
import textwrap
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from treadle.functions import FunctionSpec

T = TypeVar("T")

PATIENCE = 20
"""Seconds after which something that should have happened has not."""


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Run a coroutine to its end."""
    with asyncio.Runner() as runner:

        def run_one(coroutine: Coroutine[Any, Any, T]) -> T:
            async def within_patience() -> T:
                async with asyncio.timeout(PATIENCE):
                    return await coroutine

            return runner.run(within_patience())

        yield run_one


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., FunctionSpec]:
    """Write a function's file and give its spec; keywords are fields of the spec."""

    def write_one(code: str, name: str = "fn", file: str = "fn.py", **fields: Any) -> FunctionSpec:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        given = {"handler": f"{path.stem}.handler", "runtime": "python3.11" if file.endswith(".py") else "nodejs20.x"}
        return FunctionSpec(name=name, folder=tmp_path, **{**given, **fields})

    return write_one


@pytest.fixture
def ends() -> Callable[[int], bool]:
    """Whether a process ends, be it ours or not; waits for it."""

    def process_ends(process: int) -> bool:
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            return True
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(PATIENCE * 1000))
        finally:
            os.close(descriptor)

    return process_ends

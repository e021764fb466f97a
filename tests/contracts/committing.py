"""A process to be killed: it commits to many executions at once and prints what was acknowledged.

    python committing.py FILE EXECUTIONS COMMITS

It makes so many commits to each execution and then waits to be killed; it goes on where the store stands. Each line
that it prints is an execution and the length of its journal that was acknowledged. Every commit has two entries, opens
a wait and closes the one before, so that what is half there can be told.
"""

from __future__ import annotations

import asyncio
import os
import sys

from treadle.errors import NotFound
from treadle.runtime.ports import Store
from treadle.stores import open_store
from treadle.testing.store_samples import arn_of, commit_of, wait_of, write

PER_COMMIT = 2


async def commit_to(store: Store, execution: str, commits: int) -> None:
    try:
        length = (await store.summary(arn_of(execution))).length
    except NotFound:
        length = 0
    for _ in range(commits):
        opened = [wait_of(execution, length // PER_COMMIT + 1, "call", float(length))]
        closed = [length // PER_COMMIT]
        await write(store, commit_of(execution, length, PER_COMMIT, opened, closed, value=execution * 100))
        length += PER_COMMIT
        os.write(sys.stdout.fileno(), f"{execution} {length}\n".encode())


async def main(file: str, executions: int, commits: int) -> None:
    os.write(sys.stdout.fileno(), b"opening\n")
    store = open_store(file)
    await store.open()
    async with asyncio.TaskGroup() as group:
        for number in range(executions):
            group.create_task(commit_to(store, str(number), commits))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))

"""How fast the stores are: one table of commits and entries per second.

    python benchmarks/stores.py [--json] [--seconds S] [--folder FOLDER]

`small` commits 5 entries and replaces an open wait, as a task that returns does; `large` commits 200 entries. "busy"
does 200 microseconds of other work on the event loop between any two commits, as an engine does. The last row flushes
one page at a time to the same disk, which is what limits one committer alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from treadle.machine.commands import RunTask
from treadle.machine.journal import Entry
from treadle.runtime.ports import Commit, Store, Summary, WaitRow
from treadle.stores import open_store
from treadle.testing.store_samples import write

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"
ORDER = {
    "customer": {"name": "Zoë Müller", "id": 12345, "address": {"city": "Zürich", "street": "Seestrasse 1"}},
    "lines": [{"sku": f"sku-{i}", "price": 9.5 * i, "count": i} for i in range(5)],
}
TYPES = ("TaskSucceeded", "TaskStateExited", "TaskStateEntered", "TaskScheduled", "TaskStarted")


@dataclass(frozen=True)
class Result:
    store: str
    commit: str
    committers: int
    commits: float
    entries: float


def entries(first: int, count: int) -> list[Entry]:
    return [
        Entry(TYPES[i % 5], i + 1, i, (), 1_767_225_600.5 + i, {"name": "Charge card", "input": ORDER}, {"wait": i})
        for i in range(first, first + count)
    ]


def step(arn: str, number: int, batch: Sequence[Entry]) -> Commit:
    expected, count = number * len(batch), len(batch)
    summary = Summary(
        arn=arn,
        machine_arn=MACHINE,
        name=arn.rpartition(":")[2],
        definition="sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        status="RUNNING",
        started_at=1_767_225_600.5,
        length=expected + count,
    )
    command = RunTask(
        wait=number + 1,
        state="Charge card",
        resource="arn:aws:lambda:us-east-1:123456789012:function:charge",
        arguments=ORDER,
        phase="started",
        attempt=0,
        deadline=1e9,
    )
    opened = WaitRow(arn=arn, wait=number + 1, kind="call", command=command, due=1e9 + number)
    return Commit(expected, batch, summary, [opened], [number])


def work(microseconds: float) -> None:
    end = time.perf_counter() + microseconds / 1e6
    while time.perf_counter() < end:
        pass


async def committer(store: Store, arn: str, batch: Sequence[Entry], until: float, busy: float) -> int:
    count = 0
    while time.perf_counter() < until:
        await write(store, step(arn, count, batch))
        work(busy)
        count += 1
    return count


async def measure(url: str, committers: int, size: int, seconds: float, busy: float = 0) -> float:
    """Commits per second."""
    store = open_store(url)
    await store.open()
    batch = entries(0, size)
    begin = time.perf_counter()
    arns = [f"{MACHINE.replace('stateMachine', 'execution')}:{i}" for i in range(committers)]
    counts = await asyncio.gather(*(committer(store, arn, batch, begin + seconds, busy) for arn in arns))
    elapsed = time.perf_counter() - begin
    await store.close()
    return sum(counts) / elapsed


def flushes(folder: Path, seconds: float) -> float:
    """Flushes of one page per second."""
    with (folder / "flushes").open("wb", buffering=0) as file:
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + seconds:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
    return count / (time.perf_counter() - begin)


def results(seconds: float, folder: str | None) -> list[Result]:
    found: list[Result] = []
    for store in ("memory", "sqlite"):
        for size, busy, name in ((5, 0, "small"), (5, 200, "small, busy"), (200, 0, "large")):
            for committers in (1, 100, 1000):
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    url = "memory:" if store == "memory" else f"sqlite://{place}/bench.db"
                    commits = asyncio.run(measure(url, committers, size, seconds, busy))
                found.append(Result(store, name, committers, commits, commits * size))
    with tempfile.TemporaryDirectory(dir=folder) as place:
        found.append(Result("disk", "flush of a page", 1, flushes(Path(place), seconds), 0))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each row is measured")
    parser.add_argument("--folder", help="where the files are made: the disk that is measured")
    options = parser.parse_args()
    found = results(options.seconds, options.folder)
    if options.json:
        print(json.dumps([vars(result) for result in found], indent=1))
        return 0
    print(f"{'store':10}{'commit':18}{'committers':>10}{'commits/s':>12}{'entries/s':>12}")
    for each in found:
        print(f"{each.store:10}{each.commit:18}{each.committers:>10,}{each.commits:>12,.0f}{each.entries:>12,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

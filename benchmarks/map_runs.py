"""A distributed Map over many items, each of which is a durable execution that does nothing.

    python benchmarks/map_runs.py [--items N]

The items come from a reader, page by page, as they would from a file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from durable import machine
from figures import Figure, peak

from treadle.runtime.engine import Engine
from treadle.runtime.ports import ItemPage, MapResults
from treadle.stores import open_store

ITEMS = 100_000
PAGE = 1000


def definition(kind: str) -> dict[str, Any]:
    """A Map whose children have one Pass state."""
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": True}},
    }
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "Parameters": {"Bucket": "b", "Key": "k"},
        "ReaderConfig": {"InputType": "JSON"},
    }
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}}
    state = {"Type": "Map", "ItemReader": reader, "ItemProcessor": processor, "ResultWriter": writer, "End": True}
    return {"StartAt": "M", "States": {"M": state}}


class Items:
    """So many items."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def pages(self, reader: Mapping[str, Any], skip: int) -> AsyncIterator[ItemPage]:
        for first in range(skip, self.number, PAGE):
            yield ItemPage([{"order": each} for each in range(first, min(first + PAGE, self.number))], "S3://b/k")


class Count:
    """A writer that reads all the records and counts them."""

    async def write(self, writer: Mapping[str, Any], results: MapResults) -> Any:
        begin, count = time.perf_counter(), 0
        async for _ in results.records():
            count += 1
        return {"records": count, "seconds": time.perf_counter() - begin}


async def run(folder: str, kind: str, number: int) -> None:
    """One run; reports the seconds for the children, those for the results, and the memory."""
    async with Engine(open_store(f"{folder}/treadle.db"), {}, reader=Items(number), writer=Count()) as engine:
        each = machine("map", definition(kind))
        begin = time.perf_counter()
        started = await engine.start(each, {}, "map")
        summary = await engine.wait_closed(started.arn)
        seconds = time.perf_counter() - begin
        assert summary.status == "SUCCEEDED", summary.cause
        output = (await engine.result(started.arn)).output
        assert output["records"] == number
        told = {"seconds": seconds - output["seconds"], "results": output["seconds"], "megabytes": peak()}
        print(json.dumps(told), flush=True)


def measured(kind: str, number: int) -> dict[str, float]:
    """What a process of its own reports of one run."""
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run(
            [sys.executable, __file__, "--one", kind, folder, "--items", str(number)],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
        )
        return json.loads(told.stdout)


def figures(number: int = ITEMS) -> Iterator[Figure]:
    """Items per second and memory."""
    for kind in ("STANDARD", "EXPRESS"):
        told = measured(kind, number)
        name = f"distributed Map, {kind}"
        yield Figure(f"{name}", number / told["seconds"], "items/s", 2_000)
        yield Figure(f"{name}, results", number / told["results"], "items/s")
        yield Figure(f"{name}, memory", told["megabytes"], "MB", 200, most=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS, help="how many items: less for a quick look")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        kind, folder = options.one
        asyncio.run(run(folder, kind, options.items))
        return 0
    for figure in figures(options.items):
        print(f"{figure.name:36}{figure.value:>12,.0f}  {figure.unit:12}{figure.share:>9}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

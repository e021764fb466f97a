"""How fast the items of a distributed Map are read, page by page as a host reads them, and what memory that takes.

    python benchmarks/items.py BUCKET KEY CONFIG      reads one data set and prints items, seconds and peak memory

BUCKET is a bucket of S3 or the URL of a folder, CONFIG a ReaderConfig as JSON; what is printed is JSON as well. Each
reading is a process of its own: the peak is that of reading, not of what the benchmarks did before.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import Figure, peak

from treadle.items import Access, DataSets

ROWS = 1_000_000
MANY = 10_000_000
CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
HEADER = "id,name,city,amount,when\n"
PLAIN = "{0},customer {0},Zürich,{1}.50,2026-01-01T00:00:00Z\n"
QUOTED = '{0},"customer, {0}",Zürich,{1}.50,2026-01-01T00:00:00Z\n'
LINE = '{{"id":"{0}","name":"customer {0}","city":"Zürich","amount":"{1}.50","when":"2026-01-01T00:00:00Z"}}\n'


def figures() -> Iterator[Figure]:
    """Items per second and peak memory, by format; the peak is to be the same for ten times as much."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, row, count in (("CSV", PLAIN, ROWS), ("quoted CSV", QUOTED, ROWS), ("CSV", PLAIN, MANY)):
            with Path(folder, "rows.csv").open("w") as file:
                file.write(HEADER)
                file.writelines(row.format(number, number % 997) for number in range(count))
            yield from measured(f"{title}, {count:,} rows", folder, "rows.csv", CSV, count)
        with Path(folder, "rows.jsonl").open("w") as file:
            file.writelines(LINE.format(number, number % 997) for number in range(ROWS))
        yield from measured("JSON Lines, 1,000,000 lines", folder, "rows.jsonl", {"InputType": "JSONL"}, ROWS)
        lines = Path(folder, "rows.jsonl").read_bytes()
        Path(folder, "rows.jsonl.gz").write_bytes(gzip.compress(lines, 1))
        yield from measured("the same in gzip", folder, "rows.jsonl.gz", {"InputType": "JSONL"}, ROWS)
        Path(folder, "rows.json").write_bytes(b"[%b]" % lines.rstrip().replace(b"\n", b",\n"))
        yield from measured("a JSON array of 1,000,000", folder, "rows.json", {"InputType": "JSON"}, ROWS)


def measured(title: str, folder: Path, key: str, config: dict[str, str], count: int) -> Iterator[Figure]:
    """What a process of its own tells of reading a file."""
    command = [sys.executable, __file__, folder.as_uri(), key, json.dumps(config)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert told["items"] == count
    yield Figure(title, count / told["seconds"], "items/s", 200_000)
    yield Figure(f"{title}, peak", told["mebibytes"], "MiB", 64, most=True)


async def read(bucket: str, key: str, config: dict[str, Any]) -> int:
    """All items of an object, page by page; how many they are."""
    access = Access()
    arguments = {"Bucket": bucket, "Key": key}
    reader = {"resource": "arn:aws:states:::s3:getObject", "arguments": arguments, "config": config}
    try:
        return sum([len(page.items) async for page in DataSets(access).pages(reader, 0)])
    finally:
        await access.close()


if __name__ == "__main__":
    begin = time.perf_counter()
    found = asyncio.run(read(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
    print(json.dumps({"items": found, "seconds": time.perf_counter() - begin, "mebibytes": peak()}))

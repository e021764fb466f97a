"""How fast the items of a distributed Map are read, page by page as a host reads them, and what memory that takes.

    python benchmarks/items.py FILE      reads one CSV file and prints seconds and peak memory, as JSON

Each reading is a process of its own: the peak is that of reading, not of what the benchmarks did before.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from figures import Figure

from treadle.items import Access, DataSets

ROWS = 1_000_000
HEADER = "id,name,city,amount,when\n"
PLAIN = "{0},customer {0},Zürich,{1}.50,2026-01-01T00:00:00Z\n"
QUOTED = '{0},"customer, {0}",Zürich,{1}.50,2026-01-01T00:00:00Z\n'


def figures() -> Iterator[Figure]:
    """Rows per second and peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        for name, row in (("CSV, 1,000,000 rows", PLAIN), ("quoted CSV, 1,000,000 rows", QUOTED)):
            path = Path(folder, "rows.csv")
            with path.open("w") as file:
                file.write(HEADER)
                file.writelines(row.format(number, number % 997) for number in range(ROWS))
            command = [sys.executable, __file__, str(path)]
            told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            assert told["rows"] == ROWS
            yield Figure(name, ROWS / told["seconds"], "rows/s", 200_000)
            yield Figure(f"{name}, peak", told["mebibytes"], "MiB", 256, most=True)


async def read(path: Path) -> int:
    """All rows of a CSV file, page by page; how many they are."""
    access = Access()
    reader = {
        "resource": "arn:aws:states:::s3:getObject",
        "arguments": {"Bucket": path.parent.as_uri(), "Key": path.name},
        "config": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
    }
    try:
        return sum([len(page.items) async for page in DataSets(access).pages(reader, 0)])
    finally:
        await access.close()


if __name__ == "__main__":
    begin = time.perf_counter()
    rows = asyncio.run(read(Path(sys.argv[1])))
    seconds = time.perf_counter() - begin
    # Linux tells kibibytes, macOS bytes.
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(json.dumps({"rows": rows, "seconds": seconds, "mebibytes": peak}))

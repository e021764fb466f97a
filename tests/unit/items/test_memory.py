"""Reading takes as much memory for a large data set as for a small one, of every format, from a folder and from S3."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from local_cloud import LocalCloud

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "items.py"
SMALL, LARGE = 4_000, 40_000
SIZE = 1_000
"""Bytes of an item: so many that the large data set has 40 MB."""
GROWTH = 8
"""MiB by which the peak may differ: far less than the data sets do."""


def rows(count: int) -> list[str]:
    """Texts that compress to a third, as real ones do."""
    return [f"{number:09}" + os.urandom(SIZE // 6).hex() + "-" * (SIZE - 9 - SIZE // 6 * 2) for number in range(count)]


def csv(count: int) -> bytes:
    return "\n".join(["text", *rows(count)]).encode()


def lines(count: int) -> bytes:
    return "\n".join(json.dumps({"text": each}) for each in rows(count)).encode()


def array(count: int) -> bytes:
    return json.dumps([{"text": each} for each in rows(count)]).encode()


def members(count: int) -> bytes:
    return json.dumps({"orders": {str(number): each for number, each in enumerate(rows(count))}}).encode()


def parquet(count: int) -> bytes:
    import io

    from pyarrow import table
    from pyarrow.parquet import write_table

    file = io.BytesIO()
    write_table(table({"text": rows(count)}), file, row_group_size=2_000)
    return file.getvalue()


CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
JSONL = {"InputType": "JSONL"}
KINDS: dict[str, tuple[Mapping[str, str], str, Callable[[int], bytes]]] = {
    "CSV": (CSV, "rows.csv", csv),
    "CSV in gzip": (CSV, "rows.csv.gz", lambda count: gzip.compress(csv(count), 1)),
    "CSV in zstd": (CSV, "rows.csv.zst", lambda count: zstandard.compress(csv(count))),
    "JSON Lines": (JSONL, "rows.jsonl", lines),
    "JSON Lines in gzip": (JSONL, "rows.jsonl.gz", lambda count: gzip.compress(lines(count), 1)),
    "a JSON array": ({"InputType": "JSON"}, "rows.json", array),
    "a JSON object": ({"InputType": "JSON", "ItemsPointer": "/orders"}, "rows.json", members),
    "Parquet": ({"InputType": "PARQUET"}, "rows.parquet", parquet),
}


def peak(bucket: str, key: str, config: Mapping[str, str], count: int, environment: Mapping[str, str]) -> float:
    """The peak in MiB of a process that reads an object."""
    command = [sys.executable, str(SCRIPT), bucket, key, json.dumps(config)]
    told = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment}).stdout
    found: dict[str, Any] = json.loads(told)
    assert found["items"] == count
    return found["mebibytes"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_peak_of_reading_a_file_does_not_depend_on_its_size(kind: str, tmp_path: Path) -> None:
    config, key, make = KINDS[kind]
    peaks: list[float] = []
    for count in (SMALL, LARGE):
        (tmp_path / key).write_bytes(make(count))
        peaks.append(peak(tmp_path.as_uri(), key, config, count, {}))
    assert peaks[1] - peaks[0] < GROWTH, peaks
    assert peaks[1] < 200


@pytest.mark.parametrize("kind", ["CSV", "CSV in zstd", "a JSON array", "Parquet"])
def test_the_peak_of_reading_an_object_does_not_depend_on_its_size(kind: str, local_cloud: LocalCloud) -> None:
    config, key, make = KINDS[kind]
    bucket = local_cloud.unique("large")
    client = local_cloud.client("s3")
    client.create_bucket(Bucket=bucket)
    peaks: list[float] = []
    for count in (SMALL, LARGE):
        client.put_object(Bucket=bucket, Key=key, Body=make(count))
        peaks.append(peak(bucket, key, config, count, local_cloud.environment))
    client.delete_object(Bucket=bucket, Key=key)
    client.close()
    assert peaks[1] - peaks[0] < GROWTH, peaks
    assert peaks[1] < 200

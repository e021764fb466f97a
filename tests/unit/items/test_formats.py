"""JSON Lines, Parquet and compressed files, read from folders."""

from __future__ import annotations

import datetime
import gzip
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from reading import Text, cause, folder, items, pages

from treadle.items import parquet_rows, pieces

JSONL, PARQUET = {"InputType": "JSONL"}, {"InputType": "PARQUET"}
CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
LINES = "".join(f'{{"id": {number}, "text": "{"é" * 50}"}}\n' for number in range(10_000))


def parquet(table: pa.Table, **settings: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **settings)
    return out.getvalue()


def test_every_line_is_an_item_blank_lines_apart(tmp_path: Path) -> None:
    where = folder(tmp_path, {"file.jsonl": '\ufeff{"a": 1}\n\n "b" \r\n   \n[3]'})
    assert items(where, {"Key": "file.jsonl"}, JSONL) == [{"a": 1}, "b", [3]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"a": 1}\n\n{"a": tru}\n', "line 3: is not JSON: Unrecognized token 'tru'"),
        ('1\n{"a": \n', "line 2: is not JSON: Unexpected end-of-input"),
        ("1, 2\n", "line 1: is not JSON"),
        (b'1\n"\xff"\n', "line 2: is not UTF-8"),
        ('1\n"' + "x" * 9_000_000, "line 2: the item is larger than 8388608 bytes"),
        ('1\n"' + "x" * 8_500_000 + '"\n', "line 2: the item is larger than 8388608 bytes"),
    ],
)
def test_a_bad_line_is_named(content: Any, told: str, tmp_path: Path) -> None:
    where = folder(tmp_path, {"file.jsonl": content})
    assert f"file.jsonl: {told}" in cause(lambda: items(where, {"Key": "file.jsonl"}, JSONL))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.jsonl.gz", gzip.compress(LINES.encode())),
        ("lines.JSONL.GZ", gzip.compress(LINES[:5000].encode()) + gzip.compress(LINES[5000:].encode())),
        ("lines.gz", gzip.compress(LINES.encode()) + b"\0" * 512),
        ("lines.jsonl.zst", zstandard.compress(LINES.encode())),
        ("lines.zst", zstandard.compress(LINES[:5000].encode()) + zstandard.compress(LINES[5000:].encode())),
    ],
)
@pytest.mark.parametrize("size", [1000, 262_144])
def test_compressed_files_are_read_as_what_they_hold(
    name: str, content: bytes, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", size)
    where = folder(tmp_path, {name: content})
    assert items(where, {"Key": name}, JSONL) == [json.loads(line) for line in LINES.splitlines()]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("cut.gz", gzip.compress(LINES.encode())[:-200], "the gzip file ends in its middle"),
        ("cut.zst", zstandard.compress(LINES.encode())[:-20], "the zstd file ends in its middle"),
        ("text.gz", LINES.encode(), "is no gzip file, or a damaged one"),
        ("text.zst", LINES.encode(), "is no zstd file, or a damaged one"),
        ("wrong.gz", gzip.compress(LINES.encode())[:-8] + b"12345678", "is no gzip file, or a damaged one"),
    ],
)
def test_damaged_compression_is_told(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    where = folder(tmp_path, {name: content})
    assert f"{name}: {told}" in cause(lambda: items(where, {"Key": name}, JSONL))


def test_a_small_file_that_holds_much_is_read_piece_by_piece() -> None:
    zeros = Text(gzip.compress(b"\0" * 50_000_000), "S3://bucket/bomb.gz")
    assert max(map(len, pieces.pieces(zeros))) <= pieces.PIECE


def test_the_rows_of_parquet_are_items(tmp_path: Path) -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "id": pa.array([1, 2**62]),
            "share": pa.array([0.5, float("nan")]),
            "name": pa.array(["é", None]),
            "at": pa.array([moment, None], pa.timestamp("ns", "UTC")),
            "day": pa.array([datetime.date(2026, 1, 2), None]),
            "price": pa.array([Decimal("12.50"), None]),
            "raw": pa.array([b"\x00\xff", None]),
            "inner": pa.array([{"list": [1, 2]}, None]),
        }
    )
    where = folder(tmp_path, {"file": parquet(table)})
    first, second = items(where, {"Key": "file"}, PARQUET)
    assert first == {
        "id": 1,
        "share": 0.5,
        "name": "é",
        "at": "2026-01-02T03:04:05.678000Z",
        "day": "2026-01-02",
        "price": "12.50",
        "raw": "AP8=",
        "inner": {"list": [1, 2]},
    }
    assert second == {**dict.fromkeys(first), "id": 2**62}


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd", "snappy"])
def test_parquet_is_read_group_by_group_and_skipped_by_group(compression: str, tmp_path: Path) -> None:
    table = pa.table({"id": list(range(5500))})
    where = folder(tmp_path, {"file.parquet": parquet(table, row_group_size=2000, compression=compression)})
    read = pages(where, {"Key": "file.parquet"}, PARQUET)
    assert [len(page.items) for page in read] == [1000, 1000, 1000, 1000, 1000, 500]
    assert [item["id"] for page in read for item in page.items] == list(range(5500))
    assert [item["id"] for item in items(where, {"Key": "file.parquet"}, PARQUET, skip=4100)] == list(range(4100, 5500))


def test_what_is_no_parquet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = parquet(pa.table({"id": [1] * 1000}))
    middle = len(good) // 4
    where = folder(
        tmp_path,
        {
            "text": "id\n1\n",
            "none": "",
            "cut": good[:-20],
            "footer": good[:-8] + (6 * 1024 * 1024).to_bytes(4, "little") + b"PAR1",
            "damaged": good[:8] + b"\xff" * middle + good[8 + middle :],
            "large": good,
        },
    )

    def told(key: str) -> str:
        return cause(lambda: items(where, {"Key": key}, PARQUET))

    assert all("is no Parquet file, or is cut off" in told(key) for key in ("text", "none", "cut"))
    assert "/footer: its footer is larger than 5 MiB" in told("footer")
    assert "/damaged" in told("damaged")
    monkeypatch.setattr(parquet_rows, "ROW_GROUP_LIMIT", 10)
    assert "/large: row group 0 is larger than" in told("large")


def test_a_version_cannot_be_asked_for_with_parquet(tmp_path: Path) -> None:
    where = folder(tmp_path, {"file": parquet(pa.table({"id": [1]}))})
    told = cause(lambda: items(where, {"Key": "file", "VersionId": "1"}, PARQUET))
    assert "/file: VersionId cannot be used with PARQUET" in told

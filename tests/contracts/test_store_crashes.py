"""Whatever a store acknowledged outlives its process, and nothing of what it had not acknowledged is half there."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from treadle.errors import Locked
from treadle.stores import SqliteStore
from treadle.testing.store_samples import arn_of, entries_of, everything, opened, wait_of

DEEP = os.environ.get("TREADLE_DEEP") == "1"
KILLS = 200 if DEEP else 20
TEARS = 1000 if DEEP else 100
EXECUTIONS = 20
COMMITTING = Path(__file__).with_name("committing.py")
PER_COMMIT = 2


@contextmanager
def committing(path: Path, commits: int = 1_000_000) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(COMMITTING), str(path), str(EXECUTIONS), str(commits)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout
    yield from process.stdout


def killed_after(path: Path, lines: int) -> dict[str, int]:
    """What a process acknowledged that was killed once it had printed so many lines: the length, by execution."""
    printed: list[str] = []
    with committing(path) as process:
        for line in lines_of(process):
            printed.append(line)
            if len(printed) == lines:
                process.kill()
    # The last line may have been cut off.
    acknowledged = [line.split() for line in printed[1:] if line.endswith("\n")]
    return {execution: int(length) for execution, length in acknowledged}


def lengths(path: Path) -> dict[str, int]:
    """How long each journal of a store is, once it is sure that every commit is there whole."""

    async def read() -> dict[str, int]:
        async with opened(lambda: SqliteStore(path)) as store:
            found: dict[str, int] = {}
            for arn, (summary, journal, waits) in (await everything(store)).items():
                name, length = summary.name, summary.length
                assert arn == arn_of(name)
                assert length % PER_COMMIT == 0
                assert journal == entries_of(0, length, name * 100)
                assert waits == [wait_of(name, length // PER_COMMIT, "call", float(length - PER_COMMIT))]
                found[name] = length
            assert sorted(row.arn for row in await store.due(1e9)) == sorted(arn_of(name) for name in found)
            return found

    return asyncio.run(read())


def test_what_was_acknowledged_outlives_a_kill_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "treadle.db"
    chance = random.Random()
    for kill in range(KILLS):
        # Some are killed while the store is opened and what the one before had left is recovered.
        acknowledged = killed_after(path, 1 if kill % 10 == 9 else chance.randint(2, 600))
        kept = lengths(path)
        assert all(kept[execution] >= length for execution, length in acknowledged.items())
    assert len(kept) == EXECUTIONS


def test_a_log_torn_anywhere_leaves_whole_commits(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    # So few that the log has not yet been carried over into the database: it is all there is.
    with committing(whole / "treadle.db", commits=5) as process:
        lines = lines_of(process)
        for _ in range(1 + 5 * EXECUTIONS):
            next(lines)
    log = (whole / "treadle.db-wal").read_bytes()
    chance = random.Random()
    found: set[int] = set()
    for _ in range(TEARS):
        shutil.copytree(whole, torn)
        # As a power cut leaves it: what was not flushed is missing, or something else.
        cut = chance.randint(0, len(log))
        rest = chance.choice((b"", bytes(len(log) - cut), chance.randbytes(len(log) - cut)))
        (torn / "treadle.db-wal").write_bytes(log[:cut] + rest)
        found.add(sum(lengths(torn / "treadle.db").values()))
        shutil.rmtree(torn)
    assert len(found) > 1


def test_another_process_is_locked_out_until_the_first_one_dies(tmp_path: Path) -> None:
    path = tmp_path / "treadle.db"
    with committing(path) as process:
        lines = lines_of(process)
        assert [next(lines), next(lines).split()[1]] == ["opening\n", "2"]
        with pytest.raises(Locked, match=f"Process {process.pid} already works on the store in {tmp_path}"):
            lengths(path)
        process.kill()
        process.wait()
        assert lengths(path)

"""A distributed Map over a file, its process killed with SIGKILL again and again: what was done is not done again."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kill_map_run import AT_ONCE, NAME, machine

from treadle.runtime.machines import execution_arn
from treadle.runtime.ports import Summary
from treadle.stores import SqliteStore

ROWS = 2_600
KILLS = (300, 1_500)
"""After how many calls: at the first the reader has more, at the second it has been read to its end."""
PATIENCE = 120.0


def calls(folder: Path) -> list[str]:
    """The executions whose task was called, in that order."""
    ledger = folder / "ledger"
    return ledger.read_text().splitlines() if ledger.exists() else []


def begun(folder: Path, kind: str) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("kill_map_run.py")
    return subprocess.Popen([sys.executable, str(script), str(folder), kind])


async def summaries(folder: Path) -> list[Summary]:
    """All that a store of a dead process keeps."""
    store = SqliteStore(folder / "treadle.db")
    await store.open()
    try:
        return [each async for each in store.every()]
    finally:
        await store.close()


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_rows_that_are_done_are_not_done_again(kind: str, tmp_path: Path) -> None:
    rows = [{"id": str(number), "text": f"row {number}"} for number in range(ROWS)]
    (tmp_path / "rows.csv").write_text("\n".join(["id,text", *(f"{row['id']},{row['text']}" for row in rows)]))
    deadline = time.monotonic() + PATIENCE
    done: set[str] = set()
    for count in KILLS:
        process, before = begun(tmp_path, kind), len(calls(tmp_path))
        while len(calls(tmp_path)) < count:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert not done & set(calls(tmp_path)[before:])
        kept = asyncio.run(summaries(tmp_path))
        done = {each.arn for each in kept if each.map_run_arn and each.status == "SUCCEEDED"}
        assert len(done) > count / 2
    before = len(calls(tmp_path))
    assert begun(tmp_path, kind).wait(PATIENCE) == 0
    assert not done & set(calls(tmp_path)[before:])

    [parent] = [each for each in asyncio.run(summaries(tmp_path)) if each.member is None]
    assert (parent.arn, parent.status) == (execution_arn(machine(tmp_path, kind).arn, NAME), "SUCCEEDED"), parent.cause
    # Only what was under way when a process died.
    assert ROWS <= len(calls(tmp_path)) <= ROWS + len(KILLS) * AT_ONCE
    assert len(set(calls(tmp_path))) == ROWS
    [place] = tmp_path.glob("out/*/manifest.json")
    files = json.loads(place.read_text())["ResultFiles"]
    assert (files["FAILED"], files["PENDING"]) == ([], [])
    [file] = files["SUCCEEDED"]
    assert [json.loads(each["Output"]) for each in json.loads((tmp_path / file["Key"]).read_text())] == rows

"""However the process that runs functions ends, nothing of them lives on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HANDLER = """
import os, subprocess, sys
def handler(event, context):
    if event:
        child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
        with open(event, "w") as told: told.write(f"{os.getpid()} {child.pid}")
        while True: pass
    return os.getpid()
"""

# Has two processes that are idle and one that is busy, with a child; prints who they are, and ends as it is told.
PARENT = """
import asyncio, json, os, pathlib, sys
from treadle.functions import FunctionSpec, ProcessFunctions

async def main(folder):
    spec = FunctionSpec("fn", "fn.handler", folder, "python3.11", timeout=600)
    functions = ProcessFunctions({"fn": spec})
    told = folder / "told"
    os.mkfifo(told)
    idle, idle_too = await asyncio.gather(functions.invoke("fn", b"0"), functions.invoke("fn", b"0"))
    running = asyncio.create_task(functions.invoke("fn", json.dumps(str(told)).encode()))
    busy, child = (await asyncio.to_thread(told.read_text)).split()
    guard = functions._guard._process.pid
    print(json.dumps([int(each) for each in (idle.payload, idle_too.payload, busy, child, guard)]), flush=True)
    {ending}
    await running

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("os._exit(3)", 3),
        ("sys.exit(4)", 4),
        ("running.cancel()", 1),
    ],
)
def test_no_process_outlives_us(ending: str, status: int, tmp_path: Path, ends: Any) -> None:
    (tmp_path / "fn.py").write_text(HANDLER)
    parent = subprocess.run(
        [sys.executable, "-c", PARENT.replace("{ending}", ending), tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert parent.returncode == status
    processes = json.loads(parent.stdout)
    assert len(set(processes)) >= 4
    assert [each for each in processes if not ends(each)] == []


def test_a_guard_that_was_killed_is_replaced(tmp_path: Path, ends: Any) -> None:
    (tmp_path / "fn.py").write_text(HANDLER)
    replaced = """
    import signal
    os.kill(guard, signal.SIGKILL)
    running.cancel()
    await functions._guard._process.wait()
    functions.put(FunctionSpec("fn", "fn.handler", folder, "python3.11"))
    await functions.invoke("fn", b"0")
    print(functions._guard._process.pid != guard, flush=True)
    os.kill(os.getpid(), 9)
    """.strip()
    parent = subprocess.run(
        [sys.executable, "-c", PARENT.replace("{ending}", replaced), tmp_path],
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    first, second = parent.stdout.splitlines()
    assert second == b"True"
    assert [each for each in json.loads(first) if not ends(each)] == []

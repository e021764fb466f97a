"""Real processes, killed with SIGKILL at random moments: nothing acknowledged is lost, nothing stands still, and no
call is made twice but where its process died between the call and the commit of its result.

TREADLE_DEEP=1 kills 200 times instead of 20, and tells how far it has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from kill_workload import DEFINITIONS, FAILURES, MACHINES, machine_arn

from treadle.language.compile import compile_definition
from treadle.language.plan import Plan
from treadle.machine.commands import RunTask
from treadle.machine.execution import Execution
from treadle.machine.journal import Entry
from treadle.machine.map_events import Counts
from treadle.runtime.machines import execution_arn, processor_of
from treadle.runtime.ports import Summary
from treadle.stores import SqliteStore
from treadle.testing.checker import check_journal

DEEP = os.environ.get("TREADLE_DEEP") == "1"
KILLS = 200 if DEEP else 20
LIFE = 1.2
"""The longest life of a process that will be killed, in seconds. Reading in the code takes some of it."""
BURST = 0.6
"""The longest life in a burst: killed again while it takes up what the last one left."""
STARTS_PER_LIFE = 4
PATIENCE = 60.0
"""How long everything may take to end when nobody is killed any more."""

INPUTS: dict[str, Any] = {
    name: {"items": [1, 2, 3, 4, 5]} if name in ("mapping", "spreading") else {"n": 1} for name in DEFINITIONS
}
ENDS: dict[str, tuple[str, Any]] = {
    "retrying": ("SUCCEEDED", {"n": 1}),
    "mapping": ("SUCCEEDED", [1, 2, 3, 4, 5]),
    "spreading": ("SUCCEEDED", [1, 2, 3, 4, 5]),
    "asking": ("SUCCEEDED", "yes"),
    "nesting": ("SUCCEEDED", "both"),
    "working": ("SUCCEEDED", {"n": 1}),
    "failing": ("FAILED", None),
}


class Life:
    """One process, from its start to its death."""

    def __init__(self, folder: Path) -> None:
        script = Path(__file__).with_name("kill_workload.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.born = time.monotonic()
        self.words: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            # The last line of a killed process may be half a line: then nothing was acknowledged by it.
            if line.endswith("\n"):
                self.words.put(json.loads(line))

    def order(self, **words: Any) -> None:
        """Give an order; one that does not arrive is given to the next process again."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(words) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            assert self.process.wait() == -signal.SIGKILL

    def hear(self, until: float) -> Iterator[dict[str, Any]]:
        """What it says until a moment."""
        while (left := until - time.monotonic()) > 0:
            try:
                yield self.words.get(timeout=min(left, 0.02))
            except queue.Empty:
                assert self.process.poll() is None, "it must not end by itself"
                yield {}

    def kill(self) -> float:
        """Kill it; gives the time at which it is certainly dead."""
        self.process.kill()
        return self._over(-signal.SIGKILL)

    def end(self) -> None:
        """Have it end by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._over(0)

    def _over(self, status: int) -> float:
        assert self.process.wait(PATIENCE) == status
        moment = time.time()
        self._listening.join()
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdout.close()
        # An order may have been under way when it died.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return moment


@dataclass
class Parent:
    """Starts executions, answers callbacks, kills, and remembers what was promised to it."""

    folder: Path
    luck: random.Random
    wanted: dict[str, str] = field(default_factory=dict)  # machine by name of execution
    acknowledged: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    deaths: list[float] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    position: int = 0

    def live(self, longest: float) -> None:
        """Let a process live for a while, and kill it."""
        for _ in range(STARTS_PER_LIFE):
            machine = self.luck.choice(list(DEFINITIONS))
            self.wanted[f"{machine}-{len(self.wanted)}"] = machine
        life = Life(self.folder)
        self.attend(life, life.born + self.luck.uniform(0, longest))
        self.deaths.append(life.kill())
        while not life.words.empty():
            self.take(life, life.words.get())

    def attend(self, life: Life, until: float, ended: bool = False) -> bool:
        """Give orders and take answers; with `ended`, until all executions have."""
        asked: set[str] = set()
        for words in life.hear(until):
            self.take(life, words)
            for token in self.requests() - self.answered - asked:
                asked.add(token)
                life.order(answer=token, output="yes")
            if words.get("ended"):
                return True
            if ended and self.acknowledged == self.wanted.keys():
                ended = False
                life.order(ended=[self.arn(name) for name in self.wanted])
        return False

    def take(self, life: Life, words: dict[str, Any]) -> None:
        """Remember what was acknowledged. Who is ready is told what is to be started, old and new."""
        match words:
            case {"ready": True}:
                for name in self.wanted.keys() - self.acknowledged:
                    machine = self.wanted[name]
                    life.order(start=machine, name=name, input=INPUTS[machine])
            case {"started": name}:
                self.acknowledged.add(name)
            case {"answered": token}:
                self.answered.add(token)
            case _:
                pass

    def requests(self) -> set[str]:
        """The tokens that have been sent out."""
        for line in self.read():
            if line["what"] == "end" and line["token"]:
                self.sent.add(line["token"])
        return self.sent

    def read(self) -> list[dict[str, Any]]:
        """What the processes have written since it was last read. Each line is one write, so none is cut off."""
        path = self.folder / "ledger"
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self.position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.position += len(whole)
        new = [json.loads(line) for line in whole.splitlines()]
        self.ledger += new
        return new

    def arn(self, name: str) -> str:
        return execution_arn(machine_arn(self.wanted[name]), name)


def test_killed_again_and_again_it_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def tell(words: str) -> None:
        if DEEP:
            with capfd.disabled():
                print(words, file=sys.stderr, flush=True)

    seed = int(os.environ.get("TREADLE_SEED") or random.SystemRandom().getrandbits(32))
    print(f"TREADLE_SEED={seed}")
    parent = Parent(tmp_path, random.Random(seed))
    while len(parent.deaths) < KILLS:
        # Every few lives a burst: killed again while it takes up what the last one left.
        parent.live(BURST if len(parent.deaths) % 10 in (3, 4, 5, 8) else LIFE)
        if len(parent.deaths) % 10 == 0:
            tell(f"killed {len(parent.deaths)} of {KILLS} times, {len(parent.acknowledged)} starts acknowledged")
    life = Life(tmp_path)
    assert parent.attend(life, time.monotonic() + PATIENCE, ended=True), "everything ends when nobody is killed"
    life.end()
    figures = asyncio.run(check(parent))
    tell(str(figures))
    assert figures["calls"] > KILLS and figures["executions"] >= len(parent.wanted)


# ---- what must be true at the end --------------------------------------------------------------------------------


async def check(parent: Parent) -> dict[str, int]:
    """Hold the store against what was acknowledged, and the ledger against the journals. Gives figures."""
    begun: defaultdict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    ended: Counter[tuple[str, int]] = Counter()
    parent.read()
    for line in parent.ledger:
        if line["what"] == "begin":
            begun[line["execution"], line["wait"]].append(line)
        elif line["what"] == "end":
            ended[line["execution"], line["wait"]] += 1
    plans = {machine.arn: compile_definition(machine.definition) for machine in MACHINES.values()}
    store = SqliteStore(parent.folder / "treadle.db")
    await store.open()
    try:
        found = {summary.arn: summary async for summary in store.every()}
        assert {parent.arn(name) for name in parent.acknowledged} <= found.keys(), "no acknowledged start is lost"
        calls = children = 0
        for summary in found.values():
            plan, journal = plans[summary.machine_arn.partition("/")[0]], await store.journal(summary.arn)
            assert await store.waits(summary.arn) == []
            if summary.is_map_run:
                items = summary.progress and summary.progress.items
                assert items == Counts(succeeded=5, total=5, results_written=5)
                continue
            if summary.member is not None:
                plan = processor_of(plan, summary.member)
            check_journal(journal, plan)
            if summary.member is None:
                check_end(summary, journal, plan)
            else:
                assert summary.status == "SUCCEEDED"
            for wait, task, result in tasks(journal, plan):
                if task.resource.startswith("arn:aws:states:::states:"):
                    assert [each.parent for each in found.values()].count((summary.arn, wait)) == 1
                    children += 1
                elif "activity" not in task.resource:
                    check_calls(begun.pop((summary.arn, wait)), result, parent.deaths)
                    assert ended[summary.arn, wait] >= 1, "a result comes from a call that ended"
                    calls += 1
        assert not begun, "no call is made that no journal wants"
    finally:
        await store.close()
    keys = [line["key"] for line in parent.ledger if line["what"] == "begin"]
    assert len(set(keys)) == calls, "each call has a key of its own"
    return {
        "kills": len(parent.deaths),
        "executions": len(found),
        "children": children,
        "calls": calls,
        "repeated": len(keys) - calls,
        "acknowledged": len(parent.acknowledged),
    }


def check_end(summary: Summary, journal: list[Entry], plan: Plan) -> None:
    """The execution ended as its machine does."""
    execution = Execution(plan)
    for entry in journal:
        execution.apply(entry)
    status, output = ENDS[summary.machine_arn.rpartition(":")[2]]
    told = (summary.status, execution.status, summary.length)
    assert told == (status, status, len(journal)), (summary.arn, summary.error, summary.cause)
    assert execution.output == output
    attempts = Counter(entry.type for entry in journal)
    if summary.machine_arn == machine_arn("retrying"):
        assert attempts["LambdaFunctionFailed"] == FAILURES


def tasks(journal: list[Entry], plan: Plan) -> Iterator[tuple[int, RunTask, Entry]]:
    """The tasks of an execution: the number of the wait, its last command, and the entry that settled it."""
    execution = Execution(plan)
    was: dict[int, Any] = {}
    for entry in journal:
        execution.apply(entry)
        now = execution.waits()
        for wait in was.keys() - now.keys():
            if isinstance(was[wait], RunTask):
                yield wait, was[wait], entry
        was = now


def check_calls(begins: list[dict[str, Any]], result: Entry, deaths: list[float]) -> None:
    """One call; or more, each after the death of the process that made the one before, and none after the result."""
    assert len({line["key"] for line in begins}) == 1, "the key is the same every time"
    assert len({line["process"] for line in begins}) == len(begins), "a process makes a call once"
    for one, other in pairwise(begins):
        assert any(one["at"] <= death <= other["at"] for death in deaths), "nobody died in the middle of this call"
        assert other["again"], "a repeated call says so"
    assert begins[-1]["at"] <= result.at, "no call is made after its result is known"

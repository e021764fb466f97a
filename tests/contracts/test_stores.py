"""Every store passes the contract, and whatever is done to one is done alike by the reference, the memory store."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from treadle.runtime.ports import Commit, Store, WaitRow
from treadle.stores import MemoryStore, SqliteStore
from treadle.testing.store_contract import RULES, Rule, name
from treadle.testing.store_samples import arn_of, commit_of, error_of, everything, wait_of, write

DEEP = os.environ.get("TREADLE_DEEP") == "1"


def memory(place: Path) -> Callable[[], Store]:
    store = MemoryStore()
    return lambda: store


def sqlite(place: Path) -> Callable[[], Store]:
    return lambda: SqliteStore(place / "treadle.db")


@pytest.mark.parametrize("kind", [memory, sqlite], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("rule", RULES, ids=name)
def test_stores_keep_the_contract(rule: Rule, kind: Callable[[Path], Callable[[], Store]], tmp_path: Path) -> None:
    asyncio.run(rule(kind(tmp_path)))


EXECUTIONS = st.sampled_from("abc")
MOMENTS = st.none() | st.integers(0, 9).map(float)
PHASES = st.sampled_from(("scheduled", "started"))


@st.composite
def waits(draw: st.DrawFn, execution: str, length: int) -> WaitRow:
    kind = draw(st.sampled_from(("call", "poll", "callback", "activity", "timer", "map_run")))
    return wait_of(
        execution,
        draw(st.integers(1, length)),
        kind,
        draw(MOMENTS),
        draw(MOMENTS),
        phase=draw(PHASES),
        topic=draw(st.sampled_from("xy")) if kind == "activity" else None,
        created_at=float(draw(st.integers(0, 3))),
    )


@st.composite
def commits(draw: st.DrawFn) -> Commit:
    """Commits that conflict often."""
    execution = draw(EXECUTIONS)
    expected, count = draw(st.integers(0, 4)), draw(st.integers(1, 2))
    return commit_of(
        execution,
        expected,
        count,
        draw(st.lists(waits(execution, expected + count), max_size=3)),
        draw(st.lists(st.integers(1, 5), max_size=3)),
        status=draw(st.sampled_from(("RUNNING", "FAILED"))),
        started_at=float(ord(execution) % 2),
        machine="even" if execution == "b" else "odd",
    )


class SameAsMemory(RuleBasedStateMachine):
    """Whatever is done to a store on disk and to one in memory, both say the same."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.memory = MemoryStore()
        self.disk = SqliteStore(self.folder / "treadle.db")
        self.runner.run(self.disk.open())

    def both(self, do: Callable[[Store], Coroutine[Any, Any, Any]]) -> None:
        assert self.runner.run(do(self.disk)) == self.runner.run(do(self.memory))

    @rule(commits=st.lists(commits(), min_size=1, max_size=8))
    def commit_together(self, commits: list[Commit]) -> None:
        async def do(store: Store) -> object:
            return await asyncio.gather(*(error_of(write(store, commit)) for commit in commits))

        self.both(do)

    @rule(execution=EXECUTIONS, wait=st.integers(1, 5), due=st.integers(0, 9))
    def heartbeat(self, execution: str, wait: int, due: int) -> None:
        self.both(lambda store: store.heartbeat(arn_of(execution), wait, float(due)))

    @rule(name=st.sampled_from("xy"), value=st.text(max_size=2))
    def keep(self, name: str, value: str) -> None:
        async def do(store: Store) -> object:
            await store.put_definition(name, value)
            return await store.setting(name, value.encode(errors="replace").decode()), await store.definition(name)

        self.both(do)

    @rule()
    def open_again(self) -> None:
        self.runner.run(self.disk.close())
        self.runner.run(self.disk.open())

    @rule(before=st.integers(0, 9), limit=st.integers(1, 5))
    def page_due(self, before: int, limit: int) -> None:
        async def do(store: Store) -> object:
            pages = [await store.due(float(before), limit)]
            while pages[-1] and len(pages) < 20:
                last = pages[-1][-1]
                assert last.moment is not None
                pages.append(await store.due(float(before), limit, (last.moment, last.arn, last.wait)))
            return pages

        self.both(do)

    @invariant()
    def all_listings_agree(self) -> None:
        async def do(store: Store) -> object:
            return (
                await everything(store),
                await store.due(5.0, 3),
                await store.open_calls(),
                await store.open_callbacks(),
                [await store.open_activities(topic, 3) for topic in "xy"],
                [await store.executions(machine) for machine in (None, "odd", "even")],
                await store.executions("odd", "RUNNING", 1),
                await store.executions(None, "FAILED"),
            )

        self.both(do)

    def teardown(self) -> None:
        self.runner.run(self.disk.close())
        self.runner.close()
        shutil.rmtree(self.folder)


TestSameAsMemory = SameAsMemory.TestCase
TestSameAsMemory.settings = settings(
    max_examples=300 if DEEP else 30, stateful_step_count=30, deadline=None, database=None, derandomize=not DEEP
)

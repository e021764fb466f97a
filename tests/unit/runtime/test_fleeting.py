"""Executions that are held in memory until they end, in front of a real store."""

from __future__ import annotations

from typing import Any

import pytest
from driving import Failing, run

from treadle.errors import Conflict, NotFound, StoreError, Unavailable
from treadle.runtime.fleeting import Fleeting
from treadle.runtime.ports import Commit
from treadle.stores import MemoryStore
from treadle.testing.store_samples import arn_of, commit_of, entries_of, summary_of, write

ARN = arn_of("a")


def test_nothing_is_written_before_the_end_and_then_everything() -> None:
    async def work() -> None:
        store = MemoryStore()
        view = Fleeting(store)
        view.add(ARN)
        await write(view.view, commit_of("a", 0, 2))
        await write(view.view, commit_of("a", 2, 1))
        assert view.holds(ARN)
        assert await view.journal(ARN) == entries_of(0, 3)
        assert await view.summary(ARN) == summary_of("a", 3)
        with pytest.raises(NotFound):
            await store.summary(ARN)
        await write(view.view, commit_of("a", 3, 1, status="SUCCEEDED"))
        assert not view.holds(ARN)
        for each in (view, store):
            assert await each.journal(ARN) == entries_of(0, 4)
            assert await each.summary(ARN) == summary_of("a", 4, "SUCCEEDED")

    run(work())


def test_others_are_written_as_they_come() -> None:
    async def work() -> None:
        store = MemoryStore()
        view = Fleeting(store)
        await write(view.view, commit_of("a", 0, 2))
        assert await store.journal(ARN) == entries_of(0, 2)
        assert (await view.view.executions()).executions == [summary_of("a", 2)]

    run(work())


def test_one_that_starts_anew_replaces_what_was_before() -> None:
    async def work() -> None:
        store = MemoryStore()
        await write(store, commit_of("a", 0, 5, status="FAILED"))
        view = Fleeting(store)
        view.add(ARN, before=5)
        with pytest.raises(NotFound):
            await view.summary(ARN)
        await write(view.view, commit_of("a", 0, 2))
        assert await store.summary(ARN) == summary_of("a", 5, "FAILED")
        await write(view.view, commit_of("a", 2, 1, status="SUCCEEDED"))
        assert await store.journal(ARN) == entries_of(0, 3)

    run(work())


def test_a_step_that_builds_on_another_place_is_refused() -> None:
    async def work() -> None:
        view = Fleeting(MemoryStore())
        view.add(ARN)
        await write(view.view, commit_of("a", 0, 2))
        with pytest.raises(Conflict):
            await write(view.view, commit_of("a", 1, 1))
        assert await view.journal(ARN) == entries_of(0, 2)

    run(work())


@pytest.mark.parametrize("written", [False, True])
def test_after_an_end_of_which_nobody_knows_whether_it_is_written_the_store_is_asked(written: bool) -> None:
    def plan(number: int, commit: Commit) -> tuple[StoreError, bool] | None:
        return (Unavailable("gone"), written) if number == 0 else None

    async def work() -> None:
        store: Any = Failing(MemoryStore(), plan)
        view = Fleeting(store)
        view.add(ARN)
        await write(view.view, commit_of("a", 0, 2))
        end = commit_of("a", 2, 1, status="SUCCEEDED")
        with pytest.raises(Unavailable):
            await write(view.view, end)
        assert (await view.summary(ARN)).status == ("SUCCEEDED" if written else "RUNNING")
        assert view.holds(ARN) == (not written)
        if not written:
            await write(view.view, end)
        assert await view.journal(ARN) == entries_of(0, 3)

    run(work())

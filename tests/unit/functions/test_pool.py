"""Which worker serves whom. Workers are plain names here: the pool knows nothing else of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.functions.pool import Pool


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_places_are_given_out_up_to_the_bound() -> None:
    async def scenario() -> None:
        pool = Pool[str](2, retire=lambda worker: None)
        assert [await pool.take("f"), await pool.take("g")] == [None, None]
        third = asyncio.ensure_future(pool.take("f"))
        await settle()
        assert not third.done()
        pool.left("g", None)
        assert await third is None

    run(scenario())


def test_the_worker_given_back_last_is_taken_first() -> None:
    async def scenario() -> None:
        pool = Pool[str](3, retire=lambda worker: None)
        for _ in range(3):
            await pool.take("f")
        for at, worker in enumerate(("a", "c", "b")):
            pool.give_back("f", worker, at)
        assert [await pool.take("f") for _ in range(3)] == ["b", "c", "a"]

    run(scenario())


def test_those_who_wait_are_served_in_turn() -> None:
    async def scenario() -> None:
        pool = Pool[str](1, retire=lambda worker: None)
        await pool.take("f")
        waiting = [asyncio.ensure_future(pool.take("f")) for _ in range(2)]
        await settle()
        pool.give_back("f", "a", 0)
        await settle()
        assert [each.done() for each in waiting] == [True, False]
        pool.give_back("f", "a", 0)
        assert [await each for each in waiting] == ["a", "a"]

    run(scenario())


def test_the_worker_idle_for_longest_makes_room_for_another_function() -> None:
    async def scenario() -> None:
        retired: list[str] = []
        pool = Pool[str](2, retire=retired.append)
        for _ in range(2):
            await pool.take("f")
        pool.give_back("f", "old", 1)
        pool.give_back("f", "young", 2)
        waiting = asyncio.ensure_future(pool.take("g"))
        await settle()
        assert retired == ["old"]
        pool.left("f", "old")
        assert await waiting is None

    run(scenario())


def test_a_function_without_a_worker_is_not_passed_over_for_ever() -> None:
    async def scenario() -> None:
        retired: list[str] = []
        pool = Pool[str](2, retire=retired.append)
        for _ in range(2):
            await pool.take("f")
        rare = asyncio.ensure_future(pool.take("g"))
        often = [asyncio.ensure_future(pool.take("f")) for _ in range(2)]
        await settle()
        pool.give_back("f", "a", 0)
        pool.give_back("f", "b", 0)
        # One is enough: the other goes on to work.
        assert retired == ["a"]
        pool.left("f", "a")
        assert await rare is None
        assert await often[0] == "b"
        often[1].cancel()

    run(scenario())


def test_a_worker_that_left_by_itself_is_not_handed_out() -> None:
    async def scenario() -> None:
        pool = Pool[str](1, retire=lambda worker: None)
        await pool.take("f")
        pool.give_back("f", "a", 0)
        pool.left("f", "a")
        assert await pool.take("f") is None

    run(scenario())


@pytest.mark.parametrize("granted", ["a", None])
def test_what_is_granted_to_somebody_who_has_just_gone_is_not_lost(granted: str | None) -> None:
    async def scenario() -> None:
        pool = Pool[str](1, retire=lambda worker: None)
        await pool.take("f")
        gone, next_one = (asyncio.ensure_future(pool.take("f")) for _ in range(2))
        await settle()
        if granted is None:
            pool.left("f", "a")
        else:
            pool.give_back("f", granted, 0)
        gone.cancel()
        assert await next_one == granted

    run(scenario())


def test_idle_workers_are_let_go_by_function_and_by_age() -> None:
    async def scenario() -> None:
        retired: list[str] = []
        pool = Pool[str](4, retire=retired.append)
        given_back = [("f", "f1", 1.0), ("g", "g2", 2.0), ("f", "f3", 3.0), ("g", "g4", 4.0)]
        for name, _, _ in given_back:
            await pool.take(name)
        for name, worker, at in given_back:
            pool.give_back(name, worker, at)
        assert pool.oldest() == 1.0
        pool.retire_idle(before=2.0)
        assert (retired, pool.oldest()) == (["f1", "g2"], 3.0)
        pool.retire_idle("f")
        assert retired == ["f1", "g2", "f3"]
        pool.retire_idle()
        assert (retired, pool.oldest()) == (["f1", "g2", "f3", "g4"], None)

    run(scenario())


def test_those_who_wait_can_be_told_that_there_is_nothing() -> None:
    async def scenario() -> None:
        pool = Pool[str](1, retire=lambda worker: None)
        await pool.take("f")
        waiting = [asyncio.ensure_future(pool.take("f")) for _ in range(2)]
        await settle()
        pool.refuse(OSError("closed"))
        for each in waiting:
            with pytest.raises(OSError, match="closed"):
                await each

    run(scenario())


@given(st.lists(st.sampled_from(["f", "g", "h"]), max_size=40), st.integers(1, 4), st.data())
def test_everybody_is_served_and_the_bound_holds(names: list[str], places: int, data: st.DataObject) -> None:
    async def scenario() -> None:
        leaving: list[tuple[str, str]] = []
        owner: dict[str, str] = {}
        pool = Pool[str](places, retire=lambda worker: leaving.append((owner[worker], worker)))
        alive = served = 0
        holding: list[tuple[str, str]] = []

        async def serve(name: str) -> None:
            nonlocal alive
            worker = await pool.take(name)
            if worker is None:
                alive += 1
                worker = f"{name}{len(owner)}"
                owner[worker] = name
            assert owner[worker] == name
            assert alive <= places
            holding.append((name, worker))

        tasks = [asyncio.ensure_future(serve(name)) for name in names]
        while served < len(names):
            await settle()
            assert holding or leaving, "nobody can go on"
            if holding and (not leaving or data.draw(st.booleans())):
                name, worker = holding.pop(data.draw(st.integers(0, len(holding) - 1)))
                served += 1
                pool.give_back(name, worker, served)
            else:
                alive -= 1
                pool.left(*leaving.pop(0))
        await asyncio.gather(*tasks)

    run(scenario())

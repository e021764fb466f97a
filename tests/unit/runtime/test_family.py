"""A view of a store shows an engine its own executions and their children, and nothing of the others."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from treadle.runtime.engine import Engine
from treadle.runtime.family import Family
from treadle.runtime.machines import StateMachine
from treadle.runtime.offline import Parked
from treadle.runtime.ports import Commit
from treadle.stores import MemoryStore

CALL = {
    "Type": "Task",
    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
    "TimeoutSeconds": 9,
    "End": True,
}
MACHINE = StateMachine(
    arn="arn:aws:states:us-east-1:123456789012:stateMachine:m",
    name="m",
    definition=json.dumps({"StartAt": "A", "States": {"A": CALL}}),
    role_arn="r",
)


async def filled() -> tuple[MemoryStore, list[str]]:
    """A store with three executions that call something: a, its child, and b."""
    store = MemoryStore()
    async with Engine(store, {"lambda": Parked()}) as engine:
        a = await engine.start(MACHINE, {}, "a")
        child = await engine.start(MACHINE, {}, "child", parent=(a.arn, 3))
        b = await engine.start(MACHINE, {}, "b")
    return store, [a.arn, child.arn, b.arn]


def test_only_the_family_is_taken_up_again() -> None:
    async def body() -> None:
        store, (a, child, b) = await filled()
        family = Family(store)
        family.add(a)
        assert [row.arn for row in await family.open_calls()] == [a, child]
        assert [row.arn for row in await family.open_calls(limit=1)] == [a]
        assert [row.arn for row in await family.due(1e12)] == [a, child]
        assert [await family.has(each) for each in (a, child, b, "arn:nobody")] == [True, True, False, False]
        other = Family(store)
        other.add(b)
        assert [row.arn for row in await other.open_calls(limit=1)] == [b]
        assert [row.arn for row in await other.due(1e12, limit=1)] == [b]
        assert await Family(store).open_calls() == []
        assert await Family(store).due(1e12) == []

    asyncio.run(body())


def test_commits_are_seen_once_they_are_durable() -> None:
    async def body() -> None:
        store = MemoryStore()
        seen: list[tuple[str, int]] = []

        def watch(commit: Commit) -> None:
            journal: Any = store._executions[commit.summary.arn].journal
            seen.append((commit.summary.name, len(journal)))

        async with Engine(Family(store, watch).view, {"lambda": Parked()}) as engine:
            await engine.start(MACHINE, {}, "a")
        assert seen == [("a", 4)]

    asyncio.run(body())

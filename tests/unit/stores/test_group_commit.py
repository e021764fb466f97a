from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from treadle.errors import Conflict, Unavailable
from treadle.stores.group_commit import GroupCommit, Work


class Database:
    """A database whose writer can be held up, so that what comes in meanwhile is one group."""

    def __init__(self, path: Path, check: Callable[[], None]) -> None:
        self.path = path
        self.statements: list[str] = []
        self.rollbacks = 0
        self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        self.connection.set_trace_callback(self.statements.append)
        self.writer = GroupCommit(self.connection, check, self.rolled_back)

    def rolled_back(self) -> None:
        self.rollbacks += 1

    def rows(self) -> list[int]:
        """What another connection sees."""
        with closing(sqlite3.connect(self.path)) as connection:
            return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]

    async def together(self, *works: Work) -> list[Any]:
        """The outcomes of a group."""
        begun, goes_on = threading.Event(), threading.Event()

        def hold_up(connection: sqlite3.Connection) -> None:
            begun.set()
            goes_on.wait()

        held_up = asyncio.create_task(self.writer.do(hold_up))
        while not begun.is_set():
            await asyncio.sleep(0)
        doing = [asyncio.create_task(self.writer.do(work)) for work in works]
        await asyncio.sleep(0)
        self.statements.clear()
        goes_on.set()
        await held_up
        return await asyncio.gather(*doing, return_exceptions=True)


def nothing() -> None:
    pass


@contextmanager
def database(folder: Path, check: Callable[[], None] = nothing) -> Iterator[Database]:
    opened = Database(folder / "some.db", check)
    try:
        yield opened
    finally:
        opened.writer.close()
        opened.connection.close()


def insert(n: object) -> Work:
    def work(connection: sqlite3.Connection) -> object:
        connection.execute("INSERT INTO t VALUES (?)", (n,))
        return n

    return work


def conflict(connection: sqlite3.Connection) -> None:
    raise Conflict("no")


def test_what_waits_goes_together_into_one_transaction(tmp_path: Path) -> None:
    with database(tmp_path) as some:
        assert asyncio.run(some.together(*map(insert, range(50)))) == list(range(50))
        assert some.statements.count("BEGIN IMMEDIATE") == 1
        assert some.rows() == list(range(50))


def test_a_conflict_fails_alone_in_the_same_transaction(tmp_path: Path) -> None:
    with database(tmp_path) as some:
        outcomes = asyncio.run(some.together(insert(1), conflict, insert(2)))
        assert (outcomes[0], type(outcomes[1]), outcomes[2]) == (1, Conflict, 2)
        assert some.statements.count("BEGIN IMMEDIATE") == 1
        assert some.rows() == [1, 2]


@pytest.mark.parametrize("bad", [1, "no integer", "\ud800"], ids=["twice", "type", "surrogate"])
def test_what_cannot_be_written_fails_alone(bad: object, tmp_path: Path) -> None:
    with database(tmp_path) as some:
        outcomes = asyncio.run(some.together(insert(1), insert(bad), insert(2)))
        assert (outcomes[0], outcomes[2]) == (1, 2)
        assert isinstance(outcomes[1], sqlite3.Error | ValueError)
        assert some.rows() == [1, 2]
        assert some.rollbacks == 2  # of the group, and of the bad one alone


def test_what_is_done_is_durable_before_its_caller_goes_on(tmp_path: Path) -> None:
    async def check(some: Database) -> None:
        for n in range(20):
            await some.writer.do(insert(n))
            assert some.rows() == list(range(n + 1))

    with database(tmp_path) as some:
        asyncio.run(check(some))


def test_a_group_wakes_its_event_loop_once(tmp_path: Path) -> None:
    class CountingLoop(asyncio.SelectorEventLoop):
        woken = 0

        def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> Any:
            self.woken += 1
            return super().call_soon_threadsafe(*args, **kwargs)

    with database(tmp_path) as some, closing(CountingLoop()) as loop:
        loop.run_until_complete(some.together(*map(insert, range(50))))
        assert loop.woken == 2  # for the one that held up the writer, and for the group


def test_each_caller_goes_on_in_its_own_event_loop(tmp_path: Path) -> None:
    async def insert_some(first: int) -> list[Any]:
        return await asyncio.gather(*(some.writer.do(insert(n)) for n in range(first, first + 100)))

    outcomes: dict[int, list[Any]] = {}

    def run(first: int) -> None:
        outcomes[first] = asyncio.run(insert_some(first))

    with database(tmp_path) as some:
        threads = [threading.Thread(target=run, args=(first,)) for first in (0, 1000, 2000, 3000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == {first: list(range(first, first + 100)) for first in (0, 1000, 2000, 3000)}


def test_callers_that_were_cancelled_or_whose_loop_is_closed_hold_nobody_up(tmp_path: Path) -> None:
    goes_on = threading.Event()

    async def leave() -> None:
        waiting = [asyncio.create_task(some.writer.do(lambda connection: goes_on.wait()))]
        waiting += [asyncio.create_task(some.writer.do(insert(n))) for n in range(3)]
        await asyncio.sleep(0)
        # The end of the loop cancels them all.

    async def go_on() -> object:
        doing = asyncio.create_task(some.writer.do(insert(9)))
        goes_on.set()
        return await doing

    with database(tmp_path) as some:
        asyncio.run(leave())
        assert asyncio.run(go_on()) == 9
        assert some.rows() == [0, 1, 2, 9]


def test_closing_finishes_what_was_begun_and_takes_nothing_more(tmp_path: Path) -> None:
    async def check() -> None:
        doing = [asyncio.create_task(some.writer.do(insert(n))) for n in range(100)]
        await asyncio.sleep(0)
        await asyncio.to_thread(some.writer.close)
        assert await asyncio.gather(*doing) == list(range(100))
        with pytest.raises(Unavailable, match="closed"):
            await some.writer.do(insert(100))

    with database(tmp_path) as some:
        asyncio.run(check())
        assert some.rows() == list(range(100))
        some.writer = GroupCommit(some.connection, nothing, nothing)


def test_nothing_is_written_while_the_check_fails(tmp_path: Path) -> None:
    failing = [True]

    def check() -> None:
        if failing:
            raise Unavailable("the disk is elsewhere")

    async def insert_some() -> list[Any]:
        return await asyncio.gather(*(some.writer.do(insert(n)) for n in range(3)), return_exceptions=True)

    with database(tmp_path, check) as some:
        assert [type(outcome) for outcome in asyncio.run(insert_some())] == [Unavailable] * 3
        assert some.rows() == []
        failing.clear()
        assert asyncio.run(insert_some()) == [0, 1, 2]


def test_while_another_program_holds_the_file_a_group_waits_once(tmp_path: Path) -> None:
    async def insert_some() -> list[Any]:
        return await asyncio.gather(*(some.writer.do(insert(n)) for n in range(50)), return_exceptions=True)

    with database(tmp_path) as some:
        some.connection.execute("PRAGMA busy_timeout = 50")
        with closing(sqlite3.connect(some.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            outcomes = asyncio.run(insert_some())
        assert {str(outcome) for outcome in outcomes} == {"database is locked"}
        assert some.statements.count("BEGIN IMMEDIATE") < 10
        assert asyncio.run(insert_some()) == list(range(50))

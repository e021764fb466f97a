from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from treadle.errors import Conflict, Corrupt, Locked, StoreError, Unavailable
from treadle.runtime.ports import Commit, WaitKind
from treadle.stores import SqliteStore, queries
from treadle.stores.schema import MIGRATIONS
from treadle.testing.store_samples import (
    TOPIC,
    arn_of,
    commit_of,
    entries_of,
    error_of,
    everything,
    opened,
    summary_of,
    wait_of,
    write,
)

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders" / "treadle.db"


def with_store(path: Path, do: Callable[[SqliteStore], Coroutine[Any, Any, Any]]) -> Any:
    """What `do` gives for a store that is open."""

    async def run() -> Any:
        async with opened(lambda: SqliteStore(path)) as store:
            assert isinstance(store, SqliteStore)
            return await do(store)

    return asyncio.run(run())


def fill(path: Path, *executions: str) -> None:
    """Executions with three commits of two entries each, and a wait open since the first and the last."""

    async def do(store: SqliteStore) -> None:
        for execution in executions:
            for expected, wait in ((0, 1), (2, 1), (4, 6)):
                await write(store, commit_of(execution, expected, 2, [wait_of(execution, wait, "call")]))
            await store.put_definition("sha256:1", "{}")

    with_store(path, do)


def change(path: Path, *statements: str) -> None:
    """Change what a closed store holds, behind its back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


# ---- one process at a time ---------------------------------------------------------------------------------------


def test_a_second_store_on_the_same_file_is_told_at_once_who_has_it(path: Path) -> None:
    async def open_another(store: SqliteStore) -> str:
        with pytest.raises(Locked) as caught:
            await SqliteStore(path).open()
        assert await error_of(write(store, commit_of("a", 0))) is None
        return str(caught.value)

    told = with_store(path, open_another)
    assert str(path.parent) in told
    assert f"Process {os.getpid()}" in told
    assert "a folder of its own" in told
    with_store(path, everything)


def test_a_store_that_cannot_be_opened_lets_go_of_its_lock(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    for _ in range(2):
        with pytest.raises(Corrupt, match="no database"):
            with_store(path, everything)
    path.unlink()
    assert with_store(path, everything) == {}


def test_a_closed_store_says_so_and_may_be_opened_again(path: Path) -> None:
    async def check() -> None:
        store = SqliteStore(path)
        for _ in range(2):
            assert await error_of(write(store, commit_of("a", 0))) is Unavailable
            assert await error_of(store.executions()) is Unavailable
            await store.close()
        for length in range(3):
            await store.open()
            assert await error_of(write(store, commit_of("a", length))) is None
            await store.close()

    asyncio.run(check())


def test_closing_finishes_the_commits_that_were_begun(path: Path) -> None:
    async def check() -> None:
        store = SqliteStore(path)
        await store.open()
        commits = [asyncio.create_task(write(store, commit_of(str(n), 0))) for n in range(100)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*commits)

    asyncio.run(check())
    assert len(with_store(path, everything)) == 100


# ---- what stands in the way --------------------------------------------------------------------------------------


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process can grow beyond this size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_what_was_acknowledged_stays_and_the_store_goes_on_when_there_is_room(path: Path) -> None:
    async def check(store: SqliteStore) -> None:
        acknowledged, failures = 0, 0
        with file_size_limit(1_000_000):
            for _ in range(100):
                error = await error_of(write(store, commit_of("a", acknowledged, value="x" * 20_000)))
                assert error in (None, Unavailable)
                acknowledged += error is None
                failures += error is Unavailable
            assert acknowledged > 5
            assert failures > 5
            assert await store.journal(arn_of("a")) == entries_of(0, acknowledged, "x" * 20_000)
        await write(store, commit_of("a", acknowledged, value="x" * 20_000))
        assert (await store.summary(arn_of("a"))).length == acknowledged + 1

    with_store(path, check)
    assert with_store(path, lambda store: error_of(store.journal(arn_of("a")))) is None


def test_a_commit_that_does_not_fit_on_the_disk_fails_alone(path: Path) -> None:
    async def check(store: SqliteStore) -> list[type[StoreError] | None]:
        with file_size_limit(1_000_000):
            large = commit_of("large", 0, value="x" * 3_000_000)
            small = [commit_of(str(n), 0) for n in range(20)]
            commits = [*small[:10], large, *small[10:]]
            return await asyncio.gather(*(error_of(write(store, commit)) for commit in commits))

    assert with_store(path, check) == [None] * 10 + [Unavailable] + [None] * 10
    assert len(with_store(path, everything)) == 20


@contextmanager
def without_privileges() -> Iterator[None]:
    """The rights of files hold for this process too, even where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "remedy"),
    [(0o555, 0o444, "the right to write the folder"), (0o777, 0o444, "the right to write")],
    ids=["folder", "file"],
)
def test_what_is_read_only_is_named_with_the_remedy(folder_mode: int, file_mode: int, remedy: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        fill(place / "treadle.db", "a")
        (place / "treadle.db.lock").unlink()
        (place / "treadle.db").chmod(file_mode)
        place.chmod(folder_mode)
        with without_privileges(), pytest.raises(Unavailable, match=remedy) as caught:
            with_store(place / "treadle.db", everything)
        place.chmod(0o777)
        assert folder in str(caught.value)


def test_a_folder_that_cannot_be_made_is_named(path: Path) -> None:
    path.parent.write_text("a file")
    with pytest.raises(Unavailable, match=str(path)):
        with_store(path, everything)


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_nothing_is_acknowledged_once_the_files_are_gone(path: Path, ending: str) -> None:
    async def check(store: SqliteStore) -> None:
        await write(store, commit_of("a", 0))
        path.with_name(path.name + ending).unlink()
        with pytest.raises(Unavailable, match="moved, deleted or replaced"):
            await write(store, commit_of("a", 1))

    with_store(path, check)


# ---- what is written ---------------------------------------------------------------------------------------------


def test_a_step_writes_the_summary_only_where_it_says_something_new(path: Path) -> None:
    fill(path, "a")
    with closing(sqlite3.connect(path)) as connection:
        ((least,),) = connection.execute("SELECT least FROM executions")
    assert least == 2

    async def check(store: SqliteStore) -> None:
        assert (await store.summary(arn_of("a"))).length == 6
        assert [each.length for each in (await store.executions()).executions] == [6]
        assert await error_of(write(store, commit_of("a", 2))) is Conflict
        await write(store, commit_of("a", 6, status="FAILED"))
        assert await store.summary(arn_of("a")) == summary_of("a", 7, "FAILED")

    with_store(path, check)


# ---- damage ------------------------------------------------------------------------------------------------------

FLIP = "CAST(substr({0}, 1, 9) || x'ff' || substr({0}, 11) AS BLOB)"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (
            f"UPDATE journal SET entries = {FLIP.format('entries')} WHERE rowid = 5",
            r"row 5 of .*:b \(entry 2, 2 in all\)",
        ),
        ("UPDATE journal SET entries = substr(entries, 1, 20) WHERE rowid = 5", r"row 5 of .*:b"),
        ("UPDATE journal SET entries = x'' WHERE rowid = 4", r"row 4 of .*:b"),
        ("UPDATE journal SET entries = (SELECT entries FROM journal WHERE rowid = 2) WHERE rowid = 5", r"row 5 .*:b"),
        ("UPDATE journal SET count = 1 WHERE rowid = 5", r"row 5 of .*:b .*there are 2"),
        ("UPDATE journal SET first = 3 WHERE rowid = 5", r"lacks entry 2 of .*:b: next comes row 5"),
        ("DELETE FROM journal WHERE rowid = 4", r"lacks entry 0 of .*:b: next comes row 5"),
        ("DELETE FROM journal WHERE rowid = 5", r"lacks entry 2 of .*:b: next comes row 6"),
        ("DELETE FROM journal WHERE rowid = 6", r"lacks the end of .*:b: there are 4 entries of 6"),
        ("DELETE FROM journal WHERE rowid > 3", r"lacks the end of .*:b: there are 0 entries of 6"),
    ],
)
def test_a_damaged_journal_is_noticed_and_named_and_left_alone(path: Path, damage: str, told: str) -> None:
    fill(path, "a", "b")
    change(path, damage)

    async def check(store: SqliteStore) -> None:
        for _ in range(2):
            with pytest.raises(Corrupt, match=told):
                await store.journal(arn_of("b"))
        assert await store.journal(arn_of("a")) == entries_of(0, 6)
        assert msgspec.structs.replace(await store.summary(arn_of("b")), length=6) == summary_of("b", 6)

    with_store(path, check)


def test_damage_elsewhere_is_noticed_and_named(path: Path) -> None:
    fill(path, "a")
    change(
        path,
        f"UPDATE waits SET command = {FLIP.format('command')}",
        f"UPDATE executions SET summary = {FLIP.format('summary')}",
        f"UPDATE definitions SET text = {FLIP.format('text')}",
    )

    async def check(store: SqliteStore) -> None:
        for reading, told in (
            (store.waits(arn_of("a")), f"wait 1 of {arn_of('a')}"),
            (store.open_calls(), f"wait 1 of {arn_of('a')}"),
            (store.summary(arn_of("a")), f"the summary of {arn_of('a')}"),
            (store.executions(), f"the summary of {arn_of('a')}"),
            (store.definition("sha256:1"), "the definition sha256:1"),
        ):
            with pytest.raises(Corrupt, match=told):
                await reading
        assert await store.journal(arn_of("a")) == entries_of(0, 6)

    with_store(path, check)


def test_a_file_with_a_newer_schema_is_refused_with_the_file_named(path: Path) -> None:
    fill(path, "a")
    change(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="use the treadle that wrote it"):
        with_store(path, everything)


# ---- queries look at nothing but what they give ------------------------------------------------------------------

MANY = 3_000


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with many executions and many more open waits of every kind, few of which a query gives."""
    path = tmp_path_factory.mktemp("crowded") / "treadle.db"

    async def do(store: SqliteStore) -> None:
        kinds: tuple[WaitKind, ...] = ("timer", "call", "callback", "activity")
        for number in range(10):
            rows = [
                wait_of(
                    str(number),
                    wait,
                    kinds[wait % 4],
                    1e6 + wait if wait % 3 else None,
                    1e5 + wait if wait % 5 == 0 else None,
                    phase="started" if wait % 8 == 3 else "scheduled",
                    topic=f"{TOPIC}-{wait % 7}" if wait % 4 == 3 else None,
                    created_at=float(wait),
                )
                for wait in range(1, MANY)
            ]
            await write(store, commit_of(str(number), 0, 1, rows))
        commits: list[Commit] = []
        for n in range(MANY):
            status = "FAILED" if n % 50 else "RUNNING"
            commits.append(commit_of(f"more-{n}", 0, started_at=float(n), machine=f"m{n % 3}", status=status))
        assert not any(await store.commit_all(commits))

    with_store(path, do)
    return path


CURSOR = (arn_of("5"), 1000)

QUERIES: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "due": lambda c: queries.due(c, 2e6, 10, None),
    "due, next page": lambda c: queries.due(c, 2e6, 10, (1e5 + 1000, *CURSOR)),
    "nothing due": lambda c: queries.due(c, 100.0, 10, None),
    "calls": lambda c: queries.calls(c, 10, None),
    "calls, next page": lambda c: queries.calls(c, 10, CURSOR),
    "callbacks": lambda c: queries.callbacks(c, 10, CURSOR),
    "activities": lambda c: queries.activities(c, f"{TOPIC}-3", 10),
    "no activities": lambda c: queries.activities(c, "unknown", 10),
    "one wait": lambda c: queries.wait(c, *CURSOR),
    "executions": lambda c: queries.executions(c, None, None, 10, arn_of("more-70")),
    "executions of a machine": lambda c: queries.executions(c, "m2", None, 10, arn_of("more-2000")),
    "executions by status": lambda c: queries.executions(c, None, "RUNNING", 10, arn_of("more-2000")),
    "executions of a machine by status": lambda c: queries.executions(c, "m2", "RUNNING", 10, arn_of("more-2000")),
    "executions of an unknown machine": lambda c: queries.executions(c, "m9", None, 10, None),
    "a page of all": lambda c: queries.every(c, 1000, 10),
    "a journal": lambda c: queries.journal(c, arn_of("more-70")),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_takes_steps_only_for_what_it_gives(query: Callable[[sqlite3.Connection], Any], crowded: Path) -> None:
    with closing(sqlite3.connect(crowded)) as connection:
        statements: list[str] = []
        steps = [0]

        def count() -> None:
            steps[0] += 1

        connection.set_trace_callback(statements.append)
        connection.set_progress_handler(count, 1)
        query(connection)
        connection.set_trace_callback(None)
        connection.set_progress_handler(None, 1)
        plan = [step for text in statements for step in plan_of(connection, text)]
    # Ten rows, each looked up in two tables, take some twenty instructions of SQLite each.
    assert steps[0] < 600, plan
    assert not [step for step in plan if "TEMP B-TREE" in step]
    assert not [step for step in plan if step.startswith("SCAN") and "INDEX" not in step]


def plan_of(connection: sqlite3.Connection, statement: str) -> list[str]:
    # An infinite parameter is traced as a word that SQL does not know.
    explained = connection.execute("EXPLAIN QUERY PLAN " + statement.replace("-Inf", "-9e999"))
    return [step for *_, step in explained]

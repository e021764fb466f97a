"""What every store does: the contract of `treadle.runtime.ports.Store` as rules that a test module runs.

    @pytest.mark.parametrize("rule", RULES, ids=name)
    def test_my_store(rule: Rule, tmp_path: Path) -> None:
        asyncio.run(rule(lambda: MyStore(tmp_path)))

A rule is given a function that makes a store; stores that it makes, one after the other, share what they keep. Must not
need a test framework. `pytest.register_assert_rewrite("treadle.testing.store_contract")` makes its failures speak.
Neighbour: store_samples.py, which has what the rules commit. Longer than 500 lines because the contract is one list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from treadle.errors import Conflict, NotFound
from treadle.language.scope import Json
from treadle.language.values import json_text
from treadle.machine.commands import Phase, Status
from treadle.machine.map_events import Counts, Progress
from treadle.runtime.ports import Commit, Document, Ends, Member, Store, WaitKind, WaitRow
from treadle.testing.store_samples import (
    MACHINE,
    TOPIC,
    Make,
    arn_of,
    child_of,
    commit_of,
    entries_of,
    error_of,
    everything,
    numbers,
    opened,
    run_arn,
    summary_of,
    task,
    wait_of,
    write,
)

Rule: TypeAlias = Callable[[Make], Awaitable[None]]

RULES: Final[list[Rule]] = []
"""The contract, rule by rule."""


def name(rule: Rule) -> str:
    """The rule as an identifier, for the report of a test run."""
    return getattr(rule, "__name__", repr(rule))


def _rule(rule: Rule) -> Rule:
    RULES.append(rule)
    return rule


# ---- commits -----------------------------------------------------------------------------------------------------


@_rule
async def what_is_committed_is_read_back(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 3))
        await write(store, commit_of("b", 0, 1))
        await write(store, commit_of("a", 3, 2, status="FAILED"))
        assert await store.journal(arn_of("a")) == entries_of(0, 5)
        assert await store.summary(arn_of("a")) == summary_of("a", 5, "FAILED")
        assert await store.journal(arn_of("b")) == entries_of(0, 1)


@_rule
async def every_member_of_a_summary_is_kept(make: Make) -> None:
    summary = msgspec.structs.replace(
        summary_of("a", 1, "FAILED"),
        stopped_at=1e9 + 0.25,
        error="Order.Lost",
        cause="\ud800 is half of a pair",
        redrives=2,
        redriven_at=1e9 + 0.5,
        input_digest="sha256:11",
        parent=(arn_of("parent"), 7),
        version_arn=MACHINE + ":3",
        alias_arn=MACHINE + ":live",
        member=Member(run_arn("r"), "Each"),
        progress=Progress(
            concurrency=3,
            tolerated_count=2**40,
            tolerated_percentage=12.5,
            items=Counts(pending=1, running=2, total=3),
            children=Counts(succeeded=7),
        ),
    )
    async with opened(make) as store:
        await write(store, Commit(0, entries_of(0, 1), summary))
        assert await store.summary(summary.arn) == summary


@_rule
async def what_nobody_committed_is_not_found(make: Make) -> None:
    async with opened(make) as store:
        arn = arn_of("nobody")
        assert await error_of(store.journal(arn)) is NotFound
        assert await error_of(store.summary(arn)) is NotFound
        assert await error_of(store.waits(arn)) is NotFound
        assert await error_of(store.executions(after=arn)) is NotFound
        assert await error_of(store.definition("sha256:nothing")) is NotFound
        assert await store.wait(arn, 1) is None
        assert not await store.heartbeat(arn, 1, 5.0)
        assert (await store.executions()).executions == []
        assert await everything(store) == {}


@_rule
async def a_commit_that_conflicts_changes_nothing(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 2, [wait_of("a", 1)]))
        before = await everything(store)
        for execution, expected in (("a", 0), ("a", 1), ("a", 3), ("unknown", 1)):
            commit = commit_of(execution, expected, 1, [wait_of(execution, 2)], [1], status="FAILED")
            assert await error_of(write(store, commit)) is Conflict
        assert await everything(store) == before
        assert await store.due(1e12) == []


@_rule
async def of_writers_who_build_on_the_same_journal_exactly_one_wins(make: Make) -> None:
    async with opened(make) as store:
        for expected in (0, 1):
            rivals = [commit_of("a", expected, 1, [wait_of("a", 10 * expected + rival)]) for rival in range(10)]
            outcomes = await asyncio.gather(*(error_of(write(store, commit)) for commit in rivals))
            assert sorted(outcomes, key=str) == [Conflict] * 9 + [None]
            assert numbers(await store.waits(arn_of("a")))[expected:] == [10 * expected + outcomes.index(None)]
        assert (await store.summary(arn_of("a"))).length == 2


@_rule
async def a_conflict_takes_no_other_commit_with_it(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("taken", 0))
        commits = [commit_of("taken" if number % 3 else str(number), 0) for number in range(60)]
        outcomes = await asyncio.gather(*(error_of(write(store, commit)) for commit in commits))
        assert outcomes == [Conflict if number % 3 else None for number in range(60)]
        assert len(await everything(store)) == 21


@_rule
async def a_commit_without_entries_changes_waits_and_summary(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 2, [wait_of("a", 1)]))
        await write(store, commit_of("a", 2, 0, [wait_of("a", 2)], [1], status="ABORTED"))
        assert await everything(store) == {
            arn_of("a"): (summary_of("a", 2, "ABORTED"), entries_of(0, 2), [wait_of("a", 2)])
        }


@_rule
async def a_journal_that_begins_anew_forgets_what_was_before(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 3))
        await write(store, commit_of("a", 3, 2, status="FAILED"))
        summary = summary_of("a", 2)
        assert await error_of(write(store, Commit(4, entries_of(7, 2), summary, anew=True))) is Conflict
        assert await store.journal(arn_of("a")) == entries_of(0, 5)
        await write(store, Commit(5, entries_of(7, 2), summary, anew=True))
        assert await store.journal(arn_of("a")) == entries_of(7, 2)
        assert await store.summary(arn_of("a")) == summary
        await write(store, commit_of("a", 2, 1))
        assert [piece async for piece in store.pieces(arn_of("a"))][-1][-1] == entries_of(2, 1)[0]


@_rule
async def a_journal_is_read_in_pieces(make: Make) -> None:
    async with opened(make) as store:
        for expected in range(0, 50, 5):
            await write(store, commit_of("a", expected, 5))
        pieces = [piece async for piece in store.pieces(arn_of("a"))]
        assert [entry for piece in pieces for entry in piece] == entries_of(0, 50)
        assert await error_of(anext(store.pieces(arn_of("nobody")))) is NotFound


@_rule
async def a_reader_sees_a_commit_whole_or_not_at_all(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 3))

        async def fill() -> None:
            for expected in range(3, 90, 3):
                await write(store, commit_of("a", expected, 3))

        writing = asyncio.create_task(fill())
        while not writing.done():
            assert len(await store.journal(arn_of("a"))) % 3 == 0
            await asyncio.sleep(0)
        await writing
        assert await store.journal(arn_of("a")) == entries_of(0, 90)


@_rule
async def hundreds_of_concurrent_commits_are_all_kept(make: Make) -> None:
    executions = [str(number) for number in range(200)]

    async def run(store: Store, execution: str) -> None:
        for step in range(10):
            await write(store, commit_of(execution, 2 * step, 2, [wait_of(execution, step + 1)], [step]))

    async with opened(make) as store:
        await asyncio.gather(*(run(store, execution) for execution in executions))
    async with opened(make) as store:
        assert await everything(store) == {
            arn_of(each): (summary_of(each, 20), entries_of(0, 20), [wait_of(each, 10)]) for each in executions
        }


@_rule
async def a_commit_whose_caller_was_cancelled_is_written_whole_or_not_at_all(make: Make) -> None:
    async with opened(make) as store:
        commits = [asyncio.create_task(write(store, commit_of(str(i), 0, 2, [wait_of(str(i), 1)]))) for i in range(50)]
        await asyncio.sleep(0)
        for commit in commits[::2]:
            commit.cancel()
        await asyncio.gather(*commits, return_exceptions=True)
        await write(store, commit_of("last", 0))
        kept = await everything(store)
        assert all(arn_of(str(i)) in kept for i in range(1, 50, 2))
        del kept[arn_of("last")]
        assert all((len(journal), numbers(waits)) == (2, [1]) for _, journal, waits in kept.values())


# ---- values ------------------------------------------------------------------------------------------------------

_VALUES: Final[tuple[Json, ...]] = (
    None,
    [True, 1, 1.0, "1", [], {}, ""],
    {"": 0, "Zoë 🦉 \x00 \n \u2028": "\U0010ffff\x7f"},
    ["\ud800", "\udfff\ud800", {"\udc00": "é"}],
    [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**400],
    [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1e22, 123456789.123456789],
    "x" * 262_144,
    {"0x": ["0x", "ff"], "[]": ["[]", 1], "{}": [["{}", 1], "\ud800"]},
    {str(number): [number] * 3 for number in range(5000)},
)


@_rule
async def a_value_comes_back_exactly_as_it_was(make: Make) -> None:
    async with opened(make) as store:
        for number, value in enumerate(_VALUES):
            row = WaitRow(arn=arn_of(str(number)), wait=1, kind="call", command=task(1, arguments=value))
            await write(store, commit_of(str(number), 0, 2, [row], value=value))
    async with opened(make) as store:
        for number, value in enumerate(_VALUES):
            # Unlike equality, the representation tells 1 from 1.0 from true, and one order of members from another.
            assert repr(await store.journal(arn_of(str(number)))) == repr(entries_of(0, 2, value))
            row = await store.wait(arn_of(str(number)), 1)
            assert row and repr(row.command) == repr(task(1, arguments=value))


@_rule
async def an_integer_may_have_any_number_of_digits(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 1, value=[10**5000, -(10**5000)]))
        assert await store.journal(arn_of("a")) == entries_of(0, 1, [10**5000, -(10**5000)])


@_rule
async def a_value_may_be_nested_to_any_depth(make: Make) -> None:
    # Around a thousand is where Python's own limit lies.
    depths = (100, *range(900, 1100, 7), 50_000)
    async with opened(make) as store:
        for depth in depths:
            value: Json = 1
            for level in range(depth):
                value = {"deeper": value} if level % 2 else [value]
            await write(store, commit_of(str(depth), 0, 1, value=value))
            [entry] = await store.journal(arn_of(str(depth)))
            assert json_text(entry.details["input"]) == json_text(entry.note["seen"]) == json_text(value)


@_rule
async def a_commit_may_have_as_many_entries_as_an_execution(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 25_000))
        await write(store, commit_of("a", 25_000, 1))
        assert await store.journal(arn_of("a")) == entries_of(0, 25_001)


# ---- waits -------------------------------------------------------------------------------------------------------


@_rule
async def every_kind_of_wait_comes_back_as_it_was(make: Make) -> None:
    rows = [
        wait_of("a", 1, "timer", 5.0),
        wait_of("a", 2, "call", phase="started", created_at=1e9 + 0.125),
        wait_of("a", 3, "poll", 7.5, 6.5, phase="submitted"),
        wait_of("a", 4, "callback", None, 6.0),
        wait_of("a", 5, "activity", 9.0, topic=TOPIC),
        wait_of("a", 6, "map_run"),
    ]
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 1, rows[::-1]))
        assert await store.waits(arn_of("a")) == rows
        assert [await store.wait(arn_of("a"), row.wait) for row in rows] == rows


@_rule
async def closing_a_wait_twice_or_one_that_was_never_open_changes_nothing(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 1, [wait_of("a", 1), wait_of("a", 2), wait_of("a", 3)]))
        await write(store, commit_of("b", 0, 1, [wait_of("b", 2)]))
        await write(store, commit_of("a", 1, 1, closed=[2, 2, 17]))
        await write(store, commit_of("a", 2, 1, closed=[2]))
        assert numbers(await store.waits(arn_of("a"))) == [1, 3]
        assert await store.wait(arn_of("a"), 2) is None
        assert not await store.heartbeat(arn_of("a"), 2, 1.0)
        assert numbers(await store.waits(arn_of("b"))) == [2]


@_rule
async def a_wait_that_is_opened_again_replaces_what_was_known_of_it(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 1, [wait_of("a", 1, "activity", 50.0, topic=TOPIC)]))
        taken = wait_of("a", 1, "activity", None, 8.0, phase="started", topic=TOPIC, created_at=3.0)
        await write(store, commit_of("a", 1, 1, [taken]))
        assert await store.waits(arn_of("a")) == await store.due(100.0) == [taken]
        callback = wait_of("a", 1, "callback")
        await write(store, commit_of("a", 2, 1, [callback], [1]))
        assert await store.waits(arn_of("a")) == await store.open_callbacks() == [callback]
        assert await store.due(100.0) == []


@_rule
async def a_heartbeat_moves_one_moment_and_nothing_else(make: Make) -> None:
    async with opened(make) as store:
        row = wait_of("a", 1, "callback", 50.0, 10.0)
        await write(store, commit_of("a", 0, 2, [row, wait_of("a", 2, "callback", 50.0, 10.0)]))
        assert await store.heartbeat(arn_of("a"), 1, 20.0)
        moved = msgspec.structs.replace(row, heartbeat_due=20.0)
        assert await store.wait(arn_of("a"), 1) == moved
        assert numbers(await store.due(15.0)) == [2]
        assert await store.due(20.0) == [await store.wait(arn_of("a"), 2), moved]
        assert (await store.summary(arn_of("a"))).length == 2
    async with opened(make) as store:
        assert await store.wait(arn_of("a"), 1) == moved


@_rule
async def due_waits_come_by_their_next_moment(make: Make) -> None:
    rows = [
        wait_of("a", 1, "timer", 5.0),
        wait_of("a", 2, "callback", 9.0, 3.0),
        wait_of("a", 3, "call", 4.0, 8.0),
        wait_of("a", 4, "callback", None, 6.0),
        wait_of("a", 5, "call"),
        wait_of("a", 6, "timer", 7.5),
        wait_of("a", 7, "timer", -1.0),
    ]
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 1, rows))
        assert numbers(await store.due(7.0)) == [7, 2, 3, 1, 4]
        assert numbers(await store.due(5.0)) == [7, 2, 3, 1]
        assert numbers(await store.due(7.0, 2)) == [7, 2]
        assert numbers(await store.due(float("inf"))) == [7, 2, 3, 1, 4, 6]
        assert await store.due(-2.0) == []
        await write(store, commit_of("a", 1, 1, closed=[2, 3]))
        assert numbers(await store.due(7.0)) == [7, 1, 4]


@_rule
async def due_waits_are_paged_through_without_missing_or_repeating_one(make: Make) -> None:
    async with opened(make) as store:
        for execution in "cab":
            rows = [wait_of(execution, wait, "timer", float(wait % 3)) for wait in range(1, 10)]
            await write(store, commit_of(execution, 0, 1, rows))
        whole = await store.due(1.0)
        assert len(whole) == 18
        assert [row.moment for row in whole] == [0.0] * 9 + [1.0] * 9
        for size in (1, 4, 18):
            assert await _paged(lambda rows, size=size: store.due(1.0, size, _after_moment(rows))) == whole


async def _paged(fetch: Callable[[Sequence[WaitRow]], Awaitable[list[WaitRow]]]) -> list[WaitRow]:
    """All pages together; `fetch` gives the page that follows the rows so far."""
    rows: list[WaitRow] = []
    while page := await fetch(rows):
        assert page[-1] not in rows, "a page repeats what another one gave"
        rows += page
    return rows


def _after_moment(rows: Sequence[WaitRow]) -> tuple[float, str, int] | None:
    if not rows:
        return None
    assert rows[-1].moment is not None
    return rows[-1].moment, rows[-1].arn, rows[-1].wait


def _after(rows: Sequence[WaitRow]) -> tuple[str, int] | None:
    return (rows[-1].arn, rows[-1].wait) if rows else None


_KINDS: Final[tuple[WaitKind, ...]] = ("call", "poll", "callback", "activity", "timer", "map_run")


@_rule
async def calls_and_callbacks_are_listed_and_paged_through(make: Make) -> None:
    async with opened(make) as store:
        for execution in "cab":
            rows = [wait_of(execution, wait, kind) for wait, kind in enumerate(_KINDS * 2, 1)]
            await write(store, commit_of(execution, 0, 1, rows))
        await write(store, commit_of("a", 1, 1, closed=[1, 3]))
        calls, callbacks = await store.open_calls(), await store.open_callbacks()
        assert _names(calls) == sorted(_each("a", 2, 6, 7, 8, 12) + _each("bc", 1, 2, 6, 7, 8, 12))
        assert _names(callbacks) == sorted(_each("a", 9) + _each("bc", 3, 9))
        for size in (1, 4):
            assert await _paged(lambda rows, size=size: store.open_calls(_after(rows), size)) == calls
            assert await _paged(lambda rows, size=size: store.open_callbacks(size, _after(rows))) == callbacks


def _names(rows: Sequence[WaitRow]) -> list[tuple[str, int]]:
    return sorted((row.arn, row.wait) for row in rows)


def _each(executions: str, *waits: int) -> list[tuple[str, int]]:
    return [(arn_of(execution), wait) for execution in executions for wait in waits]


@_rule
async def a_listing_goes_on_after_a_wait_that_was_closed_meanwhile(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 1, [wait_of("a", wait, "call", float(wait)) for wait in range(1, 5)]))
        await write(store, commit_of("a", 1, 1, closed=[2]))
        assert numbers(await store.open_calls((arn_of("a"), 2))) == [3, 4]
        assert numbers(await store.due(9.0, 10, (2.0, arn_of("a"), 2))) == [3, 4]


@_rule
async def activities_are_listed_by_topic_until_somebody_takes_them(make: Make) -> None:
    def activity(wait: int, created_at: float, topic: str = TOPIC, phase: Phase = "scheduled") -> WaitRow:
        return wait_of("a", wait, "activity", topic=topic, phase=phase, created_at=created_at)

    async with opened(make) as store:
        rows = [activity(1, 5.0), activity(2, 3.0), activity(3, 4.0, TOPIC + "-other"), activity(4, 5.0)]
        await write(store, commit_of("a", 0, 1, [*rows, activity(5, 1.0)]))
        assert numbers(await store.open_activities(TOPIC, 10)) == [5, 2, 1, 4]
        assert numbers(await store.open_activities(TOPIC, 2)) == [5, 2]
        await write(store, commit_of("a", 1, 1, [activity(2, 3.0, phase="started")], [1]))
        assert numbers(await store.open_activities(TOPIC, 10)) == [5, 4]
        assert numbers(await store.open_activities(TOPIC + "-other", 10)) == [3]
        assert await store.open_activities("unknown", 10) == []


# ---- executions --------------------------------------------------------------------------------------------------


@_rule
async def executions_are_listed_newest_first_by_machine_and_status(make: Make) -> None:
    other = MACHINE + "-other"
    async with opened(make) as store:
        for execution, started_at, machine in (
            ("a", 3.0, MACHINE),
            ("b", 1.0, MACHINE),
            ("c", 2.0, other),
            ("d", 3.0, MACHINE),
            ("e", 2.0, MACHINE),
        ):
            await write(store, commit_of(execution, 0, started_at=started_at, machine=machine))
        await write(store, commit_of("a", 1, started_at=3.0, status="SUCCEEDED"))
        await write(store, commit_of("b", 1, started_at=1.0, status="SUCCEEDED"))

        async def listed(machine: str | None = None, status: Status | None = None) -> str:
            whole = "".join(each.name for each in (await store.executions(machine, status)).executions)
            for size in (1, 2):
                page = await store.executions(machine, status, size)
                paged = "".join(each.name for each in page.executions)
                while page.next is not None and len(paged) < len(whole):
                    page = await store.executions(machine, status, size, page.next)
                    assert len(page.executions) in range(1, size + 1)
                    paged += "".join(each.name for each in page.executions)
                assert (paged, page.next) == (whole, None)
            return whole

        # Of executions that started at the same moment, the one that was committed last comes first.
        assert await listed() == "daecb"
        assert await listed(MACHINE) == "daeb"
        assert await listed(other) == "c"
        assert await listed(None, "RUNNING") == "dec"
        assert await listed(MACHINE, "RUNNING") == "de"
        assert await listed(MACHINE, "SUCCEEDED") == "ab"
        assert await listed(MACHINE, "FAILED") == await listed("unknown") == ""
        await write(store, commit_of("b", 2, started_at=1.0, status="RUNNING"))
        assert await listed(MACHINE, "RUNNING") == "deb"


@_rule
async def paging_is_not_disturbed_by_executions_that_start_meanwhile(make: Make) -> None:
    async with opened(make) as store:
        for number in range(6):
            await write(store, commit_of(str(number), 0, started_at=float(number)))
        first = await store.executions(limit=2)
        await write(store, commit_of("new", 0, started_at=9.0))
        second = await store.executions(limit=2, after=first.next)
        assert [each.name for each in (*first.executions, *second.executions)] == ["5", "4", "3", "2"]


@_rule
async def the_children_of_a_map_run_are_listed_with_it_and_nowhere_else(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("parent", 0))
        run = msgspec.structs.replace(summary_of("r", 1), arn=run_arn("r"), member=Member(run_arn("r"), "Each"))
        await write(store, Commit(0, entries_of(0, 1), run))
        for number in (2, 0, 1, 3):
            await write(store, child_of("r", number, "FAILED" if number == 1 else "SUCCEEDED"))
        await write(store, child_of("other", 0))
        assert [each.name for each in (await store.executions()).executions] == ["parent"]
        assert [each.name for each in (await store.executions(MACHINE)).executions] == ["parent"]
        assert len([each async for each in store.every()]) == 7

        async def listed(status: Status | None = None, run: str = "r") -> list[int | None]:
            whole = (await store.children(run_arn(run), status)).executions
            page = await store.children(run_arn(run), status, 1)
            paged = list(page.executions)
            while page.next is not None and len(paged) < len(whole):
                page = await store.children(run_arn(run), status, 1, page.next)
                paged += page.executions
            assert (paged, page.next) == (list(whole), None)
            return [each.member and each.member.child for each in whole]

        assert await listed() == [3, 2, 1, 0]
        assert await listed("SUCCEEDED") == [3, 2, 0]
        assert await listed("FAILED") == [1]
        assert await listed("RUNNING") == await listed(run="unknown") == []
        assert await listed(run="other") == [0]
        assert await error_of(store.children(run_arn("r"), after=arn_of("nobody"))) is NotFound


@_rule
async def the_results_of_a_map_run_come_in_the_order_of_its_children(make: Make) -> None:
    async with opened(make) as store:
        for number in (2, 0, 1):
            await write(store, child_of("r", number))
        await write(store, child_of("other", 0))
        done = msgspec.structs.replace(child_of("r", 1).summary, status="SUCCEEDED", length=5)
        await write(store, Commit(2, entries_of(2, 3, "end"), done))

        def ends(number: int) -> Ends:
            commit = child_of("r", number)
            return Ends(commit.summary, commit.entries[0], commit.entries[-1])

        expected = [ends(0), Ends(done, ends(1).first, entries_of(4, 1, "end")[0]), ends(2)]
        assert await store.results(run_arn("r")) == expected
        assert await store.results(run_arn("r"), 1) == expected[1:]
        assert await store.results(run_arn("r"), 0, 1) == expected[:1]
        assert await store.results(run_arn("r"), 3) == await store.results(run_arn("unknown")) == []


@_rule
async def every_execution_is_given_once(make: Make) -> None:
    async with opened(make) as store:
        await asyncio.gather(*(write(store, commit_of(str(number), 0)) for number in range(2001)))
        names = [summary.name async for summary in store.every()]
        assert sorted(names, key=int) == [str(number) for number in range(2001)]


# ---- documents ---------------------------------------------------------------------------------------------------


def _document(key: str, value: bytes | None, revision: int = 0, kind: str = "machine") -> Document:
    return Document(kind=kind, key=key, value=value, revision=revision)


@_rule
async def a_document_is_kept_with_the_number_of_its_writes(make: Make) -> None:
    async with opened(make) as store:
        assert await store.document("machine", "a") == _document("a", None)
        await store.put_documents([_document("a", b"one")])
        await store.put_documents([_document("a", b"\x00two", 1), _document("a", b"of another kind", kind="alias")])
        assert await store.document("machine", "a") == _document("a", b"\x00two", 2)
    async with opened(make) as store:
        if (await store.document("alias", "a")).revision:  # a store that forgets has nothing now
            assert await store.document("machine", "a") == _document("a", b"\x00two", 2)
            await store.put_documents([_document("a", None, 2)])
            assert await store.document("machine", "a") == _document("a", None)
            await store.put_documents([_document("a", b"again")])
            assert await store.document("machine", "a") == _document("a", b"again", 1)


@_rule
async def documents_written_on_an_old_revision_change_nothing(make: Make) -> None:
    async with opened(make) as store:
        await store.put_documents([_document("a", b"one")])
        for stale in (
            _document("a", b"two"),
            _document("a", b"two", 2),
            _document("a", None, 7),
            _document("c", b"", 1),
        ):
            assert await error_of(store.put_documents([_document("b", b"new"), stale])) is Conflict
        assert await store.documents("machine") == [_document("a", b"one", 1)]


@_rule
async def documents_are_listed_by_kind_prefix_and_page_in_the_order_of_their_keys(make: Make) -> None:
    async with opened(make) as store:
        keys = ["a:1", "a:10", "a:2", "a;", "b", "ä", "\U0001f600"]
        await store.put_documents([_document(key, key.encode()) for key in reversed(keys)])
        await store.put_documents([_document("a:1", b"", kind="alias")])

        async def listed(*args: str, limit: int = 1000) -> list[str]:
            return [each.key for each in await store.documents("machine", *args, limit=limit)]

        assert await listed() == keys
        assert await listed("a:") == ["a:1", "a:10", "a:2"]
        assert await listed("a:", limit=2) == ["a:1", "a:10"]
        assert await listed("a:", "a:10") == ["a:2"]
        assert await listed("", "b") == ["ä", "\U0001f600"]
        assert await listed("c") == []


# ---- definitions, settings, the life of a store ------------------------------------------------------------------


@_rule
async def a_definition_is_kept_under_its_digest_for_good(make: Make) -> None:
    text = '{"Comment": "Zoë 🦉 ' + "x" * 1_000_000 + '"}'
    async with opened(make) as store:
        await store.put_definition("sha256:1", text)
        await store.put_definition("sha256:1", "something else")
        assert await store.definition("sha256:1") == text
    async with opened(make) as store:
        assert await store.definition("sha256:1") == text


@_rule
async def a_setting_keeps_the_value_of_the_first_time(make: Make) -> None:
    async with opened(make) as store:
        values = await asyncio.gather(*(store.setting("seed", str(number)) for number in range(10)))
        assert len(set(values)) == 1
        assert await store.setting("other", "é") == "é"
    async with opened(make) as store:
        assert await store.setting("seed", "later") == values[0]


@_rule
async def a_store_that_is_opened_again_has_everything(make: Make) -> None:
    async with opened(make) as store:
        await write(store, commit_of("a", 0, 3, [wait_of("a", 1, "timer", 5.0), wait_of("a", 2, "call", 4.0)]))
        await write(store, commit_of("b", 0, 3, [wait_of("b", 1, "activity", topic=TOPIC)]))
        await write(store, commit_of("a", 3, 1, [wait_of("a", 3, "callback", 3.0)], [1], status="SUCCEEDED"))
        before = await everything(store), await store.due(9.0), await store.executions(), await store.open_calls()
    for _ in range(2):
        async with opened(make) as store:
            assert before == (
                await everything(store),
                await store.due(9.0),
                await store.executions(),
                await store.open_calls(),
            )
    async with opened(make) as store:
        assert await error_of(write(store, commit_of("a", 3))) is Conflict
        await write(store, commit_of("a", 4))
        await write(store, commit_of("c", 0))
        assert (await store.executions(limit=1)).executions[0].name == "c"

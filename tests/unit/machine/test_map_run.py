"""What a map run decides: batches, concurrency, tolerated failures, reading, writing, stop, update and redrive."""

from __future__ import annotations

import random
from typing import Any

import pytest
from driven import chain, distributed

from treadle.language.compile import plan_of
from treadle.language.plan import MapPlan
from treadle.machine.commands import Cancel
from treadle.machine.interpreter import Moment
from treadle.machine.map_events import (
    ChildClosed,
    ChildStatus,
    CloseRun,
    Counts,
    EffectFailed,
    ItemsRead,
    ReadItems,
    ResultsWritten,
    RunCommand,
    RunEvent,
    RunRedriven,
    RunRequested,
    RunStopped,
    RunUpdated,
    StartChild,
    WriteResults,
)
from treadle.machine.map_run import LOOK_AHEAD, MAX_REDRIVES, MapRun, recover_run

MOMENT = Moment(0.0, random.Random(0), str)
READER = {"resource": "arn:aws:states:::s3:getObject", "arguments": {}, "config": None, "maxItems": None}
EXPORT = {"resource": "arn:aws:states:::s3:putObject", "arguments": {}, "outputType": "JSON", "transformation": "NONE"}


class Hosted:
    """A map run and what its host was told."""

    def __init__(self, items: list[Any] | None, keys: list[str] | None = None, **settings: Any) -> None:
        selector = settings.pop("selector", None)
        plan = plan_of(chain(M=distributed(**({} if selector is None else {"ItemSelector": selector})))).states["M"]
        assert isinstance(plan, MapPlan)
        self.run = MapRun(plan)
        defaults = {"concurrency": 0, "toleratedCount": None, "toleratedPercentage": None}
        scope = {"input": {}, "taken": {}, "variables": {}, "context": {}}
        self.journal: list[Any] = []
        self.commands = self.give(RunRequested(settings={**defaults, **scope, **settings}, items=items, keys=keys))

    def give(self, event: RunEvent) -> list[RunCommand]:
        entries, self.commands = self.run.handle(event, MOMENT)
        self.journal += entries
        return self.commands

    def end(self, index: int, status: ChildStatus = "SUCCEEDED") -> list[RunCommand]:
        """The child of this index ends."""
        wait = next(wait for wait, live in self.run.live.items() if live == index)
        return self.give(ChildClosed(wait, status))

    def write(self, output: Any = "results") -> list[RunCommand]:
        """The results are gathered or written."""
        assert isinstance(self.run.effect, WriteResults)
        return self.give(ResultsWritten(self.run.effect.wait, output))

    @property
    def started(self) -> list[StartChild]:
        return [command for command in self.commands if isinstance(command, StartChild)]

    @property
    def closing(self) -> CloseRun | None:
        return next((command for command in self.commands if isinstance(command, CloseRun)), None)


def test_every_item_is_the_input_of_a_child() -> None:
    hosted = Hosted(["a", "b"])
    assert [(child.index, child.input) for child in hosted.started] == [(0, "a"), (1, "b")]
    assert hosted.started[1].item == {"Item": {"Index": 1, "Value": "b", "Source": "STATE_DATA"}}


def test_the_members_of_an_object_carry_their_keys() -> None:
    hosted = Hosted([1, 2], keys=["x", "y"])
    assert [child.item["Item"]["Key"] for child in hosted.started if child.item] == ["x", "y"]


def test_the_members_of_an_object_that_is_read_carry_their_keys_page_by_page() -> None:
    hosted = Hosted(None, reader=READER, selector={"k.$": "$$.Map.Item.Key", "v.$": "$$.Map.Item.Value"})
    hosted.give(ItemsRead(2, [1, 2], True, keys=["x", "y"]))
    assert [child.input for child in hosted.started] == [{"k": "x", "v": 1}, {"k": "y", "v": 2}]
    assert isinstance(hosted.run.effect, ReadItems)
    hosted.give(ItemsRead(hosted.run.effect.wait, [3], False, keys=["z"]))
    assert [child.input for child in hosted.started] == [{"k": "z", "v": 3}]


@pytest.mark.parametrize("batcher", [None, {"maxItems": 2, "maxBytes": None, "input": None}])
def test_an_input_that_is_too_large_for_a_child_fails_the_run(batcher: dict[str, Any] | None) -> None:
    hosted = Hosted(["a", "b" * 300_000], batcher=batcher)
    assert hosted.closing is not None
    assert hosted.closing.error == "States.DataLimitExceeded"
    assert "more than the maximum of 262144" in (hosted.closing.cause or "")


def test_an_item_selector_may_choose_what_fits_of_a_large_item() -> None:
    hosted = Hosted([{"id": 7, "text": "b" * 300_000}], selector={"id.$": "$$.Map.Item.Value.id"})
    assert [child.input for child in hosted.started] == [{"id": 7}]


def test_an_item_selector_is_evaluated_for_every_item() -> None:
    hosted = Hosted(["a"], selector={"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"})
    assert hosted.started[0].input == {"v": "a", "i": 0}


def test_an_item_selector_that_fails_fails_the_run() -> None:
    hosted = Hosted([{}], selector={"v.$": "$$.Map.Item.Value.missing"})
    assert hosted.closing is not None
    assert (hosted.closing.status, hosted.closing.error) == ("FAILED", "States.Runtime")


def test_no_more_children_run_than_the_concurrency_allows() -> None:
    hosted = Hosted([1, 2, 3], concurrency=2)
    assert len(hosted.started) == 2
    hosted.end(1)
    assert [child.index for child in hosted.started] == [2]


BATCHES: list[tuple[dict[str, Any], list[Any]]] = [
    ({"maxItems": 2, "maxBytes": None, "input": None}, [{"Items": [1, 2]}, {"Items": [3, 4]}, {"Items": [5]}]),
    (
        {"maxItems": 3, "maxBytes": None, "input": {"b": 1}},
        [{"BatchInput": {"b": 1}, "Items": [1, 2, 3]}, {"BatchInput": {"b": 1}, "Items": [4, 5]}],
    ),
    ({"maxItems": None, "maxBytes": 15, "input": None}, [{"Items": [1, 2]}, {"Items": [3, 4]}, {"Items": [5]}]),
    ({"maxItems": 4, "maxBytes": 15, "input": None}, [{"Items": [1, 2]}, {"Items": [3, 4]}, {"Items": [5]}]),
    ({"maxItems": 1, "maxBytes": 1, "input": None}, [{"Items": [each]} for each in range(1, 6)]),
]


@pytest.mark.parametrize(("batcher", "expected"), BATCHES)
def test_batches_keep_to_the_smaller_of_their_limits(batcher: dict[str, Any], expected: list[Any]) -> None:
    assert [child.input for child in Hosted([1, 2, 3, 4, 5], batcher=batcher).started] == expected


def test_a_batch_is_not_started_before_it_is_complete() -> None:
    hosted = Hosted(None, reader=READER, batcher={"maxItems": 3, "maxBytes": None, "input": None})
    for items, more, expected in (([1, 2], True, []), ([3, 4], True, [[1, 2, 3]]), ([], False, [[4]])):
        assert isinstance(hosted.run.effect, ReadItems)
        hosted.give(ItemsRead(hosted.run.effect.wait, items, more))
        assert [child.input["Items"] for child in hosted.started] == expected


def test_a_batch_by_bytes_is_filled_from_the_next_page() -> None:
    hosted = Hosted(None, reader=READER, batcher={"maxItems": None, "maxBytes": 17, "input": None})
    assert isinstance(hosted.run.effect, ReadItems)
    hosted.give(ItemsRead(hosted.run.effect.wait, [1, 2], True))
    assert hosted.started == []
    hosted.give(ItemsRead(hosted.run.effect.wait, [3, 4], True))
    assert [child.input["Items"] for child in hosted.started] == [[1, 2, 3]]


TOLERANCES: list[tuple[dict[str, Any], int, bool]] = [
    ({}, 1, False),
    ({"toleratedCount": 1}, 1, True),
    ({"toleratedCount": 1}, 2, False),
    ({"toleratedPercentage": 50}, 2, True),
    ({"toleratedPercentage": 50}, 3, False),
    ({"toleratedPercentage": 100}, 4, True),
    ({"toleratedCount": 3, "toleratedPercentage": 25}, 2, False),
    ({"toleratedCount": 1, "toleratedPercentage": 100}, 2, False),
]


@pytest.mark.parametrize(("settings", "failures", "tolerated"), TOLERANCES)
def test_a_run_fails_when_more_fails_than_is_tolerated(
    settings: dict[str, Any], failures: int, tolerated: bool
) -> None:
    hosted = Hosted([1, 2, 3, 4], **settings)
    for index in range(4):
        if hosted.run.status == "RUNNING":
            hosted.end(index, "FAILED" if index < failures else "SUCCEEDED")
    if tolerated:
        hosted.write()
        assert hosted.closing == CloseRun("SUCCEEDED", "results")
    else:
        assert hosted.closing is not None
        assert hosted.closing.error == "States.ExceedToleratedFailureThreshold"
        assert hosted.closing.cause == "The specified tolerated failure threshold was exceeded"


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_every_child_that_does_not_succeed_counts_with_all_its_items(status: ChildStatus) -> None:
    hosted = Hosted([1, 2, 3], batcher={"maxItems": 2, "maxBytes": None, "input": None}, toleratedCount=1)
    hosted.end(0, status)
    assert hosted.run.status == "FAILED"


def test_a_run_that_fails_cancels_its_children() -> None:
    hosted = Hosted([1, 2, 3])
    waits = set(hosted.run.live)
    commands = hosted.end(1, "FAILED")
    assert {command.wait for command in commands if isinstance(command, Cancel)} == waits
    counts = hosted.run.progress().children
    assert (counts.failed, counts.aborted, counts.total) == (1, 2, 3)


def test_a_run_that_fails_leaves_its_results_to_the_writer_all_the_same() -> None:
    hosted = Hosted([1, 2, 3], writer=EXPORT)
    commands = hosted.end(1, "FAILED")
    assert [type(command) for command in commands] == [WriteResults, Cancel, Cancel, Cancel]
    hosted.write()
    assert hosted.closing is not None
    assert (hosted.closing.status, hosted.closing.output) == ("FAILED", None)
    assert hosted.closing.error == "States.ExceedToleratedFailureThreshold"
    hosted.give(RunRedriven())
    assert [child.index for child in hosted.started] == [0, 1, 2]


def test_the_progress_counts_items_and_children() -> None:
    hosted = Hosted([1, 2, 3, 4, 5], concurrency=2, toleratedPercentage=50)
    hosted.end(0)
    hosted.end(1, "TIMED_OUT")
    progress = hosted.run.progress()
    assert (progress.concurrency, progress.tolerated_count, progress.tolerated_percentage) == (2, 0, 50)
    assert progress.items == Counts(pending=1, running=2, succeeded=1, timed_out=1, total=5)
    assert progress.children == progress.items


def test_batches_count_with_their_items() -> None:
    hosted = Hosted([1, 2, 3], concurrency=1, batcher={"maxItems": 2, "maxBytes": None, "input": None})
    progress = hosted.run.progress()
    assert progress.items == Counts(pending=1, running=2, total=3)
    assert progress.children == Counts(pending=1, running=1, total=2)
    hosted.end(0)
    hosted.end(1)
    hosted.write()
    assert hosted.run.progress().items == Counts(succeeded=3, total=3, results_written=3)


def test_how_many_batches_bounded_by_bytes_will_come_is_told_by_those_before() -> None:
    hosted = Hosted(list(range(9)), concurrency=1, batcher={"maxItems": None, "maxBytes": 15, "input": None})
    assert hosted.started[0].input == {"Items": [0, 1]}
    assert hosted.run.progress().children == Counts(pending=4, running=1, total=5)


def test_items_are_read_page_by_page_while_children_run() -> None:
    hosted = Hosted(None, reader=READER)
    (read,) = hosted.commands
    assert read == ReadItems(wait=2, reader=READER, skip=0)
    commands = hosted.give(ItemsRead(2, ["a", "b"], True, "S3://bucket/key"))
    assert [child.input for child in hosted.started] == ["a", "b"]
    (read,) = (command for command in commands if isinstance(command, ReadItems))
    assert read.skip == 2
    hosted.give(ItemsRead(read.wait, ["c"], False, "S3://bucket/other"))
    assert hosted.started[0].item == {"Item": {"Index": 2, "Value": "c", "Source": "S3://bucket/other"}}


def test_no_more_is_read_ahead_than_is_needed_soon() -> None:
    hosted = Hosted(None, reader=READER, concurrency=1)
    hosted.give(ItemsRead(2, list(range(LOOK_AHEAD + 1)), True))
    assert hosted.run.effect is None
    hosted.end(0)
    assert isinstance(hosted.run.effect, ReadItems)


def test_a_host_says_how_many_children_it_can_start_now() -> None:
    hosted = Hosted([])
    run = MapRun(hosted.run.plan)
    settings = hosted.run.settings
    _, commands = run.handle(RunRequested(settings=settings, items=[1, 2, 3]), MOMENT, 2)
    assert [command.index for command in commands if isinstance(command, StartChild)] == [0, 1]
    _, commands = run.handle(None, MOMENT, 5)
    assert [command.index for command in commands if isinstance(command, StartChild)] == [2]


@pytest.mark.parametrize(
    ("settings", "items", "error"), [({"reader": READER}, None, "Read"), ({"writer": EXPORT}, [], "Write")]
)
def test_what_cannot_be_read_or_written_fails_the_run(settings: dict[str, Any], items: Any, error: str) -> None:
    hosted = Hosted(items, **settings)
    (effect,) = (command for command in hosted.commands if isinstance(command, ReadItems | WriteResults))
    hosted.give(EffectFailed(effect.wait, error, "why"))
    assert hosted.closing == CloseRun("FAILED", None, error, "why")


def test_an_exporting_writer_gives_the_output() -> None:
    hosted = Hosted([1], writer=EXPORT)
    (write,) = (command for command in hosted.end(0) if isinstance(command, WriteResults))
    hosted.give(ResultsWritten(write.wait, {"MapRunArn": "arn"}))
    assert hosted.closing == CloseRun("SUCCEEDED", {"MapRunArn": "arn"})


def test_a_run_over_nothing_succeeds_at_once() -> None:
    hosted = Hosted([])
    hosted.write([])
    assert hosted.closing == CloseRun("SUCCEEDED", [])


def test_a_stopped_run_is_aborted() -> None:
    hosted = Hosted([1])
    hosted.give(RunStopped())
    assert hosted.closing == CloseRun("ABORTED")


def test_a_stopped_run_leaves_its_results_and_what_was_never_started_to_the_writer() -> None:
    hosted = Hosted([1, 2, 3], concurrency=1, writer=EXPORT)
    commands = hosted.give(RunStopped())
    assert [type(command) for command in commands] == [WriteResults, Cancel]
    assert hosted.give(RunStopped()) == []
    assert isinstance(hosted.run.effect, WriteResults)
    hosted.give(ResultsWritten(hosted.run.effect.wait, {}, (5, 7)))
    assert hosted.closing == CloseRun("ABORTED")
    assert hosted.run.progress().children == Counts(pending=5, aborted=1, total=6, results_written=1)
    assert hosted.run.progress().items.pending == 7
    hosted.give(RunRedriven())
    assert hosted.run.progress().items.pending == 2


def test_a_reader_that_fails_late_leaves_what_was_done_to_the_writer() -> None:
    hosted = Hosted(None, reader=READER, writer=EXPORT)
    hosted.give(ItemsRead(2, [1], True))
    assert isinstance(hosted.run.effect, ReadItems)
    hosted.give(EffectFailed(hosted.run.effect.wait, "States.ItemReaderFailed", "gone"))
    hosted.write()
    assert hosted.closing == CloseRun("FAILED", None, "States.ItemReaderFailed", "gone")


def test_what_is_left_is_told_as_inputs_of_children() -> None:
    batcher = {"maxItems": 2, "maxBytes": None, "input": {"b": 1}}
    run = Hosted([1, 2, 3, 4, 5], concurrency=1, batcher=batcher).run
    left = [*run.backlog.copy().drain(run.settings, MOMENT)]
    extra = {"BatchInput": {"b": 1}}
    assert left == [({**extra, "Items": [3, 4]}, 2), ({**extra, "Items": [5]}, 1)]
    assert len(run.backlog) == 3


def test_what_an_item_selector_cannot_take_is_left_as_it_was_read() -> None:
    run = Hosted([{"a": 1}, {}], concurrency=1, selector={"v.$": "$$.Map.Item.Value.a"}).run
    assert [*run.backlog.copy().drain(run.settings, MOMENT)] == [({}, 1)]


def test_an_update_takes_effect_at_once() -> None:
    hosted = Hosted([1, 2, 3], concurrency=1, toleratedCount=0)
    hosted.give(RunUpdated(concurrency=3, tolerated_count=1))
    assert len(hosted.started) == 2
    hosted.end(0, "FAILED")
    assert hosted.run.status == "RUNNING"
    hosted.give(RunUpdated(tolerated_count=0))
    assert hosted.closing is not None
    assert hosted.closing.error == "States.ExceedToleratedFailureThreshold"


@pytest.mark.parametrize("late", [RunUpdated(concurrency=1), RunStopped(), RunRedriven(), ChildClosed(2, "FAILED")])
def test_a_run_that_succeeded_takes_no_event_any_more(late: RunEvent) -> None:
    hosted = Hosted([1])
    hosted.end(0)
    hosted.write()
    assert hosted.give(late) == []


def test_a_redrive_runs_again_what_did_not_succeed_and_goes_on_with_the_rest() -> None:
    hosted = Hosted([1, 2, 3, 4, 5], concurrency=3)
    hosted.end(0)
    hosted.end(1, "FAILED")
    hosted.give(RunRedriven())
    assert [(child.index, child.redrive) for child in hosted.started] == [(1, 1), (2, 1), (3, 1)]
    # The first of them had ended, so its own journal has its input; of the others nobody knows.
    assert [child.input for child in hosted.started] == [None, 3, 4]
    hosted.end(1)
    assert [(child.index, child.redrive) for child in hosted.started] == [(4, 0)]
    for index in (2, 3, 4):
        hosted.end(index)
    hosted.write()
    assert hosted.closing == CloseRun("SUCCEEDED", "results")


def test_children_that_wait_to_be_redriven_are_counted_and_found() -> None:
    hosted = Hosted([1, 2, 3, 4, 5], concurrency=2, toleratedCount=9)
    for index, status in enumerate(("FAILED", "SUCCEEDED", "TIMED_OUT")):
        hosted.end(index, status)
    hosted.give(RunStopped())
    assert hosted.run.progress().children == Counts(succeeded=1, failed=1, timed_out=1, aborted=2, total=5)
    hosted.run.settings = {**hosted.run.settings, "concurrency": 1}
    hosted.give(RunRedriven())
    assert [child.index for child in hosted.started] == [0]
    assert hosted.run.progress().children == Counts(running=1, succeeded=1, pending_redrive=3, total=5)
    assert [*hosted.run.numbers("PENDING_REDRIVE")] == [4, 3, 2]
    assert [*hosted.run.numbers("PENDING_REDRIVE", before=4)] == [3, 2]
    assert [*hosted.run.numbers()] == [4, 3, 2, 1, 0]
    assert [hosted.run.child(index) for index in (0, 2)] == ["RUNNING", "PENDING_REDRIVE"]
    hosted.give(RunStopped())
    # Those that were not reached are what they were.
    assert hosted.run.progress().children == Counts(succeeded=1, timed_out=1, aborted=3, total=5)
    hosted.give(RunRedriven())
    assert [(child.index, child.redrive) for child in hosted.started] == [(0, 2)]
    hosted.end(0)
    assert [(child.index, child.redrive) for child in hosted.started] == [(2, 1)]


def test_a_child_that_is_lost_stays_failed_and_counts_when_the_rest_is_done() -> None:
    hosted = Hosted([1, 2], batcher={"maxItems": 1, "maxBytes": None, "input": None}, concurrency=1)
    hosted.give(ChildClosed(next(iter(hosted.run.live)), "FAILED", lost=True))
    assert hosted.run.progress().items == Counts(pending=1, failed=1, total=2, failures_not_redrivable=1)
    hosted.give(RunRedriven())
    assert [child.index for child in hosted.started] == [1]
    hosted.end(1)
    assert hosted.closing is not None
    assert hosted.closing.error == "States.ExceedToleratedFailureThreshold"
    recovered = recover_run(hosted.run.plan, hosted.journal)
    assert recovered.progress() == hosted.run.progress()
    assert recovered.progress().children == Counts(succeeded=1, failed=1, total=2, failures_not_redrivable=1)


def test_a_run_is_not_redriven_for_ever() -> None:
    hosted = Hosted([1], toleratedCount=0)
    hosted.run.redrives = MAX_REDRIVES
    hosted.end(0, "FAILED")
    hosted.give(RunRedriven())
    assert hosted.closing is not None
    assert (hosted.closing.status, hosted.closing.error) == ("FAILED", "States.Runtime")


def test_a_redrive_forgives_the_failures_before() -> None:
    hosted = Hosted([1, 2], toleratedCount=0)
    hosted.end(0, "FAILED")
    hosted.give(RunRedriven())
    assert (hosted.run.status, hosted.run.failures, hosted.run.redrives) == ("RUNNING", 0, 1)


def test_a_recovered_run_waits_for_the_same_and_goes_on_the_same() -> None:
    hosted = Hosted([1, 2, 3], concurrency=2)
    hosted.end(0)
    recovered = recover_run(hosted.run.plan, hosted.journal)
    assert recovered.waits() == hosted.run.waits()
    wait = next(iter(hosted.run.live))
    assert recovered.handle(ChildClosed(wait, "SUCCEEDED"), MOMENT) == hosted.run.handle(
        ChildClosed(wait, "SUCCEEDED"), MOMENT
    )

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
from treadle.machine.map_run import (
    ChildClosed,
    ChildStatus,
    CloseRun,
    EffectFailed,
    ItemsRead,
    MapRun,
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
    recover_run,
)

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

    def end(self, index: int, status: ChildStatus = "SUCCEEDED", **what: Any) -> list[RunCommand]:
        """The child of this index ends."""
        wait = next(wait for wait, live in self.run.live.items() if live == index)
        return self.give(ChildClosed(wait, status, **what))

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


def test_results_stand_in_the_order_of_the_items() -> None:
    hosted = Hosted([1, 2])
    hosted.end(1, output="second")
    hosted.end(0, output="first")
    assert hosted.closing == CloseRun("SUCCEEDED", ["first", "second"])


@pytest.mark.parametrize(
    ("transformation", "expected"),
    [("COMPACT", [[1], 2]), ("FLATTEN", [1, 2]), ("NONE", [{"n": 0}, {"n": 1}])],
)
def test_a_writer_without_a_place_transforms_the_results(transformation: str, expected: list[Any]) -> None:
    hosted = Hosted([0, 1], writer={**EXPORT, "resource": None, "transformation": transformation})
    hosted.end(0, output=[1], record={"n": 0})
    hosted.end(1, output=2, record={"n": 1})
    assert hosted.closing == CloseRun("SUCCEEDED", expected)


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
            hosted.end(index, "FAILED" if index < failures else "SUCCEEDED", output=index)
    assert hosted.closing is not None
    if tolerated:
        assert hosted.closing == CloseRun("SUCCEEDED", list(range(failures, 4)))
    else:
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
    assert hosted.run.counts() == {
        "pending": 0,
        "running": 0,
        "succeeded": 0,
        "failed": 1,
        "timedOut": 0,
        "aborted": 2,
        "total": 3,
    }


def test_items_are_read_page_by_page_while_children_run() -> None:
    hosted = Hosted(None, reader=READER)
    (read,) = hosted.commands
    assert read == ReadItems(wait=2, reader=READER, skip=0)
    commands = hosted.give(ItemsRead(2, ["a", "b"], True, "S3://bucket/key"))
    assert [child.input for child in hosted.started] == ["a"]
    (read,) = (command for command in commands if isinstance(command, ReadItems))
    assert read.skip == 2
    hosted.give(ItemsRead(read.wait, [], False, "S3://bucket/key"))
    assert [child.input for child in hosted.started] == ["b"]
    assert hosted.started[0].item == {"Item": {"Index": 1, "Value": "b", "Source": "S3://bucket/key"}}


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
    assert Hosted([]).closing == CloseRun("SUCCEEDED", [])


def test_a_stopped_run_is_aborted() -> None:
    hosted = Hosted([1])
    hosted.give(RunStopped())
    assert hosted.closing == CloseRun("ABORTED")


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
    assert hosted.give(late) == []


def test_a_redrive_runs_again_what_did_not_succeed_and_goes_on_with_the_rest() -> None:
    hosted = Hosted([1, 2, 3, 4, 5], concurrency=3)
    hosted.end(0, output="one")
    hosted.end(1, "FAILED")
    hosted.give(RunRedriven())
    assert [(child.index, child.redrive) for child in hosted.started] == [(1, True), (2, True), (3, True)]
    hosted.end(1, output=2)
    assert [(child.index, child.redrive) for child in hosted.started] == [(4, False)]
    for index in (2, 3, 4):
        hosted.end(index, output=index + 1)
    assert hosted.closing == CloseRun("SUCCEEDED", ["one", 2, 3, 4, 5])


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

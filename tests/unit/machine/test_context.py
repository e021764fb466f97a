"""The context object, state by state."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from driven import ACTIVITY, LAMBDA, SYNC, TOKEN, Driven, chain, mapped, parallel, task

from treadle.machine.context import iso
from treadle.machine.events import RedriveRequested, StopRequested, TaskErred, TimerDue
from treadle.runtime.clock import START
from treadle.testing import Fails, InTurn, World, run
from treadle.testing.world import identity_of

DUMP = {"Type": "Pass", "Parameters": {"all.$": "$$"}}


def test_a_pass_sees_execution_machine_and_state_but_no_retry_count() -> None:
    assert run(chain(P=DUMP), {"a": 1}).output["all"] == {
        "Execution": {
            "Id": "arn:aws:states:us-east-1:123456789012:execution:machine:run",
            "Input": {"a": 1},
            "StartTime": "2026-01-01T00:00:00Z",
            "Name": "run",
            "RoleArn": "arn:aws:iam::123456789012:role/treadle",
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": "arn:aws:states:us-east-1:123456789012:stateMachine:machine", "Name": "machine"},
        "State": {"Name": "P", "EnteredTime": "2026-01-01T00:00:00Z"},
    }


def test_a_synchronous_express_execution_has_no_redrive_count() -> None:
    identity = msgspec.structs.replace(identity_of(), counts_redrives=False)
    started = World().start(chain(P=DUMP), {}, identity)
    assert "RedriveCount" not in started.output["all"]["Execution"]


def test_a_redriven_execution_tells_how_often_and_when() -> None:
    driven = Driven(chain(W={"Type": "Wait", "Seconds": 9}, P=DUMP))
    driven.give(StopRequested())
    driven.give(RedriveRequested(), after=60)
    driven.give(TimerDue(driven.number()), after=9)
    execution = driven.execution.output["all"]["Execution"]
    assert (execution["RedriveCount"], execution["RedriveTime"]) == (1, "2026-01-01T00:01:00Z")


def test_a_task_counts_its_retries() -> None:
    seen: list[Any] = []
    answers = InTurn([Fails("E"), Fails("E"), seen.append])
    definition = chain(
        T=task(Parameters={"n.$": "$$.State.RetryCount"}, Retry=[{"ErrorEquals": ["E"], "BackoffRate": 1.0}])
    )
    run(definition, tasks={"T": answers})
    assert seen == [{"n": 2}]


@pytest.mark.parametrize(("resource", "there"), [(LAMBDA, False), (TOKEN, True), (SYNC, True), (ACTIVITY, True)])
def test_the_task_token_is_there_only_where_a_token_ends_the_task(resource: str, there: bool) -> None:
    driven = Driven(chain(T=task(resource, Parameters={"context.$": "$$"})))
    context = driven.task().arguments["context"]
    assert ("Task" in context) is there
    assert context.get("Task", {}).get("Token") == driven.task().token


def test_an_item_selector_sees_the_item_and_the_states_inside_see_it_too() -> None:
    definition = chain(
        M=mapped(
            chain(P={"Type": "Pass", "Parameters": {"selected.$": "$", "item.$": "$$.Map.Item"}}),
            ItemsPath="$.items",
            ItemSelector={"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index", "all.$": "$.n"},
        )
    )
    outputs = run(definition, {"items": ["a", "b"], "n": 7}).output
    assert [output["selected"] for output in outputs] == [
        {"v": "a", "i": 0, "all": 7},
        {"v": "b", "i": 1, "all": 7},
    ]
    assert [(output["item"]["Index"], output["item"]["Value"]) for output in outputs] == [(0, "a"), (1, "b")]


def test_a_map_inside_a_map_has_items_of_its_own_and_a_parallel_inside_keeps_them() -> None:
    inner = chain(P=parallel(chain(Q={"Type": "Pass", "Parameters": {"v.$": "$$.Map.Item.Value"}})))
    definition = chain(M=mapped(chain(N=mapped(inner)), ItemsPath="$.items"))
    assert run(definition, {"items": [[1, 2], [3]]}).output == [[[{"v": 1}], [{"v": 2}]], [[{"v": 3}]]]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (START, "2026-01-01T00:00:00Z"),
        (START + 0.5, "2026-01-01T00:00:00.500Z"),
        (START + 0.0004, "2026-01-01T00:00:00Z"),
        (START + 0.9996, "2026-01-01T00:00:01Z"),
    ],
)
def test_moments_are_written_in_milliseconds(moment: float, text: str) -> None:
    assert iso(moment) == text


def test_the_entered_time_stays_through_a_retry() -> None:
    driven = Driven(chain(T=task(Parameters={"at.$": "$$.State.EnteredTime"}, Retry=[{"ErrorEquals": ["E"]}])))
    first = driven.task().arguments
    driven.give(TaskErred(driven.number(), "E"), after=5)
    driven.give(TimerDue(driven.number()), after=5)
    assert driven.task().arguments == first

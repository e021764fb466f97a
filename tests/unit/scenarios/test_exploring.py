"""Exploring: what is found in small definitions, and in those that AWS and its customers published."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from treadle.errors import TreadleError
from treadle.scenarios.exploring import Exploration, explore, write_scenarios
from treadle.scenarios.play import play
from treadle.scenarios.reading import machine_of, read_scenarios

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"


def task(name: str, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": LAMBDA + name, **fields}


def explored(states: dict[str, Any], failures: int = 1, **machine: Any) -> Exploration:
    definition = {"StartAt": next(iter(states)), "States": states, **machine}
    return explore(machine_of("m.asl.json", json.dumps(definition), "m", "STANDARD"), failures)


def names(found: Exploration) -> list[str]:
    return [each.name for each in found.explored]


def messages(found: Exploration) -> list[str]:
    return [each.message for each in found.findings]


def test_missing_data_is_found_in_the_input_and_in_answers() -> None:
    found = explored(
        {
            "Ask": task("ask", Parameters={"id.$": "$.order.id"}, ResultPath="$.asked", Next="Wait"),
            "Wait": {"Type": "Wait", "SecondsPath": "$.asked.delay", "Next": "All"},
            "All": {
                "Type": "Map",
                "ItemsPath": "$.order.items",
                "Iterator": {"StartAt": "One", "States": {"One": {"Type": "Pass", "InputPath": "$.sku", "End": True}}},
                "End": True,
            },
        }
    )
    first = found.explored[0]
    assert (first.tried.run.status, found.reached) == ("SUCCEEDED", found.branches)
    assert first.data.input == {"order": {"id": "text", "items": [{"sku": {}}]}}
    assert first.data.answers["Ask"] == [{"return": {"delay": 1}}]


def test_each_way_of_a_choice_is_found_in_both_languages() -> None:
    ends = {name: {"Type": "Succeed"} for name in ("A", "B", "C")}
    paths = [
        {"Variable": "$.kind", "StringEquals": "a", "Next": "A"},
        {
            "And": [{"Variable": "$.size", "NumericGreaterThan": 5}, {"Variable": "$.kind", "StringMatches": "b*"}],
            "Next": "B",
        },
    ]
    look = task("look", Next="Which")
    found = explored({"Look": look, "Which": {"Type": "Choice", "Choices": paths, "Default": "C"}, **ends})
    assert found.reached == found.branches
    queries = [
        {"Condition": "{% $states.input.kind = 'a' %}", "Next": "A"},
        {"Condition": "{% $states.input.size > 5 and $exists($states.input.kind) %}", "Next": "B"},
    ]
    choice = {"Type": "Choice", "Choices": queries, "Default": "C"}
    found = explored({"Look": look, "Which": choice, **ends}, QueryLanguage="JSONata")
    assert found.reached == found.branches


def test_a_loop_is_gone_round_once_and_left() -> None:
    choices = [{"Variable": "$.status", "StringEquals": "DONE", "Next": "End"}]
    found = explored(
        {
            "Look": task("look", Next="Done?"),
            "Done?": {"Type": "Choice", "Choices": choices, "Default": "Rest"},
            "Rest": {"Type": "Wait", "Seconds": 60, "Next": "Look"},
            "End": {"Type": "Succeed"},
        }
    )
    assert found.reached == found.branches
    assert all(each.tried.run.status in ("SUCCEEDED", "FAILED") for each in found.explored)


def test_each_error_is_raised_once_and_always_and_one_that_nobody_knows() -> None:
    retry = [{"ErrorEquals": ["Busy"], "MaxAttempts": 1}]
    catch = [{"ErrorEquals": ["Busy", "Declined"], "ResultPath": "$.error", "Next": "Tell"}]
    found = explored({"Pay": task("pay", Retry=retry, Catch=catch, End=True), "Tell": {"Type": "Pass", "End": True}})
    told = {each.name: (each.tried.run.status, each.tried.run.path) for each in found.explored}
    assert told["Pay fails with Busy"] == ("SUCCEEDED", ["Pay"])
    assert told["Pay always fails with Busy"] == ("SUCCEEDED", ["Pay", "Tell"])
    assert told["Pay fails with Declined"] == ("SUCCEEDED", ["Pay", "Tell"])
    assert told["Pay fails with Unexpected"] == ("FAILED", ["Pay"])
    assert messages(found) == [
        "'Pay' fails with Unexpected: nothing catches it, and the execution fails. Add a Catch, or accept it."
    ]


def test_a_catch_that_hides_a_failure_is_found() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "On"}]
    found = explored({"Pay": task("pay", Catch=catch, Next="On"), "On": {"Type": "Pass", "End": True}})
    (finding,) = found.findings
    assert (finding.kind, finding.state) == ("forgotten", "Pay")
    assert finding.message.startswith("'Pay' fails with Unexpected: it is caught and forgotten")


def test_an_endless_loop_is_found_and_no_scenario() -> None:
    choices = [{"Variable": "$.n", "NumericEquals": 2, "Next": "End"}]
    found = explored(
        {
            "Set": {"Type": "Pass", "Result": {"n": 1}, "Next": "Done?"},
            "Done?": {"Type": "Choice", "Choices": choices, "Default": "Set"},
            "End": {"Type": "Succeed"},
        }
    )
    assert found.scenarios == []
    assert found.findings[0].kind == "endless"
    assert "the way through: no end within 1500 events" in found.findings[0].message


CHOICE: dict[str, Any] = {"Type": "Choice", "Default": "Else"}
ENDS: dict[str, Any] = {"Then": {"Type": "Succeed"}, "Else": {"Type": "Succeed"}}
MADE: dict[str, dict[str, Any]] = {
    "text made of an answer": {
        "Ask": task("ask", ResultSelector={"text.$": "States.JsonToString($.Item)"}, ResultPath="$.got", Next="Which"),
        "Which": {**CHOICE, "Choices": [{"Variable": "$.got.text", "StringMatches": "*Z*", "Next": "Then"}]},
    },
    "a document in a text": {
        "Read": {"Type": "Pass", "Parameters": {"body.$": "States.StringToJson($.Records[0].body)"}, "Next": "Which"},
        "Which": {**CHOICE, "Choices": [{"Variable": "$.body.kind", "StringEquals": "new", "Next": "Then"}]},
    },
    "a list that is counted, against a number elsewhere": {
        "Count": {"Type": "Pass", "Parameters": {"n.$": "States.ArrayLength($.done)"}, "Next": "Which"},
        "Which": {
            **CHOICE,
            "Choices": [
                {"Variable": "$.n", "NumericGreaterThanEqualsPath": "$$.Execution.Input.needed", "Next": "Then"}
            ],
        },
    },
    "a list, where the input is an object elsewhere": {
        "Which": {**CHOICE, "Choices": [{"Variable": "$.query", "IsPresent": True, "Next": "Then"}], "Default": "Many"},
        "Many": {"Type": "Pass", "InputPath": "$[0].body", "Next": "Else"},
    },
    "neither of two is the default": {
        "Ask": task("ask", ResultPath="$.kind", Next="Which"),
        "Which": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.kind", "StringEquals": "a", "Next": "Then"},
                {"Variable": "$.kind", "StringEquals": "b", "Next": "Else"},
            ],
        },
    },
}


@pytest.mark.parametrize("states", MADE.values(), ids=MADE.keys())
def test_what_a_choice_reads_is_followed_back_to_where_it_came_from(states: dict[str, Any]) -> None:
    found = explored({**states, **ENDS})
    assert found.reached == found.branches


def test_a_text_that_is_cut_has_as_many_pieces_as_are_wanted() -> None:
    piece = "States.ArrayGetItem(States.StringSplit($.path, '/'), 3)"
    cut = {"Type": "Pass", "Parameters": {"piece.$": piece}, "Next": "End"}
    found = explored({"Cut": cut, "End": {"Type": "Succeed"}})
    assert found.reached == found.branches


def test_variables_and_computed_output_are_followed_back() -> None:
    states = {
        "Ask": task(
            "ask", Assign={"count": "{% $states.result.count %}"}, Output={"most": "{% $limit %}"}, Next="Which"
        ),
        "Which": {**CHOICE, "Choices": [{"Condition": "{% $count < $states.input.most %}", "Next": "Then"}]},
    }
    first = {"Type": "Pass", "Assign": {"limit": "{% $number($states.input.limit) %}"}, "Next": "Ask"}
    found = explored({"First": first, **states, **ENDS}, QueryLanguage="JSONata")
    assert found.reached == found.branches


def test_items_of_nested_maps_in_batches_are_followed_back_to_their_reader() -> None:
    choice = {**CHOICE, "Choices": [{"Variable": "$.kind", "StringEquals": "new", "Next": "Then"}]}
    inner = {"StartAt": "Which", "States": {"Which": choice, **ENDS}}
    selector = {"kind.$": "$$.Map.Item.Value.detail.kind"}
    batch = {"Type": "Map", "ItemsPath": "$.Items", "ItemSelector": selector, "ItemProcessor": inner, "End": True}
    found = explored(
        {
            "All": {
                "Type": "Map",
                "ItemReader": {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": "b"}},
                "ItemBatcher": {"MaxItemsPerBatch": 10},
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "Batch",
                    "States": {"Batch": batch},
                },
                "Catch": [{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "Unreadable"}],
                "End": True,
            },
            "Unreadable": {"Type": "Fail", "Error": "Unreadable"},
        }
    )
    assert found.reached == found.branches
    told = {each.name: each for each in found.explored}
    assert told["Which goes to Then"].data.answers["All.ItemReader"][0] == {"return": [{"detail": {"kind": "new"}}]}
    assert told["All.ItemReader fails with States.ItemReaderFailed"].tried.run.error == "Unreadable"


def test_a_timeout_is_a_task_that_does_not_answer() -> None:
    catch = [
        {"ErrorEquals": ["States.Timeout"], "Next": "Late"},
        {"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "Late"},
    ]
    found = explored(
        {"Pay": task("pay", TimeoutSeconds=9, Catch=catch, End=True), "Late": {"Type": "Pass", "End": True}}
    )
    late = next(each for each in found.explored if each.name == "Pay fails with States.Timeout")
    assert (late.data.answers["Pay"][0], late.tried.run.path, late.tried.run.seconds) == (
        {"never": True},
        ["Pay", "Late"],
        9,
    )
    # The task has no heartbeat, so none can be missed.
    assert "Pay fails with States.HeartbeatTimeout" not in names(found)


def test_what_cannot_happen_is_told_with_the_reason() -> None:
    catch = [
        {"ErrorEquals": ["States.TaskFailed"], "Next": "Tell"},
        {"ErrorEquals": ["Declined"], "Next": "Never"},
    ]
    rules = [
        {"Variable": "$.a", "IsPresent": True, "Next": "End"},
        {"Variable": "$.a", "IsPresent": True, "Next": "Lost"},
    ]
    found = explored(
        {
            "Pay": task("pay", Catch=catch, Next="Which"),
            "Which": {"Type": "Choice", "Choices": rules, "Default": "End"},
            **{name: {"Type": "Succeed"} for name in ("Tell", "Never", "Lost", "End")},
        }
    )
    assert [(each.source, each.target, each.kind, each.why) for each in found.unreached] == [
        (
            "Pay",
            "Never",
            "unreachable",
            "it catches Declined, and 'States.TaskFailed' in an earlier element of the list includes it",
        ),
        ("Which", "Lost", "unreachable", "an earlier rule has the same condition"),
    ]
    lost = [each.state for each in found.findings if each.kind == "unreachable"]
    assert lost == ["Pay", "Which", "Lost", "Never"]


def test_a_failure_in_what_handles_a_failure_takes_two() -> None:
    states: dict[str, Any] = {
        "Pay": task("pay", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Tell"}], End=True),
        "Tell": task("tell", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Log"}], End=True),
        "Log": {"Type": "Pass", "End": True},
    }
    (missed,) = explored(states).unreached
    assert (missed.source, missed.target, missed.kind) == ("Tell", "Log", "not-found")
    assert missed.why == "it takes two failures: 'Tell' runs only after one"
    found = explored(states, failures=2)
    assert found.reached == found.branches
    assert [each.failures for each in found.explored] == [0, 1, 2]
    assert explored(states, failures=0).reached == set()


def test_what_was_written_reads_back_and_is_green(tmp_path: Path) -> None:
    definition = {
        "StartAt": "Odd: name",
        "States": {
            "Odd: name": task("x", Parameters={"a.$": "$['0o17']"}, Next="yes"),
            "yes": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "E"}],
                "Default": "E",
            },
            "E": {"Type": "Succeed"},
        },
    }
    path = tmp_path / "odd.asl.json"
    path.write_text(json.dumps(definition))
    found = explore(machine_of(str(path), path.read_text(), "odd", "STANDARD"))
    scenarios = read_scenarios(write_scenarios(found, tmp_path / "tests"))
    assert [each.name for each in scenarios] == names(found)
    assert [(each.input, each.answers, each.expect) for each in scenarios] == [
        (each.input, each.answers, each.expect) for each in found.scenarios
    ]
    assert all(play(each).passed for each in scenarios)


# ---- published definitions ---------------------------------------------------------------------------------------

DEEP = bool(os.environ.get("TREADLE_DEEP"))
REFUSED, BRANCHES = 3, 594
LEAST_WAYS = 1200

# Its own ARN is read as only an Express execution has it.
EXPRESS = {"async-state-machine-streaming-lambda-results-sam__statemachine__statemachine.asl.json"}

# All that is not reached with one failure: definition, source, target, and why.
UNREACHED = [
    (
        "s3-bucket-nested-distributed-map__statemachine__statemachine.asl.json",
        *("ProcessObjects", "FailItem", "it catches States.ItemReaderFailed, and the Map has no ItemReader"),
    )
]


def published() -> ModuleType:
    """The test of the language that knows where the published definitions are."""
    path = Path(__file__).parents[1] / "language" / "test_published_definitions.py"
    spec = importlib.util.spec_from_file_location("published_definitions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_published_definitions_come_to_an_end_on_every_branch_that_can_be_reached() -> None:
    known = published()
    known.test_the_published_definitions_are_there()
    refused = branches = ways = 0
    red: list[str] = []
    unreached: list[tuple[str, str, str, str]] = []
    for path in known.definitions():
        kind = "EXPRESS" if path.name in EXPRESS else "STANDARD"
        try:
            machine = machine_of(path.name, known.filled(path.read_text(encoding="utf-8")), "m", kind)
        except TreadleError:
            refused += 1
            continue
        found = explore(machine, failures=2 if DEEP else 1)
        branches, ways = branches + len(found.branches), ways + len(found.explored)
        unreached += [(path.name, each.source, each.target, each.why) for each in found.unreached]
        outcomes = [play(each) for each in found.scenarios]
        red += [f"{path.name}: {each.scenario.name}" for each in outcomes if not each.passed]
        assert all(each.run.status != "RUNNING" for each in outcomes)
    assert red == []
    assert (refused, branches) == (REFUSED, BRANCHES)
    assert unreached == UNREACHED
    assert ways >= LEAST_WAYS

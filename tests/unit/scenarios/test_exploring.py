"""Exploring: what is found in small definitions, and in those that AWS and its customers published."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from treadle.errors import TreadleError
from treadle.scenarios import play, read_scenarios
from treadle.scenarios.exploring import Exploration, explore, write_scenarios
from treadle.scenarios.reading import machine_of

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"


def task(name: str, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": LAMBDA + name, **fields}


def explored(states: dict[str, Any], path: str = "m.asl.json", **machine: Any) -> Exploration:
    definition = {"StartAt": next(iter(states)), "States": states, **machine}
    return explore(machine_of(path, json.dumps(definition), "m", "STANDARD"))


def names(found: Exploration) -> list[str]:
    return [each.name for each in found.explored]


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
    assert found.findings == [
        "'Pay' fails with Unexpected: nothing catches it, and the execution fails. Add a Catch, or accept it."
    ]


def test_a_catch_that_hides_a_failure_is_found() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "On"}]
    found = explored({"Pay": task("pay", Catch=catch, Next="On"), "On": {"Type": "Pass", "End": True}})
    (finding,) = found.findings
    assert finding.startswith("'Pay' fails with Unexpected: it is caught and forgotten")


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
    assert "the way through: no end within 1500 events" in found.findings[0]


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

REFUSED = 3
BRANCHES, REACHED, WAYS = 594, 520, 1100
"""How many branches the published definitions have, and how many of them, and ways, are found at least."""


def published() -> ModuleType:
    """The test of the language that knows where the published definitions are."""
    path = Path(__file__).parents[1] / "language" / "test_published_definitions.py"
    spec = importlib.util.spec_from_file_location("published_definitions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_published_definitions_come_to_an_end_on_every_branch_that_is_found() -> None:
    known = published()
    known.test_the_published_definitions_are_there()
    refused = branches = reached = ways = 0
    red: list[str] = []
    for path in known.definitions():
        try:
            machine = machine_of(path.name, known.filled(path.read_text(encoding="utf-8")), "m", "STANDARD")
        except TreadleError:
            refused += 1
            continue
        found = explore(machine)
        branches, reached, ways = (
            branches + len(found.branches),
            reached + len(found.reached),
            ways + len(found.explored),
        )
        outcomes = [play(each) for each in found.scenarios]
        red += [f"{path.name}: {each.scenario.name}" for each in outcomes if not each.passed]
        assert all(each.run.status != "RUNNING" for each in outcomes)
    assert red == []
    assert (refused, branches) == (REFUSED, BRANCHES)
    assert reached >= REACHED
    assert ways >= WAYS

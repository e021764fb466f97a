"""Scenario files: what they mean, and that whatever is wrong with one is told with its place and a remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from treadle.scenarios.document import ScenarioError
from treadle.scenarios.play import play
from treadle.scenarios.reading import read_scenarios
from treadle.scenarios.report import as_json, as_junit
from treadle.scenarios.trace import report

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
ORDERS: dict[str, Any] = {
    "StartAt": "Charge card",
    "States": {
        "Charge card": {
            "Type": "Task",
            "Resource": f"{LAMBDA}charge",
            "Retry": [{"ErrorEquals": ["Busy"]}],
            "Catch": [{"ErrorEquals": ["Declined"], "Next": "Tell"}],
            "ResultPath": "$.charge",
            "Next": "Ship",
        },
        "Ship": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True},
        "Tell": {"Type": "Pass", "End": True},
    },
}
ORDERS["States"]["Ship"]["Parameters"] = {"QueueUrl": "q", "MessageBody.$": "$$.Task.Token"}

SHIPPED = {"Ship": {"return": {"shipped": True}, "after": 10}}


def write(folder: Path, scenarios: Any, **shared: Any) -> Path:
    (folder / "orders.asl.json").write_text(json.dumps(ORDERS))
    path = folder / "orders.scenario.yaml"
    file = {"definition": "orders.asl.json", "answers": SHIPPED, "scenarios": scenarios, **shared}
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    return path


def differences(folder: Path, answers: Any, expect: Any) -> list[str]:
    (scenario,) = read_scenarios(write(folder, [{"name": "one", "answers": answers, "expect": expect}]))
    return [str(each) for each in play(scenario).differences]


CHARGED = {"Charge card": {"return": {"ok": True}, "after": 2}}
BUSY = {"Charge card": [{"error": "Busy", "cause": "try later", "times": 2}, {"return": {"ok": True}}]}

FULFILLED = [
    (CHARGED, {}),
    (CHARGED, {"status": "SUCCEEDED", "path": ["Charge card", "Ship"], "seconds": 12}),
    (CHARGED, {"output": {"shipped": True}, "seconds": {"least": 10, "most": 20}}),
    (CHARGED, {"output_contains": {}, "path_contains": ["Ship"], "seconds": {"most": 12}}),
    (BUSY, {"calls": {"Charge card": 3, f"{LAMBDA}charge": 3, "sqs:sendMessage.waitForTaskToken": 1, "*": 4}}),
    ({"Charge card": {"error": "Declined"}}, {"path": ["Charge card", "Tell"], "calls": {"Ship": 0}}),
    ({"Charge card": {"error": "Odd", "cause": "no idea"}}, {"error": "Odd", "cause_contains": "idea"}),
    ({"Charge card": {"error": "Odd", "cause": "no idea"}}, {"status": "FAILED", "cause": "no idea"}),
    ({**CHARGED, "Ship": {"never": True, "accepted": {"id": 1}}}, {"status": "RUNNING", "path_contains": ["Ship"]}),
    ({"*": {"return": 1}}, {}),
]


@pytest.mark.parametrize(("answers", "expect"), FULFILLED)
def test_what_is_expected_and_happens_is_no_difference(answers: Any, expect: Any, tmp_path: Path) -> None:
    assert differences(tmp_path, answers, expect) == []


DISAPPOINTED = [
    ({"Charge card": {"error": "Odd"}}, {}, ["status: expected SUCCEEDED, got FAILED (Odd)"]),
    (CHARGED, {"path": ["Charge card", "Tell"]}, ["state 2 of the path: expected 'Tell', got 'Ship'"]),
    (CHARGED, {"path": ["Charge card"]}, ["state 2 of the path: expected the end, got 'Ship'"]),
    (CHARGED, {"path_contains": ["Ship", "Tell"]}, ["path: expected 'Tell' after state 2, got Charge card -> Ship"]),
    (CHARGED, {"output": {}}, ["output.shipped: expected nothing, got true"]),
    (CHARGED, {"output_contains": {"shipped": 1}}, ["output.shipped: expected 1, got true"]),
    (CHARGED, {"output_contains": {"by": "ship"}}, ['output.by: expected "ship", got nothing']),
    (CHARGED, {"error": "Odd"}, ['error: expected "Odd", got null']),
    (CHARGED, {"seconds": 13}, ["seconds: expected 13, got 12"]),
    (BUSY, {"calls": {"Charge card": 1}}, ["calls of 'Charge card': expected 1, got 3"]),
    ({**CHARGED, "Ship": {"never": True}}, {}, ["status: expected SUCCEEDED, got RUNNING"]),
]


@pytest.mark.parametrize(("answers", "expect", "told"), DISAPPOINTED)
def test_what_happens_otherwise_is_told(answers: Any, expect: Any, told: list[str], tmp_path: Path) -> None:
    assert differences(tmp_path, answers, expect) == told


def test_a_call_without_an_answer_fails_the_scenario_even_where_the_workflow_catches_it(tmp_path: Path) -> None:
    definition = json.loads(json.dumps(ORDERS))
    definition["States"]["Charge card"]["Catch"][0]["ErrorEquals"] = ["States.ALL"]
    (scenario,) = read_scenarios(write(tmp_path, [{"name": "one"}], definition=definition))
    (difference,) = play(scenario).differences
    assert "answers of 'Charge card'" in str(difference)


def test_variants_fill_in_their_values_and_keep_their_types(tmp_path: Path) -> None:
    written = {
        "name": "declined",
        "with": [{"error": "Odd", "calls": 1}, {"name": "busy", "error": "Busy", "calls": 4}],
        "answers": {"Charge card": {"error": "${error}", "cause": "it is ${error}, ${calls} times"}},
        "expect": {"error": "${error}", "calls": {"Charge card": "${calls}"}, "cause_contains": "${calls} times"},
    }
    first, second = read_scenarios(write(tmp_path, [written]))
    assert first.name == "declined (error=Odd, calls=1)"
    assert second.name == "declined (name=busy, error=Busy, calls=4)"
    assert play(first).passed
    assert play(second).passed


def test_a_definition_may_stand_in_the_file(tmp_path: Path) -> None:
    (scenario,) = read_scenarios(write(tmp_path, [{"name": "one", "answers": CHARGED}], definition=ORDERS))
    assert play(scenario).passed
    assert scenario.machine.name == "orders"


FAULTS = [
    ({"scenarios": 3}, "'scenarios' is a list"),
    ({"scenarios": []}, "there is no scenario here"),
    ({"scenarios": [{}]}, "a scenario has a 'name'"),
    ({"scenarios": [{"name": "a"}, {"name": "a"}]}, "two scenarios are called 'a'"),
    ({"scenarios": [{"name": "a", "expcet": {}}]}, "a scenario has no 'expcet' (did you mean 'expect'?)"),
    ({"scenarios": [{"name": "a", "expect": {"stat": 1}}]}, "'expect' has no 'stat' (did you mean 'status'?)"),
    ({"scenarios": [{"name": "a", "expect": {"status": "OK"}}]}, "'status' is one of SUCCEEDED"),
    ({"scenarios": [{"name": "a", "expect": {"path": ["Shop"]}}]}, "no state 'Shop' (did you mean 'Ship'?)"),
    ({"scenarios": [{"name": "a", "expect": {"path": "Ship"}}]}, "'path' is a list of states; it is text"),
    ({"scenarios": [{"name": "a", "expect": {"error": 3}}]}, "'error' is text; it is a number"),
    ({"scenarios": [{"name": "a", "expect": {"seconds": {"min": 1}}}]}, "has no 'min' (known are 'least', 'most'"),
    ({"scenarios": [{"name": "a", "expect": {"calls": {"Shop": 1}}}]}, "no task or resource 'Shop'"),
    ({"scenarios": [{"name": "a", "expect": {"calls": {"Ship": -1}}}]}, "are a number, 0 or more"),
    ({"scenarios": [{"name": "a", "answers": {"Charge": {"return": 1}}}]}, "did you mean 'Charge card'?"),
    ({"scenarios": [{"name": "a", "answers": {"Ship": 5}}]}, "it is a number in the answers of 'Ship'"),
    ({"scenarios": [{"name": "a", "answers": {"Ship": []}}]}, "'Ship' has no answer"),
    ({"scenarios": [{"name": "a", "answers": {"Ship": {"retrun": 1}}}]}, "did you mean 'return'?"),
    ({"scenarios": [{"name": "a", "answers": {"Ship": {"return": 1, "error": "E"}}}]}, "not both"),
    ({"scenarios": [{"name": "a", "answers": {"Ship": {"return": 1, "after": -1}}}]}, "number of seconds"),
    ({"scenarios": [{"name": "a", "answers": {"Ship": {"return": 1, "times": 0}}}]}, "'times' says"),
    ({"scenarios": [{"name": "a", "with": []}]}, "'with' is a list of objects"),
    ({"scenarios": [{"name": "a", "with": [{"x": 1}], "input": "${y}"}]}, "no member of 'with' 'y'"),
    ({"scenarios": [{"name": "a"}], "definition": "none.asl.json"}, "none.asl.json: there is no such file"),
    ({"scenarios": [{"name": "a"}], "definition": {"StartAt": "A"}}, "required"),
    ({"scenarios": [{"name": "a"}], "definition": 3}, "'definition' is the path"),
    ({"scenarios": [{"name": "a"}], "type": "FAST"}, "'type' is STANDARD or EXPRESS"),
    ({"scenarios": [{"name": "a", "seed": "x"}]}, "'seed' is a whole number"),
]


@pytest.mark.parametrize(("file", "told"), FAULTS)
def test_a_fault_names_its_place_and_a_remedy(file: Any, told: str, tmp_path: Path) -> None:
    path = write(tmp_path, file["scenarios"], **{name: each for name, each in file.items() if name != "scenarios"})
    with pytest.raises(ScenarioError) as raised:
        read_scenarios(path)
    assert str(raised.value).startswith((f"{path}:", str(tmp_path / "none.asl.json")))
    assert told in str(raised.value)


def test_a_fault_names_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "orders.asl.json").write_text(json.dumps(ORDERS))
    path = tmp_path / "a.scenario.yaml"
    path.write_text("definition: orders.asl.json\nscenarios:\n  - name: a\n    answers:\n      Shop: {return: 1}\n")
    with pytest.raises(ScenarioError, match=r"a\.scenario\.yaml:5:7: there is no task or resource 'Shop'"):
        read_scenarios(path)


def test_a_failure_is_explained_by_the_way_of_the_run(tmp_path: Path) -> None:
    expect = {"path": ["Charge card", "Tell"], "seconds": 12}
    (scenario,) = read_scenarios(write(tmp_path, [{"name": "one", "answers": BUSY, "expect": expect}]))
    assert report(play(scenario)) == [
        "state 2 of the path: expected 'Tell', got 'Ship'",
        "seconds: expected 12, got 13",
        "",
        "        0.0s  Charge card                      Task, 3 attempts, 3s, 2 times Busy: try later",
        ">       3.0s  Ship                             Task, 10s  <- expected 'Tell'",
        "       13.0s  SUCCEEDED",
        '      output  {"shipped": true}',
    ]


@pytest.mark.parametrize(
    ("expect", "marked"),
    [
        ({"path": ["Charge card", "Ship", "Tell"]}, ">      13.0s  the end  <- expected 'Tell'"),
        ({"output": {"shipped": False}}, '>     output  {"shipped": true}  <- expected output.shipped: false'),
        ({"seconds": 12}, ">      13.0s  SUCCEEDED  <- expected seconds: 12"),
        ({"status": "FAILED"}, ">      13.0s  SUCCEEDED  <- expected status: FAILED"),
    ],
)
def test_the_first_difference_is_marked_where_it_is(expect: Any, marked: str, tmp_path: Path) -> None:
    (scenario,) = read_scenarios(write(tmp_path, [{"name": "one", "answers": BUSY, "expect": expect}]))
    lines = report(play(scenario))
    assert [each for each in lines if each.startswith(">")] == [marked]


def test_the_children_of_a_distributed_map_are_part_of_the_way(tmp_path: Path) -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Work",
        "States": {"Work": {"Type": "Task", "Resource": f"{LAMBDA}work", "End": True}},
    }
    definition = {"StartAt": "All", "States": {"All": {"Type": "Map", "ItemProcessor": processor, "End": True}}}
    answers = {"Work": [{"return": 1}, {"error": "Broke"}]}
    scenarios = [{"name": "one", "input": [1, 2], "answers": answers, "expect": {"calls": {"Work": 2}}}]
    (scenario,) = read_scenarios(write(tmp_path, scenarios, definition=definition, answers={}))
    outcome = play(scenario)
    told = "\n".join(report(outcome))
    assert "execution run-All-0: SUCCEEDED" in told
    assert "Broke" in told.partition("execution run-All-1: FAILED")[2]


def test_outcomes_as_json_and_as_junit(tmp_path: Path) -> None:
    scenarios = [
        {"name": "good", "answers": CHARGED},
        {"name": "bad <&> \x1b", "answers": {"Charge card": {"error": "Odd"}}},
    ]
    outcomes = [play(each) for each in read_scenarios(write(tmp_path, scenarios))]
    good, bad = map(as_json, outcomes)
    assert (good["passed"], good["status"], good["output"], good["seconds"]) == (
        True,
        "SUCCEEDED",
        {"shipped": True},
        12,
    )
    assert (bad["passed"], bad["error"], bad["differences"][0]["what"]) == (False, "Odd", "status")
    xml = as_junit(outcomes)
    assert '<testsuite name="orders" tests="2" failures="1" errors="0" skipped="0">' in xml
    assert 'name="bad &lt;&amp;&gt; \ufffd"' in xml
    assert "\x1b" not in xml


# ---- AWS's mock configuration ------------------------------------------------------------------------------------

MOCKS: dict[str, Any] = {
    "StateMachines": {
        "orders": {
            "TestCases": {
                "Happy": {"Charge card": "Charged", "Ship": "Shipped"},
                "Retry": {"Charge card": "Slow", "Ship": "Shipped"},
                "Short": {"Charge card": "TooFew", "Ship": "Shipped"},
                "Hybrid": {"Charge card": "Charged"},
            }
        }
    },
    "MockedResponses": {
        "Charged": {"0": {"Return": {"ok": True}}},
        "Slow": {"0-1": {"Throw": {"Error": "Busy", "Cause": "later"}}, "2": {"Return": {"ok": True}}},
        "TooFew": {"0": {"Throw": {"Error": "Busy"}}},
        "Shipped": {"0": {"Return": {"shipped": True}}},
    },
}


def mocks(folder: Path, config: Any = MOCKS) -> Path:
    (folder / "orders.asl.json").write_text(json.dumps(ORDERS))
    path = folder / "MockConfigFile.json"
    path.write_text(json.dumps(config))
    return path


def test_the_test_cases_of_a_mock_configuration_are_scenarios(tmp_path: Path) -> None:
    outcomes = {each.name: play(each) for each in read_scenarios(mocks(tmp_path))}
    assert {name: outcome.passed for name, outcome in outcomes.items()} == {
        "orders/Happy": True,
        "orders/Retry": True,
        "orders/Short": False,
        "orders/Hybrid": False,
    }
    assert outcomes["orders/Retry"].run.seconds == 3
    assert "answers of 'Charge card'" in str(outcomes["orders/Short"].differences[0])
    assert "answers of 'Ship'" in str(outcomes["orders/Hybrid"].differences[0])


def test_a_scenario_may_take_its_answers_from_a_mock_configuration(tmp_path: Path) -> None:
    mocks(tmp_path)
    written = {"name": "a", "answers": "MockConfigFile.json#Retry", "expect": {"calls": {"Charge card": 3}}}
    (scenario,) = read_scenarios(write(tmp_path, [written], answers={}))
    assert play(scenario).passed


def changed(**parts: Any) -> dict[str, Any]:
    return {**MOCKS, **parts}


def machine(**cases: Any) -> dict[str, Any]:
    return {"orders": {"TestCases": cases}}


MOCK_FAULTS = [
    (changed(StateMachines={"order": {"TestCases": {"A": {}}}}), "there is no definition for 'order'"),
    (changed(StateMachines={"orders": {"Tests": {}}}), "has no 'Tests'"),
    (changed(StateMachines=machine(A={"Shop": "Shipped"})), "no state 'Shop' (did you mean 'Ship'?)"),
    (changed(StateMachines=machine(A={"Ship": "Shiped"})), "no mocked response 'Shiped' (did you mean 'Shipped'?)"),
    (changed(MockedResponses={"Charged": {"first": {"Return": 1}}}), "'first' is no number of calls"),
    (changed(MockedResponses={"Charged": {"0-2": {"Return": 1}, "2": {"Return": 1}}}), "call 2 is answered twice"),
    (changed(MockedResponses={"Charged": {"0": {}}}), "a response has a Return or a Throw"),
    (changed(MockedResponses={"Charged": {"0": {"Throw": {"error": "x"}}}}), "a Throw has no 'error'"),
]


@pytest.mark.parametrize(("config", "told"), MOCK_FAULTS)
def test_a_fault_of_a_mock_configuration_names_its_place(config: Any, told: str, tmp_path: Path) -> None:
    path = mocks(tmp_path, config)
    with pytest.raises(ScenarioError) as raised:
        read_scenarios(path)
    assert told in str(raised.value)
    assert str(raised.value).startswith(f"{path}:1:")

"""`treadle test`: what it shows, its exit status, its files; and `--mock` with AWS's mock configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result

Treadle = Callable[..., Result]

SCENARIOS = """\
definition: orders.asl.json
answers: answers.yaml
scenarios:
  - name: a busy card is charged again
    expect: {calls: {Charge card: 2}, path_contains: [Cool down, Ship]}
  - name: nobody answers
    answers: {Ask finance: {never: true}}
    expect: {error: States.Timeout, seconds: 603}
"""


@pytest.fixture
def scenarios(folder: Path) -> Path:
    answers = json.loads((folder / "answers.yaml").read_text())
    answers["Ask finance"][0]["after"] = 120
    (folder / "answers.yaml").write_text(json.dumps(answers))
    (folder / "orders.scenario.yaml").write_text(SCENARIOS)
    return folder


def test_scenarios_that_pass(treadle: Treadle, scenarios: Path) -> None:
    result = treadle("test", "orders.scenario.yaml")
    assert result.stdout.splitlines() == [
        "ok   a busy card is charged again  orders.scenario.yaml:4:5",
        "ok   nobody answers  orders.scenario.yaml:6:5",
        "2 passed",
    ]
    assert result.exit_code == 0


def test_a_scenario_that_fails_shows_its_way(treadle: Treadle, scenarios: Path) -> None:
    (scenarios / "orders.scenario.yaml").write_text(SCENARIOS.replace("Cool down, Ship", "Ship, Cool down"))
    result = treadle("test", ".")
    assert result.exit_code == 1
    assert "FAIL a busy card is charged again" in result.stdout
    assert "path: expected 'Cool down' after state 4" in result.stdout
    assert result.stdout.endswith("1 failed, 1 passed\n")


def test_json_and_junit(treadle: Treadle, scenarios: Path) -> None:
    result = treadle("test", "orders.scenario.yaml", "--json", "--junit", "report.xml", "-k", "nobody")
    (told,) = json.loads(result.stdout)
    assert (told["name"], told["passed"], told["error"]) == ("nobody answers", True, "States.Timeout")
    assert ElementTree.parse(scenarios / "report.xml").getroot().attrib["tests"] == "1"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nothing.yaml",), "nothing.yaml: there is no such file."),
        (("functions",), "no *.scenario.yaml is here"),
        (("orders.scenario.yaml", "-k", "xyz"), "-k: none of 2 scenarios has 'xyz'"),
        (("orders.scenario.yaml", "--junit", "no/such.xml"), "--junit: no/such.xml cannot be written"),
        (("answers.yaml",), "a scenario file has no 'Charge card'"),
    ],
)
def test_what_is_wrong_with_the_command_is_told_with_status_2(
    treadle: Treadle, scenarios: Path, words: tuple[str, ...], told: str
) -> None:
    result = treadle("test", *words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_mock_configuration_answers_a_run(treadle: Treadle, folder: Path) -> None:
    mocked = {"Throw": {"Error": "Busy"}}
    config = {
        "StateMachines": {"orders": {"TestCases": {"Busy": {"Charge card": "C", "Ask finance": "A", "Ship": "A"}}}},
        "MockedResponses": {"C": {"0-1": mocked, "2": {"Return": 5}}, "A": {"0": {"Return": {}}}},
    }
    (folder / "MockConfigFile.json").write_text(json.dumps(config))
    command = ("run", "orders.asl.json", "--virtual-time", "--mock")
    result = treadle(*command, "MockConfigFile.json#orders/Busy")
    assert json.loads(result.stdout)["charge"] == 5
    assert "retry 2" in result.stderr
    nameless = treadle(*command, "MockConfigFile.json")
    assert (nameless.exit_code, "name one, such as MockConfigFile.json#orders/Busy" in nameless.stderr) == (2, True)
    unknown = treadle(*command, "MockConfigFile.json#Bussy")
    assert (unknown.exit_code, "there is no test case 'Bussy'" in unknown.stderr) == (2, True)


def test_exploring_tells_what_ends_badly_and_writes_scenarios_that_are_green(treadle: Treadle, folder: Path) -> None:
    result = treadle("test", "--explore", "orders.asl.json", "--write", "found")
    assert result.exit_code == 1, result.stderr
    assert "orders.asl.json: 3 of 3 branches reached" in result.stdout
    assert "! uncaught: 'Ship' fails with Unexpected: nothing catches it" in result.stdout
    assert treadle("test", "found").exit_code == 0
    again = treadle("test", "--explore", "orders.asl.json", "--write", "found")
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    result = treadle("test", "--explore", "orders.asl.json", "--json", "--accept", "uncaught", "--accept", "forgotten")
    (told,) = json.loads(result.stdout)
    assert (told["branches"], told["reached"], told["ways"][0]["status"]) == (3, 3, "SUCCEEDED")
    assert ({each["fails"] for each in told["findings"]}, result.exit_code) == ({False}, 0)


def test_what_was_not_found_fails_only_when_strict(treadle: Treadle, folder: Path) -> None:
    rules = [{"Variable": "$.n", "NumericEquals": 1, "Next": "Odd"}]
    states = {
        "Set": {"Type": "Pass", "Result": {"n": 2}, "Next": "Which"},
        "Which": {"Type": "Choice", "Choices": rules, "Default": "End"},
        "Odd": {"Type": "Succeed"},
        "End": {"Type": "Succeed"},
    }
    (folder / "fixed.asl.json").write_text(json.dumps({"StartAt": "Set", "States": states}))
    result = treadle("test", "--explore", "fixed.asl.json")
    assert (result.exit_code, "- not-found: 'Which' was not seen to go to 'Odd'" in result.stdout) == (0, True)
    strict = treadle("test", "--explore", "fixed.asl.json", "--strict", "--junit", "report.xml")
    assert (strict.exit_code, "! not-found: 'Which' was not seen to go to 'Odd'" in strict.stdout) == (1, True)
    suites = ElementTree.parse(folder / "report.xml").getroot()
    assert (suites.attrib["tests"], suites.attrib["failures"]) == ("3", "2")
    assert [each.attrib["name"] for each in suites.iter("testcase") if len(each)] == [
        "not-found: Which",
        "not-found: Odd",
    ]


@pytest.mark.parametrize("option", [("--write", "found"), ("--failures", "2"), ("--accept", "endless"), ("--strict",)])
def test_an_option_of_explore_without_it_is_refused(treadle: Treadle, scenarios: Path, option: tuple[str, ...]) -> None:
    result = treadle("test", "orders.scenario.yaml", *option)
    assert (result.exit_code, f"{option[0]}: it goes with --explore" in result.stderr) == (2, True)

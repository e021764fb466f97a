"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = "pytester"

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
DEFINITION = {
    "StartAt": "Charge card",
    "States": {
        "Charge card": {
            "Type": "Task",
            "Resource": f"{LAMBDA}charge",
            "Retry": [{"ErrorEquals": ["Busy"]}],
            "Next": "Cool down",
        },
        "Cool down": {"Type": "Wait", "Seconds": 60, "End": True},
    },
}
SCENARIOS = """\
definition: orders.asl.json
scenarios:
  - name: good
    answers: {Charge card: {return: 1}}
    expect: {output: 1}
  - name: bad
    answers: {Charge card: [{error: Busy, cause: later}, {return: 1}]}
    expect: {path: [Charge card]}
"""
TESTS = """\
from treadle.testing import Returns

def test_good(treadle_run):
    run = treadle_run("orders.asl.json", {"n": 5}, {"Charge card": lambda event: Returns(event["n"], after=2)})
    assert (run.output, run.seconds) == (5, 62)

def test_bad(treadle_run):
    run = treadle_run("orders.asl.json", tasks={"Charge card": 1})
    assert run.output == 2

def test_unlike(treadle_run):
    treadle_run("orders.asl.json", tasks={"Charge card": 1}, expect={"path": ["Cool down"]})
"""


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder whose pytest has this plugin alone, installed or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (pytester.path / "orders.asl.json").write_text(json.dumps(DEFINITION))
    return pytester


def outcome(inner: pytest.Pytester, *words: str) -> pytest.RunResult:
    return inner.runpytest_subprocess("-p", "treadle.pytest_plugin", "-W", "error", *words)


def test_scenarios_are_collected_and_a_failure_shows_the_way(inner: pytest.Pytester) -> None:
    (inner.path / "orders.scenario.yaml").write_text(SCENARIOS)
    result = outcome(inner, "-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "orders.scenario.yaml::good PASSED*",
            "state 2 of the path: expected the end, got 'Cool down'",
            "*Charge card * Task, 2 attempts, 1s, Busy: later",
            "> *1.0s  Cool down * Wait, 60s  <- expected the end",
            "*61.0s  SUCCEEDED",
            "orders.scenario.yaml:*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_wrong_file_is_told_at_collection(inner: pytest.Pytester) -> None:
    (inner.path / "orders.scenario.yaml").write_text(SCENARIOS.replace("Charge card:", "Charge:"))
    result = outcome(inner)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["orders.scenario.yaml:4:15: there is no task or resource 'Charge'*'Charge card'?*"])


def test_the_fixture_plays_a_workflow_and_a_failed_test_shows_its_runs(inner: pytest.Pytester) -> None:
    inner.makepyfile(TESTS)
    result = outcome(inner)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*- treadle run 1 -*",
            "*Cool down * Wait, 60s",
            "*output  1",
            "*ScenarioFailed: state 1 of the path: expected 'Cool down', got 'Charge card'",
            "*> *Charge card*  <- expected 'Cool down'",
        ]
    )


def test_the_plugin_costs_nothing_before_a_scenario_is_met() -> None:
    script = "import sys, treadle.pytest_plugin; print(sorted(m for m in sys.modules if m.startswith('treadle')))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "['treadle', 'treadle.exports', 'treadle.pytest_plugin']\n"


def test_the_plugin_is_declared_to_pytest() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"treadle": "treadle.pytest_plugin"}

"""`treadle executions`, `tasks` and `verify` on a store that no process holds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Treadle = Callable[..., Result]
RUN = ("run", "short.asl.json", "--mock", "all.yaml")


@pytest.fixture
def filled(treadle: Treadle, folder: Path) -> Treadle:
    """A store with `good`, which succeeded, and `bad`, which failed in Ship."""
    (folder / "all.yaml").write_text("'*': {return: {x: 1}}")
    (folder / "broken.yaml").write_text("Ship: {error: Storm, cause: at sea}\n'*': {return: {x: 1}}")
    assert treadle(*RUN, "--name", "good").exit_code == 0
    assert treadle("run", "short.asl.json", "--mock", "broken.yaml", "--name", "bad").exit_code == 1
    return treadle


def test_executions_are_listed_the_newest_first(filled: Treadle) -> None:
    lines = filled("executions", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["bad", "FAILED"], ["good", "SUCCEEDED"]]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--status", "FAILED"), ["bad"]),
        (("--machine", "short"), ["bad", "good"]),
        (("--machine", "other"), []),
        (("--limit", "1"), ["bad"]),
        (("--limit", "1", "--after", "bad"), ["good"]),
    ],
)
def test_a_list_is_narrowed(filled: Treadle, words: tuple[str, ...], names: list[str]) -> None:
    told = json.loads(filled("executions", "list", "--json", *words).stdout)
    assert [each["name"] for each in told["executions"]] == names
    assert (told["next"] is not None) == (words == ("--limit", "1"))


def test_show_tells_status_times_and_data(filled: Treadle) -> None:
    shown = filled("executions", "show", "bad").stdout
    assert "FAILED" in shown
    assert "Storm" in shown
    told = json.loads(filled("executions", "show", "short:good", "--json").stdout)
    assert (told["status"], told["waits"], told["output"]["charge"]) == ("SUCCEEDED", [], {"x": 1})


def test_the_history_is_a_timeline_or_that_of_aws(filled: Treadle) -> None:
    timeline = filled("executions", "history", "bad").stdout
    assert timeline.splitlines()[-1] == "FAILED Storm: at sea"
    assert "Ship Task" in timeline
    events = json.loads(filled("executions", "history", "bad", "--aws").stdout)["events"]
    assert events[0]["executionStartedEventDetails"]["input"] == "{}"
    assert events[-1]["type"] == "ExecutionFailed"


def test_a_redrive_goes_on_where_it_failed(filled: Treadle) -> None:
    result = filled("executions", "redrive", "bad", "--mock", "all.yaml", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["status"], told["redriveCount"]) == (0, "SUCCEEDED", 1)
    assert "Charge card" not in result.stderr
    again = filled("executions", "redrive", "bad", "--mock", "all.yaml")
    assert (again.exit_code, "ExecutionNotRedrivable" in again.stderr) == (2, True)


def test_a_redrive_asks_only_for_what_lies_ahead(filled: Treadle, folder: Path) -> None:
    result = filled("executions", "redrive", "bad")
    assert result.exit_code == 2
    assert "'Ship'" in result.stderr
    assert "'Charge card'" not in result.stderr


def test_a_fork_runs_a_copy_with_other_data(filled: Treadle) -> None:
    result = filled(
        *("executions", "fork", "good", "--from", "Ship", "--input", '{"other": 1}', "--name", "copy"),
        *("--mock", "all.yaml"),
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"other": 1}
    original = json.loads(filled("executions", "show", "good", "--json").stdout)
    assert original["output"] != {"other": 1}
    assert filled("verify").exit_code == 0


def test_a_fork_sets_variables(treadle: Treadle, folder: Path) -> None:
    definition: dict[str, Any] = {
        "QueryLanguage": "JSONata",
        "StartAt": "Set",
        "States": {
            "Set": {"Type": "Pass", "Assign": {"x": 1}, "Next": "Get"},
            "Get": {"Type": "Pass", "Output": "{% $x %}", "End": True},
        },
    }
    (folder / "v.asl.json").write_text(json.dumps(definition))
    treadle("run", "v.asl.json", "--name", "v")
    result = treadle("executions", "fork", "v", "--event", "4", "--variables", '{"x": 5}')
    assert (result.exit_code, result.stdout) == (0, "5\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("executions", "show", "nobody"), "nobody: there is no such execution"),
        (("executions", "show", "short:nobody"), "ExecutionDoesNotExist"),
        (("executions", "list", "--store", "gone"), "gone: there is no store here"),
        (("executions", "fork", "good"), "either --from STATE or --event ID"),
        (("executions", "fork", "good", "--from", "Nowhere"), "it entered Charge card, Ask finance"),
        (("executions", "fork", "good", "--event", "1", "--mock", "all.yaml"), "does not enter a state"),
        (("executions", "fork", "good", "--from", "Ship", "--variables", "5"), "--variables: an object"),
        (("tasks", "succeed", "good", "Ship"), "good has no such open task; open: none"),
        (("tasks", "list", "--limit", "0"), "--limit"),
    ],
)
def test_what_is_wrong_names_the_remedy(filled: Treadle, words: tuple[str, ...], told: str) -> None:
    result = filled(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


# ---- a run that waits, with nobody at work ---------------------------------------------------------------------


@pytest.fixture
def waiting(treadle: Treadle, folder: Path, start: Callable[..., Any]) -> Treadle:
    """A store with `order-7`, which waits for an answer."""
    running = start("run", "short.asl.json", "--mock", "waiting.yaml", "--name", "order-7")
    running.wait_for("answer it with")
    running.kill()
    return treadle


def test_an_answer_waits_in_the_store_for_the_next_run(waiting: Treadle) -> None:
    assert "order-7" in waiting("tasks", "list").stdout
    answered = waiting("tasks", "succeed", "order-7", "Ask finance", "--output", '{"by": "ann"}')
    assert answered.exit_code == 0
    assert "goes on with:\n  treadle run short.asl.json" in answered.stderr
    assert waiting("tasks", "list", "--json").stdout == "[]\n"
    assert waiting("verify").exit_code == 0
    result = waiting("run", "short.asl.json", "--mock", "waiting.yaml", "--name", "order-7")
    assert json.loads(result.stdout)["approval"] == {"by": "ann"}


def test_a_failure_that_ends_the_execution_is_told(waiting: Treadle) -> None:
    failed = waiting("tasks", "fail", "order-7", "Ask finance", "--error", "No")
    assert (failed.exit_code, "the execution has ended: FAILED" in failed.stderr) == (0, True)


def test_a_heartbeat_moves_its_moment(waiting: Treadle) -> None:
    def until() -> float:
        return json.loads(waiting("tasks", "list", "order-7", "--json").stdout)[0]["heartbeat_due"]

    before = until()
    assert waiting("tasks", "heartbeat", "order-7", "Ask finance").exit_code == 0
    assert until() > before


def test_stopping_without_a_process_at_work(waiting: Treadle) -> None:
    assert waiting("executions", "stop", "order-7", "--cause", "enough").exit_code == 0
    assert json.loads(waiting("executions", "show", "order-7", "--json").stdout)["status"] == "ABORTED"


def test_another_execution_leaves_open_calls_alone(waiting: Treadle, folder: Path) -> None:
    """The second run has neither the mock nor the functions of the first."""
    waiting("tasks", "succeed", "order-7", "Ask finance")
    (folder / "x.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}')
    assert waiting("run", "x.asl.json").exit_code == 0
    assert json.loads(waiting("executions", "show", "order-7", "--json").stdout)["status"] == "RUNNING"


# ---- verify ------------------------------------------------------------------------------------------------------

DAMAGES = {
    "a flipped byte in a journal": (
        "UPDATE journal SET entries = CAST(substr(entries, 1, length(entries) - 1) || '?' AS BLOB) WHERE first = 0",
        "damaged",
    ),
    "a journal row that is gone": ("DELETE FROM journal WHERE first > 0", "lacks"),
    "a wait that is gone": ("DELETE FROM waits", "the journal has it open at entry"),
}


@pytest.mark.parametrize(("statement", "told"), DAMAGES.values(), ids=DAMAGES)
def test_verify_names_what_is_wrong(waiting: Treadle, folder: Path, statement: str, told: str) -> None:
    assert waiting("verify").stdout == "1 executions, 0 findings\n"
    connection = sqlite3.connect(folder / ".treadle" / "treadle.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    result = waiting("verify", "--json")
    findings = json.loads(result.stdout)["findings"]
    assert result.exit_code == 1
    assert any("order-7" in each["execution"] and told in each["finding"] for each in findings), findings


def test_a_damaged_file_is_told_in_one_line(treadle: Treadle, folder: Path) -> None:
    (folder / ".treadle").mkdir()
    (folder / ".treadle" / "treadle.db").write_text("this is no database, whatever its name says" * 100)
    result = treadle("verify")
    assert (result.exit_code, len(result.stderr.splitlines())) == (3, 1)

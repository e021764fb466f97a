"""`treadle run` in this process: outcomes, exit statuses, virtual time, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Treadle = Callable[..., Result]
VIRTUAL = ("--mock", "answers.yaml", "--virtual-time")

GOLDEN = """\
Execution order-7 of orders, kept in memory only
      0.0s Charge card Task
      0.0s  ├ failed Busy: try later
      0.0s  ├ retry 1 in 1.0s
      3.0s  └ done after 3.0s
      3.0s Ask finance Task
      3.0s  ├ waits for an answer, a heartbeat every 10m
      3.0s  ├ only --mock can answer it here: nobody else sees what is kept in memory
    123.0s  └ done after 2m
    123.0s Cool down Wait
    123.0s  ├ waits until 2026-01-02T00:02:03Z
  86523.0s  └ done after 1d
  86523.0s Ship Task
  86523.0s  └ done after 0.0s
SUCCEEDED after 1d 2m 3s, 23 events
"""


def test_what_is_no_terminal_gets_plain_lines_and_the_output(treadle: Treadle, folder: Path) -> None:
    answers = json.loads((folder / "answers.yaml").read_text())
    answers["Ask finance"][0]["after"] = 120
    (folder / "answers.yaml").write_text(json.dumps(answers))
    result = treadle("run", "orders.asl.json", *VIRTUAL, "--name", "order-7", "--input", '{"order": 7}')
    assert result.exit_code == 0
    assert result.stderr == GOLDEN
    assert json.loads(result.stdout) == {"order": 7, "charge": {"ok": True}, "approval": {"by": "mira"}}


def test_a_missed_heartbeat_fails_the_execution_with_status_1(treadle: Treadle) -> None:
    result = treadle("run", "orders.asl.json", *VIRTUAL)
    assert result.exit_code == 1
    assert "FAILED States.Timeout" in result.stderr
    assert result.stdout == ""


def test_json_has_the_outcome_and_the_history(treadle: Treadle, folder: Path) -> None:
    (folder / "answers.yaml").write_text('{"*": {"return": 5}}')
    result = treadle("run", "orders.asl.json", *VIRTUAL, "--json", "--name", "x")
    told = json.loads(result.stdout)
    assert (told["status"], told["output"]["charge"], told["name"]) == ("SUCCEEDED", 5, "x")
    assert told["executionArn"].endswith(":execution:orders:x")
    assert [event["id"] for event in told["history"]] == list(range(1, len(told["history"]) + 1))
    assert "Charge card" not in result.stderr


def test_json_of_a_failure_has_error_and_cause(treadle: Treadle, folder: Path) -> None:
    (folder / "answers.yaml").write_text("Charge card: {error: Broke, cause: no money}\n'*': {return: 1}")
    result = treadle("run", "orders.asl.json", *VIRTUAL, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["status"], told["error"], told["cause"]) == (1, "FAILED", "Broke", "no money")


def test_a_seed_makes_two_runs_the_same(treadle: Treadle, folder: Path) -> None:
    definition: dict[str, Any] = {
        "StartAt": "Draw",
        "States": {
            "Draw": {"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "Next": "Try"},
            "Try": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                "Parameters": {"QueueUrl": "q", "MessageBody.$": "$$.Task.Token"},
                "Retry": [{"ErrorEquals": ["States.ALL"], "JitterStrategy": "FULL", "MaxAttempts": 3}],
                "End": True,
            },
        },
    }
    (folder / "draw.asl.json").write_text(json.dumps(definition))
    (folder / "draw.yaml").write_text("Try: [{error: No}, {error: No}, {return: 1}]")
    command = ("run", "draw.asl.json", "--mock", "draw.yaml", "--virtual-time", "--json", "--seed")
    first, again, other = (treadle(*command, seed) for seed in ("one", "one", "two"))
    assert first.stdout == again.stdout
    assert first.stdout != other.stdout
    assert json.loads(first.stdout)["status"] == "SUCCEEDED"


def test_handlers_run_in_this_process_in_virtual_time(treadle: Treadle, folder: Path) -> None:
    (folder / "finance.yaml").write_text("Ask finance: {return: 1}")
    result = treadle(
        *("run", "orders.asl.json", "--mock", "finance.yaml", "--functions", "functions", "--virtual-time"),
        *("--input", '{"order": 5}'),
    )
    assert (result.exit_code, json.loads(result.stdout)["charge"]) == (0, 5)


def test_what_nobody_will_ever_answer_stands_still(treadle: Treadle, folder: Path) -> None:
    ask = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True}
    ask["Parameters"] = {"MessageBody.$": "$$.Task.Token"}
    (folder / "ask.asl.json").write_text(json.dumps({"StartAt": "Ask", "States": {"Ask": ask}}))
    (folder / "never.yaml").write_text("Ask: {never: true}")
    result = treadle("run", "ask.asl.json", "--mock", "never.yaml", "--virtual-time")
    assert "It stands still" in result.stderr
    assert (result.exit_code, result.stdout) == (1, "")


def test_express_runs_in_memory(treadle: Treadle, folder: Path) -> None:
    (folder / "e.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": 3, "End": true}}}')
    result = treadle("run", "e.asl.json", "--type", "EXPRESS", "--json")
    told = json.loads(result.stdout)
    assert (told["output"], ":express:e:" in told["executionArn"]) == (3, True)
    assert not (folder / ".treadle").exists()


def test_an_express_execution_ends_after_five_minutes(treadle: Treadle, folder: Path) -> None:
    wait = {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 301, "End": True}}}
    (folder / "e.asl.json").write_text(json.dumps(wait))
    result = treadle("run", "e.asl.json", "--type", "EXPRESS", "--virtual-time")
    assert (result.exit_code, "TIMED_OUT" in result.stderr) == (1, True)


def test_a_nested_machine_is_found_beside_the_definition(treadle: Treadle, folder: Path) -> None:
    parent = {
        "StartAt": "Nest",
        "States": {
            "Nest": {
                "Type": "Task",
                "Resource": "arn:aws:states:::states:startExecution.sync:2",
                "Parameters": {
                    "StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:child",
                    "Input": {"a": 1},
                },
                "OutputPath": "$.Output",
                "End": True,
            }
        },
    }
    (folder / "parent.asl.json").write_text(json.dumps(parent))
    result = treadle("run", "parent.asl.json", "--virtual-time")
    assert (result.exit_code, "child.asl.json" in result.stderr) == (2, True)
    child = "StartAt: Sleep\nStates:\n  Sleep: {Type: Wait, Seconds: 60, End: true}\n"
    (folder / "child.asl.yaml").write_text(child)
    result = treadle("run", "parent.asl.json", "--virtual-time")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"a": 1})
    assert "Sleep Wait" in result.stderr


def test_an_activity_is_taken_and_answered_by_the_mock(treadle: Treadle, folder: Path) -> None:
    work = "arn:aws:states:us-east-1:123456789012:activity:work"
    definition = {"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": work, "End": True}}}
    (folder / "work.asl.json").write_text(json.dumps(definition))
    (folder / "work.yaml").write_text("Work: {return: 9, after: 5}")
    result = treadle("run", "work.asl.json", "--mock", "work.yaml", "--virtual-time")
    assert (result.exit_code, result.stdout) == (0, "9\n")


def test_escapes_for_the_terminal_in_data_are_shown_and_not_sent(treadle: Treadle, folder: Path) -> None:
    (folder / "answers.yaml").write_text(
        json.dumps({"Charge card": {"error": "Evil", "cause": "\x1b]0;x\x07"}, "*": {"return": 1}})
    )
    result = treadle("run", "orders.asl.json", *VIRTUAL)
    assert "\x1b" not in result.output
    assert "\\x1b]0;x\\x07" in result.stderr


WRONG: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    ("no definition", ("run",), ("DEFINITION", "treadle run --help")),
    ("a missing file", ("run", "nope.json"), ("nope.json: there is no such file",)),
    ("a folder", ("run", "functions"), ("functions is a folder",)),
    ("an unknown option", ("run", "--nope"), ("--nope",)),
    ("an unknown command", ("walk",), ("walk",)),
    ("input that is no JSON", ("run", "orders.asl.json", "--input", "{"), ("--input:1:2: not JSON",)),
    ("input twice", ("run", "orders.asl.json", "--input", "1", "--input-file", "x"), ("both given",)),
    ("a bad input file", ("run", "orders.asl.json", "--input-file", "bad.json"), ("bad.json:2:3: not JSON",)),
    ("a constant", ("run", "orders.asl.json", "--input", "NaN"), ("NaN is no JSON number",)),
    ("a bad name", ("run", "orders.asl.json", "--name", "a:b"), ("--name: 'a:b'",)),
    ("no functions", ("run", "orders.asl.json"), ("orders.asl.json:4:5", "'Charge card'", "--functions")),
    (
        "an unknown function",
        ("run", "orders.asl.json", "--functions", "few", "--mock", "finance.yaml"),
        ("orders.asl.json:35:5", "'Ship'", "'ship'", "few", "add ship.py"),
    ),
    ("no folder of functions", ("run", "orders.asl.json", "--functions", "gone"), ("gone does not exist",)),
    ("no mock", ("run", "orders.asl.json", "--mock", "gone.yaml"), ("gone.yaml: there is no such file",)),
    ("a mock of another form", ("run", "orders.asl.json", "--mock", "odd.yaml"), ("odd.yaml:1:1", "Ship")),
    ("a mock that is a list", ("run", "orders.asl.json", "--mock", "list.yaml"), ("list.yaml:1:1",)),
    ("a mock with a typo", ("run", "orders.asl.json", "--mock", "typo.yaml"), ("typo.yaml:2:5", "'afer'")),
    ("a definition that cannot run", ("run", "bad.asl.json"), ("bad.asl.json:1:", "MISSING_TRANSITION_TARGET", "Gone")),
    ("Express that is kept", ("run", "orders.asl.json", "--type", "EXPRESS", "--store", "x"), ("--store",)),
    ("an unknown store", ("run", "ok.asl.json", "--store", "mysql://x"), ("mysql://x",)),
]


@pytest.mark.parametrize(("words", "told"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_told_in_one_line(
    treadle: Treadle, folder: Path, words: tuple[str, ...], told: tuple[str, ...]
) -> None:
    (folder / "bad.json").write_text("{\n  x")
    (folder / "odd.yaml").write_text("Ship: 5")
    (folder / "list.yaml").write_text("[1]")
    (folder / "typo.yaml").write_text("Ship:\n  - {return: 1, afer: 2}\n")
    (folder / "finance.yaml").write_text("Ask finance: {never: true}")
    (folder / "ok.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}')
    (folder / "bad.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Gone"}}}')
    (folder / "few").mkdir()
    (folder / "few" / "charge.py").write_text("def handler(event, context): ...\n")
    result = treadle(*words)
    assert result.exit_code in (2, 3), result.output
    assert result.stdout == ""
    assert all(text in result.stderr for text in told), result.stderr
    assert all(line.startswith("treadle: ") for line in result.stderr.splitlines())
    assert "Traceback" not in result.stderr


def test_debug_shows_where_an_error_comes_from(treadle: Treadle) -> None:
    result = treadle("run", "nope.json", "--debug")
    assert result.exception is not None
    assert not isinstance(result.exception, SystemExit)

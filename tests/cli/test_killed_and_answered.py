"""The command in processes of its own: killed, interrupted, asked and answered from beside."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Treadle = Callable[..., Result]
Start = Callable[..., Any]
RUN = ("run", "short.asl.json", "--mock", "waiting.yaml", "--name", "order-7", "--input", '{"order": 7}')


def test_a_killed_run_goes_on_with_the_same_command(treadle: Treadle, start: Start, folder: Path) -> None:
    first = start(*RUN)
    first.wait_for("answer it with")
    assert first.kill() == -signal.SIGKILL
    assert (folder / ".treadle" / "treadle.db.sock").exists()
    second = start(*RUN)
    second.wait_for("answer it with")
    assert "Execution order-7 goes on where it stopped, after 10 entries" in second.told
    assert treadle("tasks", "succeed", "order-7", "Ask finance", "--output", '{"by": "mira"}').exit_code == 0
    status, out, told = second.end()
    assert (status, json.loads(out)["approval"]) == (0, {"by": "mira"})
    assert "SUCCEEDED" in told
    assert treadle("verify").exit_code == 0


def test_a_killed_run_with_functions_makes_its_call_again(treadle: Treadle, start: Start, folder: Path) -> None:
    (folder / "functions" / "charge.py").write_text(
        "import pathlib, time\n"
        "def handler(event, context):\n"
        "    calls = pathlib.Path('calls')\n"
        "    with calls.open('a') as file: file.write('call\\n')\n"
        "    while len(calls.read_text().split()) < 2: time.sleep(0.01)\n"
        "    return 'charged'\n"
    )
    (folder / "functions" / "functions.yaml").write_text("charge: {timeout: 60}\n")
    (folder / "finance.yaml").write_text("Ask finance: {return: {by: mira}}\n")
    command = ("run", "short.asl.json", "--functions", "functions", "--mock", "finance.yaml", "--name", "a")
    first = start(*command)
    first.wait_for("Charge card")
    calls = folder / "functions" / "calls"
    while not calls.exists() or not calls.read_text():
        os.sched_yield()
    first.kill()
    status, out, _ = start(*command).end()
    assert (status, json.loads(out)["charge"]) == (0, "charged")
    assert calls.read_text() == "call\ncall\n"


def test_an_ended_execution_is_told_again(treadle: Treadle, folder: Path) -> None:
    (folder / "all.yaml").write_text("'*': {return: 1}")
    command = ("run", "short.asl.json", "--mock", "all.yaml", "--name", "a", "--input", "{}")
    first, again = treadle(*command), treadle(*command)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert first.stdout == again.stdout
    assert "Execution a ended before" in again.stderr
    other = treadle("run", "short.asl.json", "--name", "a", "--input", "5")
    assert (other.exit_code, "another input" in other.stderr) == (2, True)


def test_an_interrupted_run_says_how_to_go_on(treadle: Treadle, start: Start) -> None:
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        running = start(*RUN)
        running.wait_for("answer it with")
        assert running.kill(number) == status
        assert "treadle run short.asl.json --mock waiting.yaml --name order-7" in running.told
    answered = treadle("tasks", "succeed", "order-7", "Ask finance")
    assert "It goes on with:\n  treadle run short.asl.json --mock waiting.yaml --name order-7" in answered.stderr
    status, _, _ = start("run", "short.asl.json", "--mock", "waiting.yaml", "--name", "order-7").end()
    assert status == 0


def test_a_running_execution_is_seen_and_answered_from_beside(treadle: Treadle, start: Start, folder: Path) -> None:
    running = start(*RUN)
    running.wait_for("answer it with: treadle tasks succeed order-7 'Ask finance' --output '{}'")
    socket = folder / ".treadle" / "treadle.db.sock"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600

    assert "RUNNING" in treadle("executions", "list").stdout
    shown = json.loads(treadle("executions", "show", "order-7", "--json").stdout)
    assert [wait["state"] for wait in shown["waits"]] == ["Ask finance"]
    assert "Ask finance Task" in treadle("executions", "history", "order-7").stdout
    assert treadle("tasks", "heartbeat", "order-7", "Ask finance").exit_code == 0
    plain = treadle("tasks", "list", "--json").stdout
    assert "token" not in plain
    assert json.loads(treadle("tasks", "list", "--json", "--tokens").stdout)[0]["token"]
    assert treadle("verify").exit_code == 3

    failed = treadle("tasks", "fail", "order-7", "Ask finance", "--error", "Rejected", "--cause", "too much")
    assert failed.exit_code == 0
    assert "goes on with" not in failed.stderr
    status, _, told = running.end()
    assert (status, "FAILED Rejected: too much" in told) == (1, True)
    assert not socket.exists()


def test_a_running_execution_is_stopped_from_beside(treadle: Treadle, start: Start) -> None:
    running = start(*RUN)
    running.wait_for("answer it with")
    assert treadle("executions", "stop", "order-7", "--error", "Enough").exit_code == 0
    status, _, told = running.end()
    assert (status, "ABORTED Enough" in told) == (1, True)


def test_a_second_run_on_the_same_store_is_refused(start: Start) -> None:
    running = start(*RUN)
    running.wait_for("answer it with")
    status, _, told = start("run", "short.asl.json", "--mock", "waiting.yaml").end()
    assert (status, "already works on the store" in told) == (3, True)


def test_a_socket_that_nobody_listens_at_is_told(treadle: Treadle, start: Start, folder: Path) -> None:
    running = start(*RUN)
    running.wait_for("answer it with")
    (folder / ".treadle" / "treadle.db.sock").unlink()
    result = treadle("executions", "list")
    assert (result.exit_code, "already works on the store" in result.stderr) == (3, True)


def test_a_terminal_gets_colours_and_an_area_that_is_renewed(folder: Path) -> None:
    (folder / "wait.asl.json").write_text('{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":1,"End":true}}}')
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "treadle", "run", "wait.asl.json"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:
        pass  # the end of a terminal
    finally:
        os.close(ours)
    assert process.wait(20) == 0
    assert b"\x1b[" in shown
    assert re.search(rb"waits, 0\.\ds left", shown)
    assert b"SUCCEEDED" in shown


def test_a_closed_pipe_leaves_no_traceback(folder: Path) -> None:
    (folder / "x.asl.json").write_text('{"StartAt":"W","States":{"W":{"Type":"Pass","End":true}}}')
    process = subprocess.run(
        f"{sys.executable} -m treadle graph x.asl.json | true", shell=True, capture_output=True, cwd=folder, check=False
    )
    assert process.stderr == b""


def test_scripted_answers_keep_their_turns_when_the_run_is_killed(start: Start, treadle: Treadle, folder: Path) -> None:
    call = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"}
    ask = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken"}
    states = {
        "One": {**call, "ResultPath": "$.one", "Next": "Ask"},
        "Ask": {**ask, "Parameters": {"MessageBody.$": "$$.Task.Token"}, "ResultPath": "$.ask", "Next": "Two"},
        "Two": {**call, "ResultPath": "$.two", "End": True},
    }
    (folder / "turns.asl.json").write_text(json.dumps({"StartAt": "One", "States": states}))
    answers = {call["Resource"]: [{"return": 1}, {"return": 2}], "Ask": {"never": True}}
    (folder / "turns.yaml").write_text(json.dumps(answers))
    command = ("run", "turns.asl.json", "--mock", "turns.yaml", "--name", "t")
    first = start(*command)
    first.wait_for("answer it with")
    first.kill()
    treadle("tasks", "succeed", "t", "Ask")
    assert json.loads(treadle(*command).stdout) == {"one": 1, "ask": {}, "two": 2}


NESTING = {
    "StartAt": "Nest",
    "States": {
        "Nest": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Parameters": {"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:child"},
            "OutputPath": "$.Output",
            "End": True,
        }
    },
}


@pytest.fixture
def nested(folder: Path) -> tuple[str, ...]:
    """The command for an execution whose nested one waits for an answer."""
    ask: dict[str, Any] = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True}
    ask["Parameters"] = {"MessageBody.$": "$$.Task.Token"}
    (folder / "parent.asl.json").write_text(json.dumps(NESTING))
    (folder / "child.asl.json").write_text(json.dumps({"StartAt": "Ask", "States": {"Ask": ask}}))
    (folder / "never.yaml").write_text("Ask: {never: true}")
    return "run", "parent.asl.json", "--mock", "never.yaml", "--name", "p"


def test_a_nested_execution_goes_on_with_its_parent(treadle: Treadle, start: Start, nested: tuple[str, ...]) -> None:
    first = start(*nested)
    first.wait_for("answer it with")
    first.kill()
    second = start(*nested)
    second.wait_for("answer it with")
    (task,) = json.loads(treadle("tasks", "list", "--json").stdout)
    assert ":child:" in task["arn"]
    assert treadle("tasks", "succeed", task["arn"], "Ask", "--output", "5").exit_code == 0
    status, out, _ = second.end()
    assert (status, out) == (0, "5\n")
    assert treadle("verify").exit_code == 0


def test_a_nested_execution_stops_with_its_parent(treadle: Treadle, start: Start, nested: tuple[str, ...]) -> None:
    running = start(*nested)
    running.wait_for("answer it with")
    running.kill()
    assert treadle("executions", "stop", "p").exit_code == 0
    told = json.loads(treadle("executions", "list", "--json").stdout)["executions"]
    assert [each["status"] for each in told] == ["ABORTED", "ABORTED"]

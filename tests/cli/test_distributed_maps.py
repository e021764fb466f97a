"""Distributed Maps on the command line: over a folder, shown while they run, killed, stopped, verified."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from local_cloud import LocalCloud
from mapped_rows import check, in_folder, in_s3, machine
from treadle.machine.journal import json_text

Treadle = Callable[..., Result]
STORE = ("--store", ".treadle")


def definition(folder: Path, *states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A distributed Map over the items in data/items.json."""
    bucket = (folder / "data").as_uri()
    names = [f"S{number}" for number in range(len(states))]
    onward: list[dict[str, Any]] = [*({"Next": name} for name in names[1:]), {"End": True}]
    inner = {name: {**state, **next} for name, state, next in zip(names, states, onward, strict=True)}
    return {
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "Label": "each",
                "ItemReader": {
                    "Resource": "arn:aws:states:::s3:getObject",
                    "ReaderConfig": {"InputType": "JSON"},
                    "Parameters": {"Bucket": bucket, "Key": "items.json"},
                },
                "ResultWriter": {
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Parameters": {"Bucket": bucket, "Prefix": "out"},
                },
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    "StartAt": "S0",
                    "States": inner,
                },
                "End": True,
                **fields,
            }
        },
    }


@pytest.fixture
def write(folder: Path) -> Callable[..., None]:
    """Write the definition `spread.asl.json` and so many items."""

    def write(items: int, *states: dict[str, Any], **fields: Any) -> None:
        (folder / "data").mkdir()
        (folder / "data" / "items.json").write_text(json_text(list(range(items))))
        (folder / "spread.asl.json").write_text(json.dumps(definition(folder, *states, **fields)))

    return write


def shown(treadle: Treadle, name: str = "x") -> dict[str, Any]:
    return json.loads(treadle("executions", "show", name, "--json").stdout)


def test_items_come_from_a_folder_and_results_go_there(
    treadle: Treadle, folder: Path, write: Callable[..., None]
) -> None:
    write(3, {"Type": "Pass"})
    result = treadle("run", "spread.asl.json", "--name", "x")
    assert result.exit_code == 0, result.stderr
    assert "Each 3 items: 3 done" in result.stderr
    manifest = json.loads((folder / "data" / json.loads(result.stdout)["ResultWriterDetails"]["Key"]).read_text())
    [file] = manifest["ResultFiles"]["SUCCEEDED"]
    records = json.loads((folder / "data" / file["Key"]).read_text())
    assert [record["Output"] for record in records] == ["0", "1", "2"]
    [run] = shown(treadle)["mapRuns"]
    listed = json.loads(treadle("executions", "list", "--map-run", run, "--json").stdout)["executions"]
    assert [(each["executionArn"], each["mapRunArn"]) for each in listed] == [
        (record["ExecutionArn"], run) for record in reversed(records)
    ]
    assert [each["name"] for each in json.loads(treadle("executions", "list", "--json").stdout)["executions"]] == ["x"]
    assert "S0 Pass" in treadle("executions", "history", listed[0]["executionArn"]).stdout
    verified = treadle("verify")
    assert (verified.exit_code, verified.stdout) == (0, "5 executions, 0 findings\n")


def test_rows_of_a_folder_and_of_s3_become_results_there(
    treadle: Treadle, folder: Path, local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_cloud.environment.items():
        monkeypatch.setenv(name, value)
    for bucket, source, read in (in_folder(folder / "rows"), in_s3(local_cloud)):
        (folder / "rows.asl.json").write_text(json.dumps(machine(bucket)))
        result = treadle("run", "rows.asl.json")
        assert result.exit_code == 0, result.stderr
        check(json.loads(result.stdout), source, read)


def test_s3_itself_is_not_called_unasked(treadle: Treadle, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    (folder / "rows.asl.json").write_text(json.dumps(machine("somebodys-bucket")))
    result = treadle("run", "rows.asl.json")
    assert result.exit_code == 1
    assert "never called unasked" in result.stderr


def test_a_child_that_fails_is_told_and_the_others_are_counted(treadle: Treadle, write: Callable[..., None]) -> None:
    choice = {
        "Type": "Map",
        "ItemsPath": "$.none",
        "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Succeed"}}},
    }
    write(2, choice, ToleratedFailurePercentage=100)
    result = treadle("run", "spread.asl.json", "--virtual-time")
    assert result.exit_code == 0, result.stderr
    assert "Each child 1" in result.stderr
    assert "Each 2 items: 2 failed" in result.stderr


def test_a_killed_run_goes_on_and_a_stopped_one_leaves_nothing_running(
    treadle: Treadle, start: Callable[..., Any], write: Callable[..., None]
) -> None:
    write(3, {"Type": "Wait", "Seconds": 3600})
    process = start("run", "spread.asl.json", "--name", "x")
    process.wait_for("Each Map")
    while not (runs := shown(treadle)["mapRuns"]) or len(children(treadle, runs[0], "RUNNING")) < 3:
        assert process.process.poll() is None
    assert process.kill() == -signal.SIGKILL
    assert shown(treadle)["status"] == "RUNNING"
    assert treadle("executions", "stop", "x").exit_code == 0
    assert shown(treadle)["status"] == "ABORTED"
    assert len(children(treadle, runs[0], "ABORTED")) == 3
    verified = treadle("verify")
    assert verified.exit_code == 0, verified.stdout


def test_reader_and_writer_are_scripted(treadle: Treadle, folder: Path, write: Callable[..., None]) -> None:
    write(0, {"Type": "Pass"})
    named = json.loads((folder / "spread.asl.json").read_text())
    named["States"]["Each"]["ItemReader"]["ReaderConfig"]["MaxItems"] = 2
    (folder / "spread.asl.json").write_text(json.dumps(named))
    answers = "Each.ItemReader: {return: [1, 2, 3], after: 5}\nEach.ResultWriter: {return: {written: true}, after: 2}\n"
    (folder / "items.yaml").write_text(answers)
    result = treadle("run", "spread.asl.json", "--mock", "items.yaml", "--virtual-time")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"written": True}
    assert "Each 2 items: 2 done" in result.stderr
    assert "7.0s" in result.stderr


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ("Each.ItemReader: {cause: no such key}", "States.ItemReaderFailed: no such key"),
        ("Each.ItemReader: {return: {}}", "the script's answer for 'Each.ItemReader' is no list of items"),
        ("Each.ResultWriter: {error: Full, cause: no room}", "Full: no room"),
    ],
)
def test_a_scripted_reader_or_writer_fails(
    treadle: Treadle, folder: Path, write: Callable[..., None], answers: str, told: str
) -> None:
    write(1, {"Type": "Pass"})
    (folder / "items.yaml").write_text(answers)
    result = treadle("run", "spread.asl.json", "--mock", "items.yaml", "--virtual-time")
    assert result.exit_code == 1
    assert told.lower() in result.stderr.lower()


def test_a_map_run_that_is_gone_on_with_has_its_scripted_items_again(
    treadle: Treadle, start: Callable[..., Any], folder: Path, write: Callable[..., None]
) -> None:
    write(0, {"Type": "Wait", "SecondsPath": "$.wait"})
    named = json.loads((folder / "spread.asl.json").read_text())
    named["States"]["Each"] |= {"End": False, "Next": "Again"}
    del named["States"]["Each"]["End"]
    choice = {"Variable": "$.n", "NumericEquals": 2, "Next": "Done"}
    named["States"] |= {
        "Again": {"Type": "Choice", "Choices": [choice], "Default": "Each"},
        "Done": {"Type": "Succeed"},
    }
    (folder / "spread.asl.json").write_text(json.dumps(named))
    (folder / "items.yaml").write_text(
        "Each.ItemReader: [{return: [{wait: 0}]}, {return: [{wait: 3}, {wait: 0}]}]\n"
        "Each.ResultWriter: [{return: {n: 1}}, {return: {n: 2}}]\n"
    )
    words = ("run", "spread.asl.json", "--name", "x", "--mock", "items.yaml")
    process = start(*words)
    process.wait_for("Each Map")
    while len(runs := shown(treadle)["mapRuns"]) < 2:
        assert process.process.poll() is None
    process.kill()
    status, out, _ = start(*words).end()
    assert (status, json.loads(out)) == (0, {"n": 2})
    assert len(runs) == 2


def children(treadle: Treadle, run: str, status: str) -> list[Any]:
    listed = treadle("executions", "list", "--map-run", run, "--status", status, "--json")
    return json.loads(listed.stdout)["executions"] if listed.exit_code == 0 else []


def test_the_tasks_of_children_are_listed_with_those_of_their_execution(
    treadle: Treadle, start: Callable[..., Any], write: Callable[..., None]
) -> None:
    ask = {"Type": "Task", "Resource": "arn:aws:states:us-east-1:123456789012:activity:approve"}
    write(2, ask)
    process = start("run", "spread.asl.json", "--name", "x")
    process.wait_for("Each Map")
    tasks: list[Any] = []
    while len(tasks) < 2:
        assert process.process.poll() is None
        listed = treadle("tasks", "list", "x", "--json")
        tasks = json.loads(listed.stdout) if listed.exit_code == 0 else []
    assert {task["state"] for task in tasks} == {"S0"}
    for task in tasks:
        ended = treadle("tasks", "succeed", task["arn"], "S0", "--output", "7")
        assert ended.exit_code == 0, ended.stderr
    assert process.end()[0] == 0

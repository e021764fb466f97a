"""`treadle validate`, `treadle graph`, `--version` and the help texts."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from treadle.cli import cli

Treadle = Callable[..., Result]
PARAMETERS = json.dumps({"ApiKeyAuthParameters": {"ApiKeyName": "Authorization", "ApiKeyValue": "Bearer x"}})
BAD = '{\n  "StartAt": "A",\n  "States": {\n    "A": {"Type": "Pass", "Next": "Gone"}\n  }\n}'


def test_nothing_wrong_is_said_too(treadle: Treadle) -> None:
    result = treadle("validate", "orders.asl.json", "short.asl.json")
    assert result.exit_code == 0


def test_every_finding_has_its_place_and_its_remedy(treadle: Treadle, folder: Path) -> None:
    (folder / "bad.json").write_text(BAD)
    result = treadle("validate", "bad.json")
    assert result.exit_code == 2
    first = result.stdout.splitlines()[0]
    assert re.match(r"bad\.json:4:\d+: ERROR MISSING_TRANSITION_TARGET: .*Gone.* at /States/A/Next\. \w.*", first)


def test_json_findings_and_the_standard_input(treadle: Treadle) -> None:
    result = treadle("validate", "-", "--json", input=BAD)
    finding = json.loads(result.stdout)[0]
    assert (finding["file"], finding["severity"], finding["line"]) == ("-", "ERROR", 4)
    assert finding["remedy"]


def test_strict_takes_warnings_for_errors(treadle: Treadle, folder: Path) -> None:
    states = {"A": {"Type": "Pass", "Assign": {"unused": 1}, "End": True}}
    (folder / "open.json").write_text(json.dumps({"StartAt": "A", "States": states}))
    plain, strict = treadle("validate", "open.json"), treadle("validate", "open.json", "--strict")
    assert "WARNING" in plain.stdout
    assert (plain.exit_code, strict.exit_code) == (0, 2)


def test_a_type_has_rules_of_its_own(treadle: Treadle) -> None:
    assert treadle("validate", "orders.asl.json").exit_code == 0
    assert treadle("validate", "orders.asl.json", "--type", "EXPRESS").exit_code == 2


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("mermaid", ["flowchart TD", "Ask finance"]),
        ("dot", ["digraph", "Ask finance"]),
        ("svg", ["<svg", "Ask finance"]),
    ],
)
def test_a_graph_is_written(treadle: Treadle, folder: Path, form: str, told: list[str]) -> None:
    result = treadle("graph", "orders.asl.json", "--format", form)
    assert result.exit_code == 0
    assert all(text in result.stdout for text in told)
    assert treadle("graph", "orders.asl.json", "--format", form, "-o", "out.txt").stdout == ""
    assert (folder / "out.txt").read_text() == result.stdout
    if form == "svg":
        ElementTree.fromstring(result.stdout)


def test_a_graph_of_what_is_no_machine_is_refused(treadle: Treadle, folder: Path) -> None:
    (folder / "list.json").write_text("[1]")
    (folder / "no.json").write_text("{")
    assert (treadle("graph", "list.json").exit_code, treadle("graph", "no.json").exit_code) == (2, 2)
    assert treadle("graph", "orders.asl.json", "-o", "gone/x").exit_code == 2


def test_the_version_is_told(treadle: Treadle) -> None:
    assert re.fullmatch(r"treadle \d+\.\d+\.\d+\n", treadle("--version").stdout)


# ---- help --------------------------------------------------------------------------------------------------------


def commands(command: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from commands(inner, (*path, name))
    else:
        yield path


def example(path: tuple[str, ...]) -> list[str]:
    text = CliRunner().invoke(cli, [*path, "--help"]).stdout
    found = re.search(r"Example:\n +treadle (.*)\n", text)
    assert found, f"the help of {path} has no example"
    return shlex.split(found[1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


SERVES = ("up",)
"""Goes on until it is ended."""
WATCHES = ("executions", "watch")
"""Needs a server, so tests/api has it."""
APPROVALS = tuple(("approval", each) for each in ("start", "callback", "results"))
"""Need a server with the solution on it, so tests/solutions has them."""
ELSEWHERE = (SERVES, WATCHES, *APPROVALS)


@pytest.mark.parametrize("path", [each for each in commands() if each not in ELSEWHERE], ids=" ".join)
def test_the_example_of_a_help_text_runs(
    treadle: Treadle, folder: Path, start: Callable[..., Any], path: tuple[str, ...]
) -> None:
    answers: dict[str, Any] = {"Ask finance": {"return": {}}, "*": {"return": {}}}
    (folder / "answers.yaml").write_text(json.dumps(answers))
    (folder / "short.asl.json").replace("orders.asl.json")
    name = ("run", "orders.asl.json", "--name", "order-7")
    if path[0] == "tasks" or path[-1] == "stop":
        (folder / "never.yaml").write_text('{"Ask finance": {"never": true}, "*": {"return": {}}}')
        running = start(*name, "--mock", "never.yaml")
        running.wait_for("answer it with")
    elif path[-1] == "redrive":
        (folder / "fails.yaml").write_text('{"*": {"error": "No"}}')
        treadle(*name, "--mock", "fails.yaml")
    elif path[0] in ("executions", "verify"):
        treadle(*name, "--mock", "answers.yaml")
    elif path == ("test",):
        (folder / "tests").mkdir()
        scenario = "definition: ../orders.asl.json\nanswers: ../answers.yaml\nscenarios: [{name: it ends}]\n"
        (folder / "tests" / "orders.scenario.yaml").write_text(scenario)
    elif path in (("connections", "show"), ("connections", "delete")):
        treadle("connections", "put", "stripe", input=PARAMETERS)
    words = example(path)
    assert tuple(words[: len(path)]) == path
    if "<" in words:
        (folder / words[-1]).write_text(PARAMETERS)
        result = treadle(*words[: words.index("<")], input=PARAMETERS)
    else:
        # On a port that is free: somebody else may use the usual one.
        result = treadle(*words, *(("--port", str(free_port())) if path == ("doctor",) else ()))
    assert result.exit_code == 0, result.output


def test_the_example_of_up_runs_until_it_is_ended(start: Callable[..., Any]) -> None:
    words = example(SERVES)
    assert tuple(words) == SERVES
    running = start(*words, "--port", "0", "--json")
    assert json.loads(running.process.stdout.readline())["ready"]
    assert running.kill(signal.SIGTERM) == 0

"""The connections of a store on the command line: secrets go in, and do not come out."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

PARAMETERS = json.dumps({"BasicAuthParameters": {"Username": "ann", "Password": "dont-show-me"}})
Treadle = Callable[..., Result]


def put(treadle: Treadle) -> str:
    result = treadle("connections", "put", "partner", "--description", "orders", input=PARAMETERS)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_a_connection_is_put_listed_shown_and_deleted_without_its_secret(treadle: Treadle, folder: Path) -> None:
    arn = put(treadle)
    assert stat.S_IMODE((folder / ".treadle.key").stat().st_mode) == 0o600
    listing = treadle("connections", "list", "--json")
    (listed,) = json.loads(listing.stdout)["connections"]
    shown = treadle("connections", "show", "partner")
    assert json.loads(shown.stdout) == listed
    assert (listed["arn"], listed["type"], listed["parameters"]["Username"]) == (arn, "BASIC", "ann")
    table = treadle("connections", "list")
    assert "partner" in table.stdout
    assert all("dont-show-me" not in each.output for each in (listing, shown, table))
    assert treadle("connections", "delete", arn).exit_code == 0
    assert json.loads(treadle("connections", "list", "--json").stdout) == {"connections": []}


def test_secrets_come_from_the_environment_too(treadle: Treadle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER", PARAMETERS)
    arn = "arn:aws:events:eu-west-1:123456789012:connection/partner/0c9a"
    result = treadle("connections", "put", "partner", "--from-env", "PARTNER", "--arn", arn, "--json")
    assert json.loads(result.stdout) == {"connectionArn": arn}


def test_a_new_key_opens_what_the_old_one_sealed(treadle: Treadle, folder: Path) -> None:
    put(treadle)
    old = (folder / ".treadle.key").read_text()
    assert treadle("connections", "rotate-key").exit_code == 0
    new = (folder / ".treadle.key").read_text()
    assert new.endswith(old)
    # Everything was sealed anew, so the old key can go.
    (folder / ".treadle.key").write_text(new.removesuffix(old))
    assert treadle("connections", "show", "partner").exit_code == 0


@pytest.mark.parametrize(
    ("words", "given", "told"),
    [
        (["put", "partner"], "{}", "exactly one of"),
        (["put", "partner"], '{"BasicAuthParameters": {"Username": "ann"}}', "Password"),
        (["put", "a b"], PARAMETERS, "not the name"),
        (["put", "partner", "--from-env", "NOT_THERE"], "", "NOT_THERE"),
        (["show", "gone"], "", "does not exist"),
        (["delete", "gone"], "", "does not exist"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(words: list[str], given: str, told: str, treadle: Treadle) -> None:
    result = treadle("connections", *words, input=given)
    assert result.exit_code == 2
    assert told in result.stderr and "dont-show-me" not in result.output and result.stderr.count("\n") == 1


def test_a_definition_that_calls_an_unknown_server_is_refused_before_it_runs(treadle: Treadle, folder: Path) -> None:
    call: dict[str, Any] = {"Type": "Task", "Resource": "arn:aws:states:::mcp:callTool", "End": True}
    call["Parameters"] = {"Server": "pricing", "Tool": "estimate"}
    (folder / "mcp.asl.json").write_text(json.dumps({"StartAt": "A", "States": {"A": call}}))
    result = treadle("run", "mcp.asl.json")
    assert result.exit_code == 2 and "--mcp-servers" in result.stderr
    (folder / "servers.yaml").write_text("mcpServers: {other: {command: python}}")
    result = treadle("run", "mcp.asl.json", "--mcp-servers", "servers.yaml")
    assert result.exit_code == 2 and "'pricing'" in result.stderr and "other" in result.stderr

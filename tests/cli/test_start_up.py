"""What a command imports before it does anything: no more than it needs, so that it starts fast."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = "import sys; from treadle.cli import cli\ntry: cli({words})\nfinally: print(*sys.modules, file=sys.stderr)"


def imported(*words: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(words=list(words))], capture_output=True, text=True, check=True
    )
    assert run.stdout
    return set(run.stderr.split())


def test_help_imports_no_command() -> None:
    modules = imported("--help")
    commands = {f"treadle.cli.{name}" for name in ("run", "up", "test", "session", "executions")}
    assert not (commands | {"treadle.language", "treadle.runtime", "rich", "msgspec", "yaml"}) & modules


@pytest.mark.parametrize("command", ["run", "up", "executions", "tasks", "graph"])
def test_a_command_imports_no_make_believe_world_and_no_library_of_a_service(command: str) -> None:
    modules = imported(command, "--help")
    heavy = ("treadle.testing.world", "treadle.testing.checker", "treadle.scenarios.exploring", "treadle.local")
    assert not {each for each in modules if each.startswith(("boto", "moto", "pyarrow", "mcp", "samtranslator"))}
    assert not {each for each in modules if each.startswith(heavy)}

"""The page about the command line knows every command and every option, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from treadle.cli import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md").read_text()
EVERYWHERE = {"--debug", "--help", "-h", "--version"}


def commands(command: click.Command = cli, path: str = "treadle") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(commands())


def section(path: str) -> str:
    """What the page says under the heading of the command or of its group."""
    heading = "## " + " ".join(path.split()[:2])
    assert f"\n{heading}\n" in PAGE, f"the page has no section {heading!r}"
    return PAGE.split(f"\n{heading}\n")[1].split("\n## ")[0]


def options(command: click.Command) -> set[str]:
    return {name for each in command.params if isinstance(each, click.Option) for name in each.opts} - EVERYWHERE


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_documented(path: str) -> None:
    text = section(path)
    assert f"{path}" in text
    assert [name for name in sorted(options(COMMANDS[path])) if f"`{name}" not in text] == []


def test_no_option_is_documented_that_does_not_exist() -> None:
    known = EVERYWHERE.union(*map(options, COMMANDS.values()))
    assert sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", PAGE)) - known) == []


def test_every_option_says_what_it_is_for() -> None:
    silent = [
        f"{path} {each.opts[0]}"
        for path, command in COMMANDS.items()
        for each in command.params
        if isinstance(each, click.Option) and not each.help
    ]
    assert silent == []

"""The command `treadle`: its subcommands, `--debug`, and what becomes of exceptions.

Owns the way in and the way out. A subcommand lives in a module of its own, is imported when it is used, and returns the
exit status.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, NoReturn

import click

from treadle.cli.problems import BROKEN_PIPE, INTERRUPTED, OK, problem_of

_COMMANDS: Final = {
    "run": "treadle.cli.run:run",
    "validate": "treadle.cli.validate:validate",
    "graph": "treadle.cli.graph:graph",
    "executions": "treadle.cli.executions:executions",
    "tasks": "treadle.cli.tasks:tasks",
    "connections": "treadle.cli.connections:connections",
    "verify": "treadle.cli.verify:verify",
    "test": "treadle.cli.test:test",
    "up": "treadle.cli.up:up",
    "status": "treadle.cli.platform:status",
    "down": "treadle.cli.platform:down",
    "doctor": "treadle.cli.platform:doctor",
    "approval": "treadle.cli.approval:approval",
    "demo": "treadle.cli.demo:demo",
}


class Treadle(click.Group):
    """The outermost command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The subcommands, in the order in which people meet them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A subcommand, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        return getattr(import_module(module), name)

    def main(self, args: Any = None, prog_name: str | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run a command and exit with its status; whatever goes wrong is told in a line."""
        arguments: list[str] = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in arguments
        try:
            status = super().main(arguments, prog_name or "treadle", standalone_mode=False)
        except click.Abort:
            status = INTERRUPTED
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            status = error.exit_code
        except Exception as error:
            if debug:
                raise
            status = _gone() if _is_broken_pipe(error) else _tell(error)
        sys.exit(status or OK)


def _tell(error: Exception) -> int:
    message, status = problem_of(error)
    for line in message.splitlines():
        click.echo(f"treadle: {line}", err=True)
    return status


def _is_broken_pipe(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EPIPE


def _gone() -> int:
    """Nobody reads any more: the interpreter must not complain of it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def command(group: click.Group | None = None, *, example: str, **settings: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a command with an example in its help, and with `--debug`."""

    def make(function: Callable[..., Any]) -> click.Command:
        made = (group.command if group else click.command)(
            epilog="\b\nExample:\n" + "\n".join(f"  {line}" for line in example.splitlines()), **settings
        )(function)
        made.params.append(
            click.Option(["--debug"], is_flag=True, expose_value=False, help="Show where an error comes from.")
        )
        return made

    return make


@click.group("treadle", cls=Treadle, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("treadle"), prog_name="treadle", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")
def cli() -> None:
    """Run AWS Step Functions workflows on this machine, durably.

    \b
    Example:
      treadle run orders.asl.json --input '{"order": 7}' --functions functions
    """


def main() -> NoReturn:
    """The entry point."""
    cli.main()

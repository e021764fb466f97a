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
    "run": ("treadle.cli.run:run", "Run one execution to its end, and show each step."),
    "validate": ("treadle.cli.validate:validate", "Find what is wrong with definitions."),
    "graph": ("treadle.cli.graph:graph", "Draw a definition."),
    "executions": ("treadle.cli.executions:executions", "Show, stop, redrive and fork executions of a store."),
    "tasks": ("treadle.cli.tasks:tasks", "Answer tasks that wait: callbacks and activities."),
    "connections": ("treadle.cli.connections:connections", "Keep connections for HTTP tasks, sealed in a store."),
    "verify": ("treadle.cli.verify:verify", "Check every execution of a store."),
    "test": ("treadle.cli.test:test", "Play scenarios in virtual time, or find them."),
    "up": ("treadle.cli.up:up", "Serve the API of AWS Step Functions on this machine."),
    "status": ("treadle.cli.platform:status", "Show what is up, and the resources of its stack."),
    "down": ("treadle.cli.platform:down", "End `treadle up`."),
    "doctor": ("treadle.cli.platform:doctor", "Look for what may stand in the way of `treadle up`."),
    "approval": ("treadle.cli.approval:approval", "Start and answer approvals, and read their results."),
    "demo": ("treadle.cli.demo:demo", "Show a solution at work, in a folder that is thrown away."),
}
"""By command: where it is, and what `treadle --help` says of it without importing it."""


class Treadle(click.Group):
    """The outermost command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The subcommands, in the order in which people meet them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A subcommand, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(module), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The subcommands with a line for each."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in _COMMANDS.items()])

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

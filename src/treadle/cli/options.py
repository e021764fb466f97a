"""Options that several commands have in common. Owns their names and help texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import click

Decorator: TypeAlias = Callable[[Any], Any]

STORE_VARIABLE: Final = "TREADLE_STORE"
DEFAULT_STORE: Final = ".treadle"

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Write JSON to the standard output.")

store: Decorator = click.option(
    "--store",
    "url",
    default=DEFAULT_STORE,
    envvar=STORE_VARIABLE,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Where executions are kept: the path of a folder or file, or sqlite:///path/to/file.db.",
)

data: Decorator = click.option(
    "--data",
    type=click.Path(file_okay=False),
    default=DEFAULT_STORE,
    show_default=True,
    metavar="DIR",
    help="The folder where everything is kept.",
)

workflow_type: Decorator = click.option(
    "--type",
    "kind",
    type=click.Choice(["STANDARD", "EXPRESS"]),
    default="STANDARD",
    show_default=True,
    help="The type of the state machine.",
)


def world(command: Any) -> Any:
    """The options that say what an execution calls."""
    for option in reversed(
        (
            click.option(
                "--functions",
                metavar="DIR",
                help="The folder with the Lambda functions: <name>.py, <name>.mjs or a folder <name>.",
            ),
            click.option(
                "--mock",
                metavar="FILE",
                help="Scripted answers (YAML or JSON) for the tasks that the file names, by state or resource.",
            ),
            click.option(
                "--machines",
                metavar="DIR",
                help="The folder with the state machines that nested executions start (<name>.asl.json or .yaml). "
                "[default: the folder of the definition]",
            ),
            click.option(
                "--mcp-servers",
                metavar="FILE",
                help="The MCP servers whose tools Tasks may call (YAML or JSON with mcpServers).",
            ),
            click.option(
                "--aws",
                is_flag=True,
                help="Call AWS with the credentials of the environment. Not needed where AWS_ENDPOINT_URL is set.",
            ),
        )
    ):
        command = option(command)
    return command

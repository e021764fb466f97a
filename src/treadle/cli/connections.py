"""`treadle connections`: what HTTP tasks prove with who calls. Secrets come in, and are never shown again.

Owns the way in for secrets: the standard input or an environment variable, never an argument, which every user of the
machine could read in the list of processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Final, TypeVar

import click

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.inputs import ACCOUNT
from treadle.cli.problems import OK, Problem, run_async
from treadle.cli.session import connections_in, opened
from treadle.cli.show import console, moment, table, write, write_json
from treadle.errors import ApiError
from treadle.integrations.connections import AuthParameters, Connections, Listed, listed, read_parameters
from treadle.stores import open_store

T = TypeVar("T")

_EXAMPLE: Final = """treadle connections put stripe < parameters.json
# with {"ApiKeyAuthParameters": {"ApiKeyName": "Authorization", "ApiKeyValue": "Bearer ..."}}"""


@click.group()
def connections() -> None:
    """Connections for HTTP tasks, kept sealed in a store.

    CONNECTION is a name or an ARN. A store that a process is at work on has to be left alone until it ends.
    """


@command(connections, example=_EXAMPLE)
@click.argument("name")
@click.option(
    "--from-env",
    "variable",
    metavar="NAME",
    help="The environment variable with the AuthParameters. [default: the standard input]",
)
@click.option("--arn", metavar="ARN", help="The ARN by which definitions name it. [default: a new one]")
@click.option("--description", metavar="TEXT", default="", help="What it is for.")
@options.as_json
@options.store
def put(name: str, variable: str | None, arn: str | None, description: str, as_json: bool, url: str) -> int:
    """Keep a connection, or replace the one of this NAME; prints its ARN.

    It takes the AuthParameters of EventBridge's CreateConnection as JSON: BasicAuthParameters, ApiKeyAuthParameters or
    OAuthParameters, and InvocationHttpParameters.
    """
    parameters = _parameters(variable)

    async def work(kept: Connections) -> str:
        return await kept.put(name, parameters, description=description, arn=arn, account=ACCOUNT)

    made = _at(url, work)
    if as_json:
        write_json({"connectionArn": made})
    else:
        click.echo(made)
    return OK


def _parameters(variable: str | None) -> AuthParameters:
    if variable is None:
        text = sys.stdin.read()
    elif variable in os.environ:
        text = os.environ[variable]
    else:
        raise Problem(f"--from-env: the environment has no {variable}.")
    try:
        return read_parameters(text)
    except ApiError as error:
        where = "the standard input" if variable is None else variable
        raise Problem(f"{where}: {error.message}") from None


@command(connections, name="list", example="treadle connections list")
@options.as_json
@options.store
def list_connections(as_json: bool, url: str) -> int:
    """List connections, without their secrets."""
    found = _at(url, lambda kept: kept.list())
    if as_json:
        write_json({"connections": [_told(each) for each in found]})
        return OK
    rows = [[each.name, each.type, moment(each.changed_at), each.arn] for each in found]
    table(["name", "type", "changed", "arn"], rows, console())
    return OK


@command(connections, example="treadle connections show stripe")
@click.argument("connection")
@options.store
def show(connection: str, url: str) -> int:
    """Show a connection as JSON, without its secrets."""

    async def work(kept: Connections) -> Listed:
        return listed(await kept.get(connection))

    write_json(_told(_at(url, work)))
    return OK


@command(connections, example="treadle connections delete stripe")
@click.argument("connection")
@options.store
def delete(connection: str, url: str) -> int:
    """Keep a connection no more."""
    _at(url, lambda kept: kept.delete(connection))
    write(f"The connection {connection} is gone.", console(err=True))
    return OK


@command(connections, name="rotate-key", example="treadle connections rotate-key")
@options.store
def rotate_key(url: str) -> int:
    """Make a new key and seal every connection with it. The old keys stay in the key file and still open."""

    async def work(kept: Connections) -> int:
        kept.sealer.rotate()
        return await kept.reseal()

    count = _at(url, work)
    write(f"{count} connections are sealed with a new key.", console(err=True))
    return OK


def _told(each: Listed) -> dict[str, object]:
    return {**asdict(each), "parameters": dict(each.parameters)}


def _at(url: str, work: Callable[[Connections], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with opened(open_store(url)) as store:
            return await work(connections_in(store))

    return run_async(bounded())

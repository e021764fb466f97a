"""`treadle up`: the API of Step Functions at a port of this machine, until it is stopped."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.problems import OK, Problem
from treadle.cli.session import DEFAULT_STORE, socket_path

if TYPE_CHECKING:
    import socket

    from treadle.runtime.ports import Store

PORT: Final = 8083


@command(example="treadle up --port 8083 --data .treadle")
@click.option("--port", type=click.IntRange(0, 65_535), default=PORT, show_default=True, help="The port; 0: any free.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen at.")
@click.option(
    "--data", default=DEFAULT_STORE, show_default=True, metavar="DIR", help="The folder where everything is kept."
)
@click.option(
    "--store",
    "url",
    envvar=options.STORE_VARIABLE,
    show_envvar=True,
    metavar="URL",
    help="Where executions are kept, if not in the folder --data: sqlite:///path/to/file.db, or memory:.",
)
@click.option("--functions", metavar="DIR", help="The folder with Lambda functions of this machine.")
@click.option(
    "--aws-endpoint-url",
    metavar="URL",
    help="Where other services of AWS are, such as CloudWatch Logs. [default: AWS_ENDPOINT_URL]",
)
@options.as_json
def up(
    port: int, host: str, data: str, url: str | None, functions: str | None, aws_endpoint_url: str | None, as_json: bool
) -> int:
    """Serve the API of AWS Step Functions on this machine.

    Executions go on where they stopped when it was last up. Ctrl-C ends it; what is under way waits in the store.
    """
    from treadle.api.server import listening, loop_factory
    from treadle.stores import open_store

    _only_for_this_machine(host)
    logging.basicConfig(format="treadle: %(message)s", level=logging.WARNING)
    listener = listening(host, port)
    store = open_store(url or data)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(store, listener, functions, aws_endpoint_url, as_json))
    return OK


async def _serve(
    store: Store, listener: socket.socket, functions: str | None, aws_endpoint_url: str | None, as_json: bool
) -> None:
    from contextlib import AsyncExitStack

    from treadle.api.app import StatesApp
    from treadle.api.endpoint import Endpoint
    from treadle.api.host import Host
    from treadle.api.server import Server
    from treadle.functions import ProcessFunctions, discover
    from treadle.runtime.control import EngineControl
    from treadle.runtime.control_socket import serve
    from treadle.stores import SqliteStore

    found = None if functions is None else ProcessFunctions(discover(Path(functions)))
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(Host(store, functions=found, aws_endpoint_url=aws_endpoint_url))
        if isinstance(store, SqliteStore):
            await stack.enter_async_context(serve(EngineControl(host.engine), socket_path(store)))
        server = Server(
            Endpoint({"states": StatesApp(host)}),
            ready=lambda: _tell_ready(listener, as_json),
            stopping=host.closing.set,
        )
        await server.serve(sockets=[listener])


def _only_for_this_machine(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise Problem(f"--host: '{host}' is no address: give one such as 127.0.0.1.") from None
    if not loopback:
        raise Problem(
            f"--host: {host} can be reached from other machines, and whoever reaches it may run anything here. "
            "Listen at 127.0.0.1."
        )


def _tell_ready(listener: socket.socket, as_json: bool) -> None:
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    endpoint = f"http://{shown}:{port}"
    if as_json:
        click.echo(json.dumps({"ready": True, "endpoint": endpoint, "host": address, "port": port}))
        return
    click.echo(f"treadle is up at {endpoint}. Send the SDKs and the CLI of AWS here:")
    click.echo(f"export AWS_ENDPOINT_URL={endpoint}")
    click.echo("export AWS_DISABLE_HOST_PREFIX_INJECTION=true")

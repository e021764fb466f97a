"""`treadle up` without a template: Step Functions and Lambda, and the other services here, elsewhere or nowhere.

Owns how the parts are put together. Neighbours: `up` reads the options, `up_template` serves a template.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click

from treadle.api.app import StatesApp
from treadle.api.endpoint import Backend, Endpoint
from treadle.api.guard import SignedOnly
from treadle.api.host import Host
from treadle.api.quotas import Quotas
from treadle.api.server import Server
from treadle.cli.session import connections_in, socket_path
from treadle.cli.up_elsewhere import endpoint_of, logs_of, sessions_away, tell_exports
from treadle.functions import ProcessFunctions, Surroundings, discover
from treadle.functions.registry import Registry
from treadle.integrations.aws.away import Away, away
from treadle.integrations.aws.sessions import AwsSessions, Keys
from treadle.lambda_api import Lambda, LambdaApp
from treadle.lambda_api.objects import fetching
from treadle.local.cloud.child import Child
from treadle.local.cloud.proxy import Proxy
from treadle.local.credentials import Issued
from treadle.local.presence import announce, withdraw
from treadle.observation.pages import PATHS, observing
from treadle.runtime.control import EngineControl
from treadle.runtime.control_socket import serve
from treadle.runtime.ports import Store
from treadle.stores import SqliteStore


@dataclass(frozen=True, slots=True)
class Bare:
    """What the options say. `data` is the folder where everything is kept, `aws` what --aws says."""

    data: Path
    functions: str | None
    aws: str | None
    aws_endpoint_url: str | None
    cloud: bool
    as_json: bool
    quotas: Quotas
    keys: dict[str, str] | None = field(default=None, repr=False)

    def place(self, own: str) -> Literal["here", "elsewhere", "nowhere"]:
        """Where other services are. AWS_ENDPOINT_URL counts unless it leads to us: clients are told to set it so."""
        named = os.environ.get("AWS_ENDPOINT_URL") or own
        if self.aws_endpoint_url or self.aws == "env" or (self.aws is None and named.rstrip("/") != own):
            return "elsewhere"
        return "here" if self.cloud else "nowhere"


async def serve_bare(store: Store, listener: socket.socket, wanted: Bare) -> None:
    """Serve until a signal comes. Raises StoreError, AwayError."""
    found = {} if wanted.functions is None else discover(Path(wanted.functions))
    own, quotas = endpoint_of(listener), wanted.quotas
    guard = None if wanted.keys is None else SignedOnly(wanted.keys, own_pages=PATHS)
    place = wanted.place(own)
    elsewhere = None
    # What functions call by the SDKs comes back here; TestState and StartSyncExecution must not go to another host.
    variables = {"AWS_ENDPOINT_URL": own, "AWS_DISABLE_HOST_PREFIX_INJECTION": "true"}
    if guard is not None:
        variables |= {"AWS_ACCESS_KEY_ID": guard.key, "AWS_SECRET_ACCESS_KEY": guard.secret}
    if place == "elsewhere":
        elsewhere = await asyncio.to_thread(away, own, wanted.aws_endpoint_url)
        variables = elsewhere.variables(own)
    processes = ProcessFunctions(found, surroundings=Surroundings(environment=variables))
    registry = Registry(store, wanted.data / "functions", processes)
    async with AsyncExitStack() as stack:
        rest = aws = None
        issued: dict[str, Backend] = {}
        keys = None if guard is None else Keys(guard.key, guard.secret)
        if elsewhere is not None:
            aws, keys = sessions_away(elsewhere, own, guard), None
        elif place == "here":
            # Begins with the first request for a service that is not ours.
            child = Child(wanted.data / "cloud", own)
            rest = Proxy(child)
            stack.push_async_callback(child.close)
            stack.push_async_callback(rest.close)
            if guard is not None:
                issued["sts"] = Issued(rest, guard.accept)
                aws = AwsSessions(endpoint_url=own, keys=keys)
        endpoint_url = own if place == "here" else wanted.aws_endpoint_url
        made = Host(
            store,
            registry=registry,
            aws_endpoint_url=endpoint_url,
            own_endpoint=own,
            logs_endpoint=logs_of(elsewhere),
            aws=aws,
            connections=connections_in(store),
            quotas=quotas,
        )
        host = await stack.enter_async_context(made)
        if isinstance(store, SqliteStore):
            await stack.enter_async_context(serve(EngineControl(host.engine), socket_path(store)))
        pages = await stack.enter_async_context(observing(host))
        fetch = fetching(endpoint_url, keys=keys)
        server = Server(
            Endpoint(
                {
                    "states": StatesApp(host),
                    "lambda": LambdaApp(Lambda(registry, host.account, fetch)),
                    **issued,
                },
                rest,
                pages=pages,
                guard=guard,
                remedy=elsewhere.remedy(own) if elsewhere else None,
            ),
            ready=lambda: _tell_ready(listener, wanted.data, elsewhere, as_json=wanted.as_json),
            stopping=host.closing.set,
            connections=quotas.connections,
        )
        stack.callback(withdraw, wanted.data)
        await server.serve(sockets=[listener])


def _tell_ready(listener: socket.socket, data: Path, elsewhere: Away | None, *, as_json: bool) -> None:
    address, port = listener.getsockname()[:2]
    endpoint = endpoint_of(listener)
    announce(data, endpoint, None, None)
    if as_json:
        told = {"ready": True, "endpoint": endpoint, "host": address, "port": port}
        click.echo(json.dumps({**told, "aws": elsewhere.place if elsewhere else None}))
        return
    tell_exports(f"treadle is up at {endpoint}.", endpoint, elsewhere)

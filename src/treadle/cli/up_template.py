"""`treadle up TEMPLATE`: a stack on this machine, from the first request to the last.

Owns the order: listen, deploy (the resources are made through our own endpoint), tell, follow changes. Neighbour: `up`
reads the options, `treadle.local` does the work.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from treadle.api.host import ACCOUNT, Host
from treadle.api.quotas import Quotas
from treadle.api.server import Server
from treadle.cli.session import connections_in, socket_path
from treadle.cli.up_elsewhere import endpoint_of, logs_of, sessions_away, tell_exports
from treadle.errors import TreadleError
from treadle.integrations.aws import AwsSessions
from treadle.integrations.aws.away import Away, away
from treadle.integrations.aws.sessions import LOCAL, Keys
from treadle.local.platform import Platform, guarded
from treadle.local.presence import announce, withdraw
from treadle.local.stack.deploy import Deployed
from treadle.local.stack.names import stack_name
from treadle.local.template.reading import Template, find_template
from treadle.local.template.resolve import Surrounding
from treadle.observation.pages import PATHS, observing
from treadle.runtime.control import EngineControl
from treadle.runtime.control_socket import serve
from treadle.runtime.ports import Store
from treadle.stores import SqliteStore

_UNREAD: Final = frozenset([".git", ".aws-sam", "__pycache__", "node_modules", ".treadle", ".venv"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options say. `data` is the folder where everything is kept."""

    template: Path
    parameters: dict[str, str]
    stack: str | None
    data: Path
    watch: bool
    as_json: bool
    quotas: Quotas
    keys: dict[str, str] | None = field(default=None, repr=False)
    away: bool = False


async def serve_template(store: Store, listener: socket.socket, wanted: Wanted) -> None:
    """Serve a template until a signal comes. Raises TemplateError, StoreError."""
    began = time.monotonic()
    path = find_template(wanted.template)
    endpoint = endpoint_of(listener)
    name = wanted.stack or stack_name(path.resolve().parent.name)
    elsewhere = await asyncio.to_thread(away, endpoint, identified=True) if wanted.away else None
    surrounding = Surrounding(name)
    if elsewhere is not None:
        surrounding = Surrounding(name, elsewhere.region, elsewhere.account or ACCOUNT)
    async with AsyncExitStack() as stack:
        guard = None if wanted.keys is None else guarded(wanted.keys, PATHS)
        keys = LOCAL if guard is None else Keys(guard.key, guard.secret)
        platform = Platform(store, wanted.data, endpoint, surrounding, keys, guard, elsewhere)
        aws = AwsSessions(endpoint_url=endpoint, keys=keys, region=surrounding.region)
        if elsewhere is not None:
            aws = sessions_away(elsewhere, endpoint, guard)
        host = await stack.enter_async_context(
            Host(
                store,
                registry=platform.functions,
                aws_endpoint_url=None if elsewhere else endpoint,
                logs_endpoint=logs_of(elsewhere),
                account=surrounding.account,
                aws=aws,
                connections=connections_in(store),
                quotas=wanted.quotas,
            )
        )
        if isinstance(store, SqliteStore):
            await stack.enter_async_context(serve(EngineControl(host.engine), socket_path(store)))
        pages = await stack.enter_async_context(observing(host))
        app = await stack.enter_async_context(platform.on(host, pages))
        ready = asyncio.Event()
        server = Server(app, ready=ready.set, stopping=host.closing.set, connections=wanted.quotas.connections)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await ready.wait()
            template, deployed = await _unless_ended(serving, platform.deploy(path, wanted.parameters))
            announce(wanted.data, endpoint, path.resolve(), name)
            stack.callback(withdraw, wanted.data)
            _tell(endpoint, name, deployed, time.monotonic() - began, elsewhere, as_json=wanted.as_json)
            if wanted.watch:
                await _follow(serving, platform, template, wanted)
            await serving
        finally:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)


async def _unless_ended(serving: asyncio.Task[None], work: Any) -> Any:
    """What the work gives; Ctrl-C meanwhile ends it."""
    doing = asyncio.ensure_future(work)
    await asyncio.wait({serving, doing}, return_when=asyncio.FIRST_COMPLETED)
    if not doing.done():
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        raise click.Abort
    return await doing


async def _follow(serving: asyncio.Task[None], platform: Platform, template: Template, wanted: Wanted) -> None:
    """Deploy again whenever a file of the template has changed, until the server ends."""
    from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

    stop = asyncio.Event()
    serving.add_done_callback(lambda _: stop.set())
    path = template.path
    folders = {path.parent, *(each if each.is_dir() else each.parent for each in template.files)}
    async for _ in awatch(*folders, watch_filter=_heeded(wanted.data), stop_event=stop, rust_timeout=500):
        began = time.monotonic()
        try:
            _, deployed = await platform.deploy(path, wanted.parameters)
        except (TreadleError, OSError) as error:
            # What runs goes on as it was, until the file is put right.
            _say(str(error), as_json=wanted.as_json, event="failed")
            continue
        changed = [f"{step.made.name} {step.action}" for step in deployed.steps if step.action != "kept"]
        if changed:
            took = f"{(time.monotonic() - began) * 1000:.0f} ms"
            _say(f"reloaded in {took}: {', '.join(changed)}", as_json=wanted.as_json, event="reloaded")


def _heeded(data: Path) -> Callable[[Any, str], bool]:
    own = str(data.resolve())

    def heeded(change: Any, path: str) -> bool:
        return not path.startswith(own) and not _UNREAD & set(Path(path).parts)

    return heeded


def _say(text: str, *, as_json: bool, event: str) -> None:
    click.echo(json.dumps({event: True, "message": text}) if as_json else f"treadle: {text}")


def _tell(
    endpoint: str, name: str, deployed: Deployed, seconds: float, elsewhere: Away | None, *, as_json: bool
) -> None:
    """Say what runs where."""
    if as_json:
        resources = [
            {"name": step.made.name, "type": step.made.type, "id": step.made.id, "support": step.made.support,
             "action": step.action}
            for step in deployed.steps
        ]  # fmt: skip
        told = {
            "ready": True, "endpoint": endpoint, "stack": name, "seconds": round(seconds, 3), "resources": resources,
            "outputs": deployed.outputs, "notices": list(deployed.notices),
            "aws": elsewhere.place if elsewhere else None,
        }  # fmt: skip
        click.echo(json.dumps(told))
        return
    from treadle.cli.stack_table import show

    show([step.made for step in deployed.steps if step.action != "deleted"], endpoint, deployed.outputs)
    for notice in deployed.notices:
        click.echo(f"treadle: {notice}")
    tell_exports(f"treadle is up at {endpoint} with the stack {name}, in {seconds:.1f} s.", endpoint, elsewhere)

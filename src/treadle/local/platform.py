"""The local platform: what is behind the endpoint besides Step Functions, and a template's stack on it.

    platform = Platform(store, data, endpoint, Surrounding("orders"))
    async with Host(store, registry=platform.functions, ...) as host, platform.on(host, {}) as app:
        deployed = await platform.deploy(Path("template.yaml"), {"Stage": "dev"})

Owns how the parts are put together and in which order they end. Deploying happens in a thread, since it is botocore's;
one at a time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from treadle.api.app import StatesApp
from treadle.api.asgi import BodyTooLarge, ClientGone, Receive, Scope, Send, answer, read_body
from treadle.api.endpoint import Backend, Endpoint
from treadle.api.guard import SignedOnly
from treadle.api.host import Host
from treadle.api.operations import OPERATIONS
from treadle.api.request import Request
from treadle.functions import ProcessFunctions, Surroundings
from treadle.functions.registry import Registry
from treadle.integrations.aws.away import Away
from treadle.integrations.aws.sessions import LOCAL, Keys
from treadle.lambda_api import Lambda, LambdaApp
from treadle.lambda_api.objects import fetching
from treadle.local.addresses import NOTIFICATIONS
from treadle.local.cloud.child import Child
from treadle.local.cloud.proxy import Proxy
from treadle.local.credentials import Issued
from treadle.local.events.rules import Rules
from treadle.local.events.schedules import Schedules
from treadle.local.events.sources import Sources
from treadle.local.events.status import Told
from treadle.local.events.targets import Targets
from treadle.local.functions import PlacedFunctions
from treadle.local.notifications import Notifications
from treadle.local.register import LocalRegister
from treadle.local.routes.serving import PREFIX as APIS
from treadle.local.routes.serving import Apis
from treadle.local.stack.deploy import Deployed, Deployment
from treadle.local.stack.state import StateFile
from treadle.local.stack.world import World
from treadle.local.template.reading import Template, read_template
from treadle.local.template.resolve import Surrounding
from treadle.machine.journal import json_text
from treadle.runtime.ports import Store, Summary

_EVENT_LIMIT: Final = 1024 * 1024


class Platform:
    """One stack on this machine, kept in `folder`. `endpoint` is ours. Made on the loop that serves."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        endpoint: str,
        surrounding: Surrounding,
        keys: Keys = LOCAL,
        guard: SignedOnly | None = None,
        away: Away | None = None,
    ) -> None:
        self.folder, self.endpoint, self.surrounding = folder, endpoint, surrounding
        self._keys, self._guard, self._away = keys, guard, away
        variables = away.variables(endpoint) if away else environment(endpoint, surrounding.region, keys)
        around = Surroundings(surrounding.region, surrounding.account, variables)
        self.functions = Registry(store, folder / "functions", ProcessFunctions({}, surroundings=around))
        self.register = LocalRegister()
        self.child = Child(folder / "cloud", endpoint)
        self.proxy = Proxy(self.child)
        self._world = World(endpoint, surrounding, PlacedFunctions(self.functions), self.register, folder, keys, away)
        self._deploying = asyncio.Lock()
        self._sources_changed = asyncio.Event()

    @asynccontextmanager
    async def on(self, host: Host, pages: Mapping[str, Backend]) -> AsyncGenerator[Endpoint]:
        """Schedules, rules and queues at work on a host; gives what answers requests, those for `pages` too."""
        targets = Targets(partial(_start, host, self.surrounding), self.functions.submit, self.client)
        rules = Rules(self.register, targets, partial(_told, host), self.surrounding.region, self.surrounding.account)
        schedules = Schedules(self.register, targets, host.store, host.clock)
        sources = Sources(self.register, self.functions, self.client)
        unsubscribe = host.status_changes.subscribe(rules.status_changed)
        running = [
            asyncio.create_task(schedules.run()),
            asyncio.create_task(sources.run(self._sources_changed)),
        ]
        cloud: dict[str, Backend] = {}
        if self._away is None:
            fetch = fetching(self.endpoint, keys=self._keys)
            cloud["events"] = _events(rules, self.proxy)
            if self._guard is not None:
                cloud["sts"] = Issued(self.proxy, self._guard.accept)
        else:
            fetch = fetching(None)
        apis = Apis(self.register, self.functions, _operate(host, self.surrounding))
        try:
            yield Endpoint(
                {
                    "states": StatesApp(host),
                    "lambda": LambdaApp(Lambda(self.functions, host.account, fetch)),
                    **cloud,
                },
                rest=None if self._away else self.proxy,
                remedy=self._away.remedy(self.endpoint) if self._away else None,
                pages=pages,
                paths={
                    NOTIFICATIONS: Notifications(self.functions.submit),
                    APIS: apis,
                },
                guard=self._guard,
                admits=apis.admits,
            )
        finally:
            unsubscribe()
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await rules.close()
            await self.proxy.close()
            await self.child.close()

    async def deploy(self, path: Path, given: Mapping[str, str]) -> tuple[Template, Deployed]:
        """Make the stack what a template says. Raises TemplateError."""
        async with self._deploying:
            try:
                return await asyncio.to_thread(self._deploy, path, given)
            finally:
                self._sources_changed.set()

    def client(self, service: str) -> Any:
        """A client of a service at our endpoint, for a thread."""
        return self._world.client(service)

    def _deploy(self, path: Path, given: Mapping[str, str]) -> tuple[Template, Deployed]:
        template = read_template(path, self.surrounding, given, self._parameter)
        self.folder.mkdir(parents=True, exist_ok=True)
        state = StateFile(
            self.folder, self.surrounding.stack, path.resolve(), self.endpoint, away=self._away is not None
        )
        return template, Deployment(template, state, self._world).run()

    def _parameter(self, name: str) -> str | None:
        ssm = self.client("ssm")
        try:
            return ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            return None


def guarded(keys: Mapping[str, str], pages: tuple[str, ...]) -> SignedOnly:
    """A guard of all but the routes of APIs, whose callers sign nothing, messages from the local cloud, and `pages`."""
    return SignedOnly(keys, open_paths=(APIS,), own_paths=(NOTIFICATIONS,), own_pages=pages)


def environment(endpoint: str, region: str, keys: Keys) -> dict[str, str]:
    """The environment that leads SDKs to an endpoint, and nowhere else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


def _operate(host: Host, surrounding: Surrounding) -> Callable[[str, Mapping[str, Any]], Any]:
    async def operate(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        return await OPERATIONS[name](host, Request(name, given, surrounding.region, surrounding.account))

    return operate


async def _start(host: Host, surrounding: Surrounding, arn: str, name: str, text: str) -> None:
    await _operate(host, surrounding)("StartExecution", {"stateMachineArn": arn, "name": name, "input": text})


async def _told(host: Host, summary: Summary) -> Told:
    result = await host.engine.result(summary.arn)
    output = json_text(result.output) if summary.status == "SUCCEEDED" else None
    return Told(result.input_text or json_text(result.input), output, await host.redrives.reason(summary))


def _events(rules: Rules, rest: Proxy) -> Callable[[Scope, Receive, Send], Any]:
    """EventBridge: what is put is matched here, everything else is the local cloud's."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        target = dict(scope["headers"]).get(b"x-amz-target", b"")
        if target != b"AWSEvents.PutEvents":
            await rest(scope, receive, send)
            return
        try:
            given = json.loads(await read_body(receive, _EVENT_LIMIT))
        except ClientGone:
            return
        except (BodyTooLarge, ValueError):
            body = b'{"__type": "ValidationException", "message": "The request is no PutEvents request."}'
            await answer(send, 400, [(b"content-type", b"application/x-amz-json-1.1")], body)
            return
        told = json.dumps(await rules.put_events(given)).encode()
        await answer(send, 200, [(b"content-type", b"application/x-amz-json-1.1")], told)

    return serve

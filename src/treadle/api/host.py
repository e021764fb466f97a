"""The host: one object that owns the store, the catalog, the engines and the integrations of a server.

    async with Host(store) as host:
        answer = await OPERATIONS["StartExecution"](host, request)

Owns how these are put together and in which order they open and close. It knows nothing of HTTP. Standard executions
run on the durable engine, Express executions on an engine of their own, whose store forgets them when they have ended.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from treadle.api.census import Census
from treadle.api.commits import Commits
from treadle.api.deletions import Deletions
from treadle.api.log_delivery import LogDelivery
from treadle.api.pages import Pages
from treadle.api.polls import Polls
from treadle.api.quotas import Quotas
from treadle.api.rates import Rates
from treadle.api.redrives import Redrives
from treadle.api.status import StatusChanges
from treadle.catalog import Activities, Aliases, Machines, Tags, parse_arn
from treadle.catalog.remembered import Remembered
from treadle.errors import ApiError
from treadle.functions import Functions
from treadle.functions.registry import Registry
from treadle.integrations.assembly import Parts, assembled
from treadle.integrations.aws.sessions import AwsSessions, endpoint_in_environment
from treadle.integrations.connections import Connections
from treadle.integrations.lambda_endpoint import LambdaEndpoint
from treadle.items import Access, DataSets, ResultFiles, unasked
from treadle.machine.journal import Entry
from treadle.runtime.clock import RealClock
from treadle.runtime.engine import Engine
from treadle.runtime.express import Express
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Clock, Commit, Integration, Store, Summary
from treadle.runtime.watched import Watched
from treadle.stores import MemoryStore

if TYPE_CHECKING:
    from treadle.api.request import Request

ACCOUNT: Final = "123456789012"
"""The account of everything that is made here."""

_LOGS: Final = ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL")


class Host:
    """What answers requests. Use it with `async with`; it opens and closes the store.

    `registry` has the functions that Lambda's API changes; it takes the place of `functions`. `aws_endpoint_url` is
    where other services of AWS are; AWS_ENDPOINT_URL if not given. `own_endpoint` is where this host itself is asked:
    Tasks that call Step Functions as any service get here.
    `logs_endpoint` is that of CloudWatch Logs, if another one. `aws` and `connections` are what Tasks call other
    services and HTTP APIs with; closed with the host.
    """

    def __init__(
        self,
        store: Store,
        *,
        functions: Functions | None = None,
        registry: Registry | None = None,
        aws_endpoint_url: str | None = None,
        own_endpoint: str | None = None,
        account: str = ACCOUNT,
        clock: Clock | None = None,
        aws: AwsSessions | None = None,
        logs_endpoint: str | None = None,
        connections: Connections | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self.account = account
        self.quotas = quotas or Quotas()
        self.census = Census(self.quotas)
        self.clock: Clock = clock or RealClock()
        self.now = self.clock.now
        self.status_changes = StatusChanges()
        self.commits = Commits()
        self.closing = asyncio.Event()
        self.store = Watched(store, self._committed, self.census.written).view
        self.machines = Machines(Remembered(self.store).view, self.now, random.random, self.quotas.versions)
        self.aliases = Aliases(self.machines, self.now, self.quotas.aliases)
        self.activities = Activities(self.store, self.now)
        self.tags = Tags(self.machines, self.activities)
        endpoint = (
            logs_endpoint
            or aws_endpoint_url
            or next((os.environ[each] for each in _LOGS if os.environ.get(each)), None)
        )
        self.logs = LogDelivery(endpoint, self._logging, aws.keys if aws else None)
        # AWS itself is never called unasked.
        elsewhere = aws_endpoint_url is not None or endpoint_in_environment()
        own = {} if own_endpoint is None else {"stepfunctions": own_endpoint}
        self._aws = aws or (AwsSessions(endpoint_url=aws_endpoint_url, special=own) if elsewhere else None)
        self._registry = registry
        self._functions, self._connections = registry or functions, connections
        self._items = Access(self._aws.s3 if self._aws else unasked)
        reader, writer = DataSets(self._items), ResultFiles(self._items)
        self._integrations: dict[str, Integration] = {}
        self.engine = Engine(
            self.store,
            self._integrations,
            reader=reader,
            writer=writer,
            clock=self.clock,
            prepare=self._prepare,
            limits=self.quotas.limits,
            open_map_runs=self.quotas.open_map_runs,
        )
        memory = MemoryStore()
        self._express_engine = Engine(memory, self._integrations, clock=self.clock, limits=self.quotas.limits)
        self.express = Express(self._express_engine, self._express_ended, memory.forget)
        self.deletions = Deletions(self.machines, self.engine)
        self.redrives = Redrives(self.engine, self.machines, self.census)
        self.pages = Pages(b"", self.now)
        self.rates = Rates(self.quotas.rates, self.now)
        self.polls = Polls(self.quotas, self.rates)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _open(self) -> None:
        parts = Parts(
            engine=lambda: self.engine,
            machines=self.find_machine,
            express=lambda: self.express,
            functions=self._functions,
            lambda_endpoint=LambdaEndpoint(),
            connections=self._connections,
            aws=self._aws,
        )
        self._stack.push_async_callback(self._items.close)
        self._integrations.update(await self._stack.enter_async_context(assembled(parts)))
        # What the durable engine takes up again may start Express executions.
        await self._stack.enter_async_context(self._express_engine)
        await self._stack.enter_async_context(self.engine)
        key = await self.store.setting("page-key", os.urandom(32).hex())
        self.pages = Pages(bytes.fromhex(key), self.now)
        await self.deletions.resume()
        if self._registry is not None:
            self.engine.spawn(self._registry.run())
        self.engine.spawn(self.logs.run())
        self._stack.push_async_callback(self.logs.drain)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        await self._stack.aclose()

    def next_page(self, request: Request, position: str | None) -> str | None:
        """The token of the page after `position`; None where there is none."""
        return None if position is None else self.pages.token(request.given, request.operation, position)

    async def find_machine(self, arn: str) -> StateMachine | None:
        """The state machine that a nested execution names."""
        try:
            return await self.machines.runnable(await self.machines.resolve(parse_arn(arn, "stateMachine")))
        except ApiError:
            return None

    @property
    def integrations(self) -> Mapping[str, Integration]:
        """What Tasks may call, while the host is open."""
        return self._integrations

    # ---- inside --------------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """What the open store is read for before executions go on."""
        await self.census.take(self.store)
        if self._registry is not None:
            await self._registry.load()

    def _committed(self, commit: Commit) -> None:
        self.census.committed(commit)
        self.status_changes.committed(commit)
        self.deletions.committed(commit)
        self.logs.committed(commit)
        self.commits.committed(commit)

    def _express_ended(self, summary: Summary, journal: list[Entry]) -> None:
        self.logs.offer(summary, journal)
        self.commits.committed(Commit(0, journal, summary))

    async def _logging(self, summary: Summary) -> Mapping[str, Any]:
        if summary.revision is None:
            return {}
        revision = await self.machines.revision(summary.machine_arn, summary.revision)
        return revision.logging if revision else {}

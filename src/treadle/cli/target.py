"""The execution that a command names, and the way to its store: through the process that holds it, or directly.

Owns the three ways to name an execution: its ARN, its name, or machine:name.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from treadle.cli.inputs import machine_arn
from treadle.cli.problems import Problem
from treadle.cli.session import existing_store, opened, recorded, socket_path
from treadle.errors import Locked
from treadle.machine.commands import Status
from treadle.runtime.control import Control, ListExecutions
from treadle.runtime.control_socket import RemoteControl
from treadle.runtime.machines import execution_arn
from treadle.runtime.offline import OfflineControl
from treadle.runtime.ports import Store, Summary
from treadle.stores import SqliteStore

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Access:
    """A store to ask. `store` is None while another process holds it."""

    url: str
    control: Control
    store: Store | None

    async def find(self, named: str, status: Status | None = None) -> str:
        """The ARN of the execution that is named. A Problem when there is none, or more than one."""
        if named.startswith("arn:"):
            return named
        machine, colon, name = named.rpartition(":")
        if colon:
            return execution_arn(machine_arn(machine), name)
        found = [each.arn for each in await self._all(status) if each.name == name]
        if not found:
            raise Problem(f"{named}: there is no such execution in {self.url}; `treadle executions list` shows them.")
        if len(found) > 1:
            raise Problem(f"{named}: several executions have this name; choose one of: {', '.join(found)}.")
        return found[0]

    async def go_on(self, arn: str) -> str | None:
        """The command with which an execution goes on; None while a process is at work on it."""
        if self.store is None:
            return None
        return (await recorded(self.store, await self.store.summary(arn))).command

    async def _all(self, status: Status | None) -> list[Summary]:
        page, after = await self.control.executions(ListExecutions(status=status, limit=_PAGE))
        found = page
        while after is not None:
            page, after = await self.control.executions(ListExecutions(status=status, limit=_PAGE, after=after))
            found += page
        return found


@asynccontextmanager
async def access(url: str) -> AsyncGenerator[Access]:
    """The way to a store that exists. Raises Problem, StoreError."""
    store = existing_store(url)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(opened(store))
        except Locked:
            if not isinstance(store, SqliteStore) or not socket_path(store).exists():
                raise
            yield Access(url, RemoteControl(socket_path(store)), None)
        else:
            yield Access(url, OfflineControl(store), store)

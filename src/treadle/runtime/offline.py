"""Questions and orders to a store that no process works on.

An order goes to an engine that lasts as long as the order does. It takes the event, and whatever follows at once, but
makes no call: those stay open in the store for the process that goes on with the execution. Owns that engine.
Neighbours: control.py, family.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Final

from treadle.errors import NotFound
from treadle.language.scope import Json
from treadle.language.values import is_object
from treadle.machine.commands import RunTask
from treadle.runtime.calls import idempotency_of
from treadle.runtime.control import Control, EngineControl, ListExecutions, ListTasks, Request, Stop
from treadle.runtime.engine import Engine
from treadle.runtime.family import PAGE, Family
from treadle.runtime.machines import execution_arn
from treadle.runtime.ports import Call, ItemPage, MapResults, Redelivery, Store, WaitRow

_NESTED: Final = "arn:aws:states:::states:startExecution.sync"
_KINDS: Final = ("lambda", "activity", "service", "aws-sdk", "http", "mcp")


class OfflineControl(Control):
    """Asks an open store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ask(self, request: Request) -> AsyncGenerator[Json]:
        """The items of the reply."""
        for item in await self._items(request):
            yield item

    async def _items(self, request: Request) -> list[Json]:
        family = _Resting(self._store)
        if not isinstance(request, ListExecutions | ListTasks):
            family.add(request.arn)
        nested = await self._nested(request.arn) if isinstance(request, Stop) else []
        async with _engine(family) as engine:
            items = [item async for item in EngineControl(engine).ask(request)]
        for arn in nested:
            await self._items(Stop(arn=arn))
        if isinstance(request, Stop):
            family.rests = False
            async with _engine(family) as engine:
                await engine.map_runs.at_rest()
        return items

    async def _nested(self, arn: str) -> list[str]:
        """The executions that this one waits for: they stop with it, as they would in an engine at work."""
        found = [child for row in await self._store.waits(arn) if (child := _child(row)) is not None]
        return [child for child in found if await self._is_child(child, arn)]

    async def _is_child(self, child: str, arn: str) -> bool:
        try:
            parent = (await self._store.summary(child)).parent
        except NotFound:
            return False
        return parent is not None and parent[0] == arn


class _Resting(Family):
    """A family whose map runs start no children: nothing here could run them."""

    rests = True

    async def open_calls(self, after: tuple[str, int] | None = None, limit: int = PAGE) -> list[WaitRow]:
        """Open waits to take up again."""
        while rows := await super().open_calls(after, limit):
            if found := [row for row in rows if not self.rests or row.kind != "map_run"]:
                return found
            after = rows[-1].arn, rows[-1].wait
        return []


def _engine(family: Family) -> Engine:
    parked = Parked()
    return Engine(family.view, dict.fromkeys(_KINDS, parked), reader=parked, writer=parked)


def _child(row: WaitRow) -> str | None:
    """The nested execution that a wait is for; one whose start was under way may be there, or not."""
    command = row.command
    if not isinstance(command, RunTask):
        return None
    if row.kind == "poll":
        arn = command.job.get("ExecutionArn") if is_object(command.job) else None
        return arn if isinstance(arn, str) else None
    arguments = command.arguments
    if row.kind != "call" or not command.resource.startswith(_NESTED) or not is_object(arguments):
        return None
    machine, name = arguments.get("StateMachineArn"), arguments.get("Name", idempotency_of(row))
    return execution_arn(machine, name) if isinstance(machine, str) and isinstance(name, str) else None


class Parked:
    """Serves nothing: what is asked of it stays open."""

    redelivery: Redelivery = "again"

    async def call(self, call: Call) -> Json:
        """Leave it to the next process."""
        return await asyncio.get_running_loop().create_future()

    async def poll(self, call: Call) -> Json:
        """Leave it to the next process."""
        return await asyncio.get_running_loop().create_future()

    async def cancel(self, call: Call) -> None:
        """Nothing was begun here."""

    async def pages(self, reader: Mapping[str, Json], skip: int) -> AsyncIterator[ItemPage]:
        """Leave it to the next process."""
        await asyncio.get_running_loop().create_future()
        yield ItemPage([])

    async def write(self, writer: Mapping[str, Json], results: MapResults) -> Json:
        """Leave it to the next process."""
        return await asyncio.get_running_loop().create_future()

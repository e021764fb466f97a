"""Questions and orders to executions: list, describe, stop, answer tasks.

A store belongs to one process at a time. So that others can still see its executions and answer their callbacks, that
process answers requests (control_socket.py); without one, offline.py does. Owns the requests and what each of them
does. Task tokens leave only where a request asks for them. It must never start anything that the engine would not do by
itself. Neighbours: engine.py, control_socket.py, offline.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from treadle.errors import ApiError, NotFound
from treadle.language.scope import Json
from treadle.machine.commands import RunTask, StartMapRun, Status
from treadle.machine.journal import Entry
from treadle.runtime.engine import Engine
from treadle.runtime.ports import Page, Summary, WaitKind, WaitRow

_PAGE: Final = 1000

_PageSize: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=1000)]


# ---- requests ----------------------------------------------------------------------------------------------------


class ListExecutions(msgspec.Struct, frozen=True, tag_field="do", tag="executions", kw_only=True):
    """A page of executions, the newest first; of a map run's children, where one is named."""

    machine_arn: str | None = None
    map_run_arn: str | None = None
    status: Status | None = None
    limit: _PageSize = 100
    after: str | None = None


class Describe(msgspec.Struct, frozen=True, tag_field="do", tag="describe"):
    """An execution, its input and output, and its open waits."""

    arn: str


class ReadJournal(msgspec.Struct, frozen=True, tag_field="do", tag="journal"):
    """All entries of an execution."""

    arn: str


class ListTasks(msgspec.Struct, frozen=True, tag_field="do", tag="tasks", kw_only=True):
    """Open callbacks and activities, of one execution or of all running ones."""

    arn: str | None = None
    limit: _PageSize = 100
    tokens: bool = False


class Stop(msgspec.Struct, frozen=True, tag_field="do", tag="stop", kw_only=True):
    """Stop an execution."""

    arn: str
    error: str | None = None
    cause: str | None = None


class Succeed(msgspec.Struct, frozen=True, tag_field="do", tag="succeed", kw_only=True):
    """End a task well."""

    arn: str
    wait: int
    output: Json


class Fail(msgspec.Struct, frozen=True, tag_field="do", tag="fail", kw_only=True):
    """End a task badly."""

    arn: str
    wait: int
    error: str | None = None
    cause: str | None = None


class Heartbeat(msgspec.Struct, frozen=True, tag_field="do", tag="heartbeat"):
    """A task is still being worked on."""

    arn: str
    wait: int


Request: TypeAlias = ListExecutions | Describe | ReadJournal | ListTasks | Stop | Succeed | Fail | Heartbeat


# ---- what they give ----------------------------------------------------------------------------------------------


class OpenWait(msgspec.Struct, frozen=True, kw_only=True):
    """An open wait as people see it. `state` is empty for the time limit of the execution itself."""

    arn: str
    wait: int
    kind: WaitKind
    state: str
    since: float
    due: float | None = None
    heartbeat_due: float | None = None
    resource: str | None = None
    attempt: int = 0
    token: str | None = None


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """An execution with its data and its open waits."""

    summary: Summary
    waits: list[OpenWait]
    input: Json
    output: Json = None
    map_runs: list[Summary] = []


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a page. `last` says that no page follows."""

    summary: Summary
    last: bool


class Control(ABC):
    """What can be asked and ordered; here or through a socket, it is the same."""

    @abstractmethod
    def ask(self, request: Request) -> AsyncGenerator[Json]:
        """The items of the reply, as plain data. Raises ApiError, StoreError."""

    async def executions(self, request: ListExecutions) -> tuple[list[Summary], str | None]:
        """A page of executions, and where the next one begins."""
        page = [msgspec.convert(item, Listed) async for item in self.ask(request)]
        return [each.summary for each in page], None if not page or page[-1].last else page[-1].summary.arn

    async def describe(self, arn: str) -> Description:
        """An execution. Raises ApiError ExecutionDoesNotExist."""
        return msgspec.convert(await self._one(Describe(arn)), Description)

    async def journal(self, arn: str) -> list[Entry]:
        """All entries of an execution. Raises ApiError ExecutionDoesNotExist."""
        return [msgspec.convert(item, Entry) async for item in self.ask(ReadJournal(arn))]

    async def tasks(self, request: ListTasks) -> list[OpenWait]:
        """Open callbacks and activities."""
        return [msgspec.convert(item, OpenWait) async for item in self.ask(request)]

    async def stop(self, request: Stop) -> Summary:
        """Stop an execution; gives how it ended, now or before. Raises ApiError ExecutionDoesNotExist."""
        return msgspec.convert(await self._one(request), Summary)

    async def answer(self, request: Succeed | Fail | Heartbeat) -> None:
        """Answer a task. Raises ApiError TaskDoesNotExist, TaskTimedOut."""
        await self._one(request)

    async def _one(self, request: Request) -> Json:
        items = [item async for item in self.ask(request)]
        return items[0] if items else None


# ---- in the process that has the engine --------------------------------------------------------------------------


class EngineControl(Control):
    """Answers from an engine of this process. `store` of the engine may be a view: then only that is seen."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._does: Mapping[type, Callable[[Any], AsyncIterator[Any]]] = {
            ListExecutions: self._executions,
            Describe: self._describe,
            ReadJournal: self._journal,
            ListTasks: self._tasks,
            Stop: self._stop,
            Succeed: self._succeed,
            Fail: self._fail,
            Heartbeat: self._heartbeat,
        }

    async def ask(self, request: Request) -> AsyncGenerator[Json]:
        """The items of the reply."""
        async for item in self._does[type(request)](request):
            yield msgspec.to_builtins(item)

    async def _executions(self, request: ListExecutions) -> AsyncIterator[Listed]:
        try:
            page = await self._page(request)
        except NotFound:
            raise ApiError("InvalidToken", f"No page begins after {request.after}") from None
        for summary in page.executions:
            yield Listed(summary=summary, last=page.next is None)

    async def _page(self, request: ListExecutions) -> Page:
        status, limit, after = request.status, request.limit, request.after
        if request.map_run_arn is not None:
            return await self._engine.map_runs.children(request.map_run_arn, status, limit, after)
        return await self._engine.store.executions(request.machine_arn, status, limit, after)

    async def _describe(self, request: Describe) -> AsyncIterator[Description]:
        result = await self._engine.result(request.arn)
        yield Description(
            summary=result.summary,
            waits=await self._open(request.arn),
            map_runs=await self._engine.map_runs.list(request.arn),
            input=result.input,
            output=result.output,
        )

    async def _journal(self, request: ReadJournal) -> AsyncIterator[Entry]:
        for entry in await self._engine.journal(request.arn):
            yield entry

    async def _tasks(self, request: ListTasks) -> AsyncIterator[OpenWait]:
        left = request.limit
        async for arn in self._running() if request.arn is None else self._with_children(request.arn):
            for wait in await self._open(arn, request.tokens):
                if wait.kind in ("callback", "activity") and left:
                    left -= 1
                    yield wait
            if not left:
                return

    async def _running(self) -> AsyncIterator[str]:
        store = self._engine.store
        async for summary in _paged(lambda after: store.executions(None, "RUNNING", _PAGE, after)):
            async for arn in self._with_children(summary.arn):
                yield arn

    async def _with_children(self, arn: str) -> AsyncIterator[str]:
        """An execution, and what runs of the children of its map runs."""
        yield arn
        store = self._engine.store
        try:
            rows = await store.waits(arn)
        except NotFound:
            return
        for run in [row.command.arn for row in rows if isinstance(row.command, StartMapRun)]:
            async for child in _paged(lambda after, run=run: store.children(run, "RUNNING", _PAGE, after)):
                async for below in self._with_children(child.arn):
                    yield below

    async def _open(self, arn: str, tokens: bool = False) -> list[OpenWait]:
        try:
            rows = await self._engine.store.waits(arn)
            states = state_names(await self._engine.store.journal(arn)) if rows else {}
        except NotFound:
            raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'") from None
        return [
            _open_wait(row, states.get(row.wait, ""), self._engine.token(arn, row.wait) if tokens else None)
            for row in rows
        ]

    async def _stop(self, request: Stop) -> AsyncIterator[Summary]:
        await self._engine.stop(request.arn, request.error, request.cause)
        yield await self._engine.summary(request.arn)

    async def _succeed(self, request: Succeed) -> AsyncIterator[None]:
        await self._engine.succeed_task(await self._answerable(request.arn, request.wait), request.output)
        yield None

    async def _fail(self, request: Fail) -> AsyncIterator[None]:
        await self._engine.fail_task(await self._answerable(request.arn, request.wait), request.error, request.cause)
        yield None

    async def _heartbeat(self, request: Heartbeat) -> AsyncIterator[None]:
        await self._engine.heartbeat_task(await self._answerable(request.arn, request.wait))
        yield None

    async def _answerable(self, arn: str, wait: int) -> str:
        """The token of a task that may still be answered. A task of an activity is taken first."""
        row = await self._engine.store.wait(arn, wait)
        if row is None or row.kind not in ("callback", "activity"):
            raise ApiError("TaskDoesNotExist", f"No task {wait} of {arn} is open")
        # While no process held the store its time may have run out, and nobody was there to say so.
        if row.moment is not None and row.moment <= self._engine.clock.now():
            raise ApiError("TaskTimedOut", f"The time for task {wait} of {arn} has run out")
        if row.kind == "activity" and await self._engine.take_task(row) is None:
            raise ApiError("TaskDoesNotExist", f"A worker has just taken task {wait} of {arn}")
        return self._engine.token(arn, wait)


def _open_wait(row: WaitRow, state: str, token: str | None) -> OpenWait:
    task = row.command if isinstance(row.command, RunTask) else None
    answered = row.kind in ("callback", "activity")
    return OpenWait(
        arn=row.arn,
        wait=row.wait,
        kind=row.kind,
        state=state,
        since=row.created_at,
        due=row.due,
        heartbeat_due=row.heartbeat_due,
        resource=task and task.resource,
        attempt=task.attempt if task else 0,
        token=token if answered else None,
    )


def state_names(journal: list[Entry]) -> dict[int, str]:
    """By entry number, from 1: the state that the entry's scope was in; nothing for those before the first state."""
    current: dict[tuple[int, ...], str] = {}
    names: dict[int, str] = {}
    for number, entry in enumerate(journal, 1):
        if entry.type.endswith("StateEntered"):
            current[entry.frame] = entry.details["name"]
        if entry.frame in current and not entry.type.startswith("Execution"):
            names[number] = current[entry.frame]
    return names


async def _paged(fetch: Callable[[str | None], Awaitable[Page]]) -> AsyncIterator[Summary]:
    """The executions of all pages."""
    after: str | None = None
    while True:
        page = await fetch(after)
        for summary in page.executions:
            yield summary
        if page.next is None:
            return
        after = page.next

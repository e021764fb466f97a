"""Asynchronous invocations: kept before they are acknowledged, made afterwards, made again when they fail.

Lambda 'Asynchronous invocation': an event whose function fails is tried two times more, a minute and then two minutes
later. An event is deleted when its function has succeeded, or has failed for the last time. A process that dies in
between makes it again after its restart: at least once, as on Lambda.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from treadle.errors import StoreError
from treadle.functions.contract import FunctionError, FunctionNotFound, FunctionsClosed, Invoked
from treadle.runtime.ports import Document, Store

log = logging.getLogger("treadle.functions")

_KIND: Final = "lambda-event"
RETRY_SECONDS: Final = (60.0, 120.0)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation that is still owed. `due` is seconds since the epoch."""

    id: str
    name: str
    qualifier: str | None
    payload: bytes
    client_context: bytes | None = None
    attempt: int = 0
    due: float = 0.0


Invoke = Callable[[Event], Awaitable[Invoked]]


class Events:
    """Makes asynchronous invocations. `run` must be under way for that, and ends when it is cancelled."""

    def __init__(self, store: Store, invoke: Invoke, retry_seconds: Sequence[float] = RETRY_SECONDS) -> None:
        self._store, self._invoke, self._retry_seconds = store, invoke, retry_seconds
        self._new: asyncio.Queue[tuple[Event, int]] = asyncio.Queue()

    async def submit(
        self, name: str, qualifier: str | None, payload: bytes, client_context: bytes | None = None
    ) -> str:
        """Keep an invocation, to be made soon; gives its request id. It is durable when this returns."""
        event = Event(
            id=str(uuid.uuid4()), name=name, qualifier=qualifier, payload=payload, client_context=client_context
        )
        await self._store.put_documents([_written(event, 0)])
        self._new.put_nowait((event, 1))
        return event.id

    async def run(self) -> None:
        """Make what was owed when the last process ended, and all that comes."""
        async with asyncio.TaskGroup() as group:
            after = ""
            owed: set[str] = set()
            while documents := await self._store.documents(_KIND, after=after):
                for document in documents:
                    assert document.value is not None
                    event = msgspec.msgpack.decode(document.value, type=Event)
                    owed.add(event.id)
                    group.create_task(self._make(event, document.revision))
                after = documents[-1].key
            while True:
                event, revision = await self._new.get()
                # What was submitted before all that is owed was read may have been read as well.
                if event.id not in owed:
                    group.create_task(self._make(event, revision))

    async def _make(self, event: Event, revision: int) -> None:
        try:
            while True:
                await asyncio.sleep(max(0.0, event.due - time.time()))
                if await self._succeeds(event) or event.attempt >= len(self._retry_seconds):
                    break
                later = time.time() + self._retry_seconds[event.attempt]
                event = msgspec.structs.replace(event, attempt=event.attempt + 1, due=later)
                await self._store.put_documents([_written(event, revision)])
                revision += 1
            await self._store.put_documents([Document(kind=_KIND, key=event.id, revision=revision)])
        except FunctionsClosed:
            return  # still owed: the next process makes it
        except StoreError:
            log.exception("an event of the function %s is made again after a restart", event.name)

    async def _succeeds(self, event: Event) -> bool:
        try:
            invoked = await self._invoke(event)
        except FunctionsClosed:
            raise
        except FunctionNotFound:
            return True  # deleted meanwhile: nobody is left to be asked
        except FunctionError as error:
            log.warning("an event of the function %s was not taken: %s", event.name, error)
            return False
        if invoked.error is not None:
            log.warning(
                "an event of the function %s failed: %s", event.name, invoked.payload[:1000].decode("utf-8", "replace")
            )
        return invoked.error is None


def _written(event: Event, revision: int) -> Document:
    return Document(kind=_KIND, key=event.id, value=msgspec.msgpack.encode(event), revision=revision)

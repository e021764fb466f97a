"""Functions that are created, changed and removed while treadle runs: versions, aliases, what is kept of them.

    registry = Registry(store, folder, processes)
    await registry.load()
    await registry.change("charge", lambda there: ...)
    await registry.invoke("charge", b"{}", qualifier="live")

Owns that a change is in the store before it is seen, one change of a function at a time, and which code an invocation
runs. What a change may be is for the API. Functions that were found in a folder are there beside them and are not
changed here. Neighbours: `records` is what is kept, `code` the packages, `processes` runs them, `events` those that are
invoked later.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from treadle.functions.code import BadCode, CodeFolder
from treadle.functions.contract import CannotStart, FunctionBusy, FunctionNotFound, Invoked, qualified
from treadle.functions.events import RETRY_SECONDS, Event, Events
from treadle.functions.processes import ProcessFunctions
from treadle.functions.records import LATEST, Function, Version
from treadle.functions.request import request
from treadle.functions.spec import FunctionSpec
from treadle.runtime.ports import Document, Store

_KIND: Final = "lambda-function"

Change = Callable[[Function | None], Function | None]
"""A function as it is to what it is to be; None where there is none."""


class Registry:
    """The functions of one store.

    `load` comes before all else, once the store is open. `run`, which ends when it is cancelled, makes the invocations
    that are owed; the store must stay open meanwhile. Closing it ends every process.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        processes: ProcessFunctions,
        *,
        retry_seconds: tuple[float, ...] = RETRY_SECONDS,
    ) -> None:
        self._store = store
        self.code = CodeFolder(folder)
        self._processes = processes
        self._found = set(processes.names())
        self._functions: dict[str, Function] = {}
        self._revisions: dict[str, int] = {}
        self._changing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._under_way: defaultdict[str, int] = defaultdict(int)
        self._events = Events(store, self._invoke_event, retry_seconds)

    async def load(self) -> None:
        """Read what is kept."""
        after = ""
        while documents := await self._store.documents(_KIND, after=after):
            for document in documents:
                assert document.value is not None
                self._functions[document.key] = msgspec.msgpack.decode(document.value, type=Function)
                self._revisions[document.key] = document.revision
            after = documents[-1].key

    async def run(self) -> None:
        """Make the invocations that were owed, and those that come to be."""
        await self._events.run()

    async def close(self) -> None:
        """Take no more calls and end every process."""
        await self._processes.close()

    # ---- what there is -----------------------------------------------------------------------------------------

    def names(self) -> Collection[str]:
        """All functions, those found in a folder included."""
        return self._functions.keys() | self._found

    def get(self, name: str) -> Function | None:
        """What is kept of a function; None for one that was not created here."""
        return self._functions.get(name)

    def created(self) -> Mapping[str, Function]:
        """The functions that were created here."""
        return self._functions

    def found(self, name: str) -> FunctionSpec | None:
        """A function that was found in a folder."""
        return self._processes.spec(name) if name in self._found else None

    def place(self, spec: FunctionSpec) -> None:
        """Have a function of a folder, in place of one of the same name; what is under way ends as it began."""
        self._found.add(spec.name)
        self._processes.put(spec)

    def displace(self, name: str) -> None:
        """Have a function of a folder no more."""
        self._found.discard(name)
        with suppress(FunctionNotFound):
            self._processes.remove(name)

    def found_names(self) -> Collection[str]:
        """The functions that were found in a folder."""
        return self._found

    async def change(self, name: str, change: Change) -> Function | None:
        """Change what is kept of a function. It is in the store before anything else sees it."""
        async with self._changing[name]:
            before = self._functions.get(name)
            after = change(before)
            if after is before:
                return after
            revision = self._revisions.get(name, 0)
            value = None if after is None else msgspec.msgpack.encode(after)
            await self._store.put_documents([Document(kind=_KIND, key=name, value=value, revision=revision)])
            if after is None:
                del self._functions[name], self._revisions[name]
            else:
                self._functions[name], self._revisions[name] = after, revision + 1
            self._forget(before, after)
            return after

    def _forget(self, before: Function | None, after: Function | None) -> None:
        """Processes of code that has changed are not used any more; invocations under way end as they began."""
        if before is None:
            return
        now: Mapping[str, Version] = {} if after is None else after.every_version()
        for version, then in before.every_version().items():
            if now.get(version) != then:
                with suppress(FunctionNotFound):
                    self._processes.remove(_key(before.name, version))

    # ---- invocations -------------------------------------------------------------------------------------------

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        qualifier: str | None = None,
        trace_id: str | None = None,
        client_context: bytes | None = None,
    ) -> Invoked:
        """Call the handler once, of the version that the qualifier stands for."""
        function, version = self._resolved(name, qualifier)
        options: dict[str, Any] = {"trace_id": trace_id, "client_context": client_context}
        if function is None or version is None:
            return await self._processes.invoke(name, payload, qualifier=qualifier, **options)
        if function.reserved is not None and self._under_way[name] >= function.reserved:
            raise FunctionBusy(name)
        self._under_way[name] += 1
        try:
            key = await self._ready(function, version)
            arn = qualified(function.arn, qualifier)
            return await self._processes.invoke(key, payload, arn=arn, **options)
        finally:
            self._under_way[name] -= 1
            if not self._under_way[name]:
                del self._under_way[name]

    async def submit(
        self, name: str, payload: bytes, *, qualifier: str | None = None, client_context: bytes | None = None
    ) -> str:
        """Have an invocation made later. It is durable when this returns."""
        self._resolved(name, qualifier)
        # What could not be invoked is refused now.
        request(name, payload, None, client_context)
        return await self._events.submit(name, qualifier, payload, client_context)

    def _resolved(self, name: str, qualifier: str | None) -> tuple[Function | None, Version | None]:
        function = self._functions.get(name)
        if function is None:
            if name not in self._found:
                raise FunctionNotFound(name)
            return None, None
        version = function.resolve(qualifier, random.random())
        if version is None:
            raise FunctionNotFound(qualified(name, qualifier))
        return function, version

    async def _invoke_event(self, event: Event) -> Invoked:
        return await self.invoke(
            event.name, event.payload, qualifier=event.qualifier, client_context=event.client_context
        )

    async def _ready(self, function: Function, version: Version) -> str:
        """The name under which a version can be run; its code is unpacked where it is not."""
        key = _key(function.name, version.version)
        spec = self._processes.spec(key)
        if spec is None:
            folder = version.code.folder
            try:
                place = Path(folder) if folder else await asyncio.to_thread(self.code.folder, version.code.digest)
            except BadCode as error:
                raise CannotStart(str(error)) from None
            if self._processes.spec(key) is None and self._current(function.name, version):
                self._processes.put(_spec(function, version, place))
        return key

    def _current(self, name: str, version: Version) -> bool:
        function = self._functions.get(name)
        return function is not None and function.every_version().get(version.version) is version


def _key(name: str, version: str) -> str:
    return name if version == LATEST else f"{name}:{version}"


def _spec(function: Function, version: Version, folder: Path) -> FunctionSpec:
    settings = version.settings
    return FunctionSpec(
        name=_key(function.name, version.version),
        handler=settings.handler,
        folder=folder,
        runtime=settings.runtime,
        environment=settings.environment,
        timeout=settings.timeout,
        memory_mb=settings.memory,
        version=version.version,
        function=function.name,
    )

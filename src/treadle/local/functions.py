"""The functions of this machine, which come and go while others run.

Owns which processes serve a name at the moment: a function that is replaced finishes what is under way and ends.
Neighbour: `treadle.functions` runs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from treadle.functions import FunctionNotFound, FunctionsClosed, FunctionSpec, Invoked, ProcessFunctions, Surroundings


@dataclass(slots=True)
class _Serving:
    functions: ProcessFunctions
    under_way: int = 0
    retired: bool = False


class LocalFunctions:
    """Functions by name. `put` and `remove` may be called from any thread, the rest on the loop that it was made on."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._serving: dict[str, _Serving] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def put(self, spec: FunctionSpec) -> None:
        """Have a function, in place of one of the same name."""
        self._loop.call_soon_threadsafe(self._put, spec)

    def remove(self, name: str) -> None:
        """Have it no more."""
        self._loop.call_soon_threadsafe(self._retire, name)

    def names(self) -> Collection[str]:
        """The functions there are."""
        return self._serving.keys()

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        qualifier: str | None = None,
        trace_id: str | None = None,
        client_context: bytes | None = None,
    ) -> Invoked:
        """Call a function's handler once, as `Functions.invoke` says."""
        if self._closed:
            raise FunctionsClosed
        serving = self._serving.get(name)
        if serving is None:
            raise FunctionNotFound(name)
        serving.under_way += 1
        try:
            return await serving.functions.invoke(
                name, payload, qualifier=qualifier, trace_id=trace_id, client_context=client_context
            )
        finally:
            serving.under_way -= 1
            self._end_idle(serving)

    async def close(self) -> None:
        """Stop everything that runs."""
        self._closed = True
        await asyncio.gather(*self._ending, *(each.functions.close() for each in self._serving.values()))
        self._serving.clear()

    def _put(self, spec: FunctionSpec) -> None:
        self._retire(spec.name)
        if not self._closed:
            self._serving[spec.name] = _Serving(ProcessFunctions({spec.name: spec}, surroundings=self._surroundings))

    def _retire(self, name: str) -> None:
        serving = self._serving.pop(name, None)
        if serving is not None:
            serving.retired = True
            self._end_idle(serving)

    def _end_idle(self, serving: _Serving) -> None:
        if serving.retired and serving.under_way == 0:
            task = self._loop.create_task(serving.functions.close())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

"""Functions of a program as Lambda functions: a Task names them as it would name them on AWS.

Owns how a plain callable is called and what its exceptions become. A function is called at least once: a call that was
under way when the process died is made again, with the same `current_call().idempotency`.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
import uuid
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeAlias

import msgspec

from treadle.errors import StatesError
from treadle.functions import FunctionNotFound, FunctionsClosed, Invoked
from treadle.language.scope import Json
from treadle.machine.journal import json_text
from treadle.runtime.ports import Call, Integration, Redelivery

Function: TypeAlias = Callable[[Any], Any]
"""A function, or a coroutine function: it takes the payload and gives the result, both JSON values."""

_CALL: ContextVar[Call] = ContextVar("treadle-call")


def current_call() -> Call:
    """The call that the running function serves. `idempotency` is the same whenever one attempt is made again.

    Raises LookupError outside of a function that the engine called.
    """
    return _CALL.get()


class Callables:
    """Runs functions of this process, by name.

    Unless `on_the_loop`, plain functions run in threads, so that one that waits holds nobody up.
    """

    def __init__(self, functions: Mapping[str, Function], on_the_loop: bool) -> None:
        self._functions = dict(functions)
        self._on_the_loop = on_the_loop
        self._closed = False

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        qualifier: str | None = None,
        trace_id: str | None = None,
        client_context: bytes | None = None,
    ) -> Invoked:
        """Call the function once; what it raises is in the answer."""
        if self._closed:
            raise FunctionsClosed
        function = self._functions.get(name)
        if function is None:
            raise FunctionNotFound(name)
        error = None
        try:
            answer = json_text(await self._call(function, msgspec.json.decode(payload or b"{}")))
        except Exception as failure:
            error = "Unhandled"
            answer = json_text(_told(failure))
        return Invoked(answer.encode("utf-8", "surrogatepass"), error, "", str(uuid.uuid4()))

    async def _call(self, function: Function, payload: Json) -> Json:
        if self._on_the_loop or inspect.iscoroutinefunction(function):
            result = function(payload)
        else:
            # The thread takes the context along, and with it `current_call`.
            result = await asyncio.to_thread(function, payload)
        return await result if inspect.isawaitable(result) else result

    def names(self) -> Collection[str]:
        """The functions there are."""
        return self._functions.keys()

    async def close(self) -> None:
        """Take no more calls."""
        self._closed = True


_FRAMES: Final = 20


def _told(failure: Exception) -> dict[str, Json]:
    """An exception as Lambda tells it: its type is the error name; a StatesError has a name of its own."""
    if isinstance(failure, StatesError):
        return {"errorMessage": failure.cause or "", "errorType": failure.name or "Error"}
    trace = traceback.format_tb(failure.__traceback__)[-_FRAMES:]
    return {"errorMessage": str(failure), "errorType": type(failure).__name__, "stackTrace": [*trace]}


class Served:
    """An integration that lets what it calls know the call."""

    def __init__(self, inner: Integration) -> None:
        self._inner = inner
        self.redelivery: Redelivery = inner.redelivery

    async def call(self, call: Call) -> Json:
        """Make the call, known to `current_call` meanwhile."""
        token = _CALL.set(call)
        try:
            return await self._inner.call(call)
        finally:
            _CALL.reset(token)

    async def poll(self, call: Call) -> Json:
        """Wait for a job."""
        return await self._inner.poll(call)

    async def cancel(self, call: Call) -> None:
        """Stop a job."""
        await self._inner.cancel(call)

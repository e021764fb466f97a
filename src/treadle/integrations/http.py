"""HTTP tasks: `arn:aws:states:::http:invoke`.

Owns the life of one call: the connection's authorisation, the time limit, and one repetition with a new token.
Neighbours: http_request.py (what is sent), http_answers.py (what becomes of the answer), http_client.py (how),
connections.py (as whom).

A call that was under way when the process died is made again where that is harmless by the rules of HTTP: a method that
is idempotent, or an `Idempotency-Key` among the definition's headers. Any other fails with States.TaskFailed, which the
definition may retry: it alone knows whether a second POST does harm.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

from treadle.errors import StatesError
from treadle.integrations.arguments import expect_action, members
from treadle.integrations.connections import Additions, Authorised
from treadle.integrations.http_answers import output_of, status_text
from treadle.integrations.http_client import SOCKET, Answer, HttpClient, Request, Turns
from treadle.integrations.http_request import Wanted, request_of, wanted_of
from treadle.language.scope import Json
from treadle.runtime.ports import Call, Redelivery

TIME_LIMIT: Final = 60.0
"""Seconds. AWS 'Service quotas', HTTP task duration."""

_AT_ONCE: Final = 300
"""Requests under way at once; AWS's bucket of HTTP tasks."""

_DIED: Final = (
    "The process that sent this request ended before the answer came, and a {} must not be repeated unasked: "
    "give it an Idempotency-Key header, or retry States.TaskFailed."
)
Witness: TypeAlias = Callable[[Request, Request, Answer | None], None]
"""Sees a request without what the connection adds, the request as it is sent, and the answer once it is there."""

_WITNESS: ContextVar[Witness | None] = ContextVar("treadle-http-witness", default=None)

_REFUSED: Final = (401, 407)
"""EventBridge gets a new token when one of these comes back."""


@contextmanager
def witnessed(witness: Witness) -> Generator[None]:
    """Let somebody see what the calls within send and get. What the connection adds is secret: show it to nobody."""
    token = _WITNESS.set(witness)
    try:
        yield
    finally:
        _WITNESS.reset(token)


class HttpIntegration:
    """Calls HTTP APIs. Close it after the engine.

    `context` and `plain` are those of `HttpClient`. `time_limit` is in seconds, `at_once` counts requests.
    """

    redelivery: Redelivery = "again"

    def __init__(
        self,
        connections: Authorised,
        *,
        context: ssl.SSLContext | None = None,
        plain: bool = False,
        time_limit: float = TIME_LIMIT,
        at_once: int = _AT_ONCE,
    ) -> None:
        self._connections = connections
        self._client = HttpClient(context=context, plain=plain)
        self._turns, self._time_limit = Turns(at_once), time_limit

    async def call(self, call: Call) -> Json:
        """Send the request and give the answer. Raises StatesError States.Http.*, Events.ConnectionResource.*."""
        expect_action(call, ("invoke",))
        wanted = wanted_of(members(call.arguments))
        if call.again and not wanted.repeatable:
            raise StatesError("States.TaskFailed", _DIED.format(wanted.method))
        try:
            async with self._turns.turn(self._time_limit):
                return _result(await self._answer(wanted, call.execution_arn.split(":")[3]))
        except TimeoutError:
            raise StatesError(SOCKET, f"The HTTP Task timed out after {self._time_limit:g} seconds.") from None

    async def poll(self, call: Call) -> Json:
        """HTTP tasks have no jobs."""
        raise AssertionError(f"{call.resource} has no .sync pattern")

    async def cancel(self, call: Call) -> None:
        """Nothing goes on after a request was cancelled."""

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def _answer(self, wanted: Wanted, region: str) -> Answer:
        exchange = self._client.exchange
        additions = await self._connections.authorise(wanted.connection, exchange)
        answer = await self._send(wanted, additions, region)
        if answer.status in _REFUSED and additions.token is not None:
            # Whoever refuses the token has not acted, so the request may be sent once more.
            additions = await self._connections.authorise(wanted.connection, exchange, additions.token)
            answer = await self._send(wanted, additions, region)
        return answer

    async def _send(self, wanted: Wanted, additions: Additions, region: str) -> Answer:
        request = request_of(wanted, additions, region)
        witness = _WITNESS.get()
        if witness is None:
            return await self._client.exchange(request)
        bare = request_of(wanted, Additions({}, {}, {}), region)
        witness(bare, request, None)
        answer = await self._client.exchange(request)
        witness(bare, request, answer)
        return answer


def _result(answer: Answer) -> Json:
    """The output of the task. Raises StatesError for anything that is not a success."""
    if not 200 <= answer.status < 300:
        # AWS names the error by its status and says nothing of the cause; a body may hold what no history should.
        raise StatesError(f"States.Http.StatusCode.{answer.status}", status_text(answer))
    return output_of(answer, str.lower)

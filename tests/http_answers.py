"""An HTTP server of a test: it answers every request as the test says, and remembers what was sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class Sent:
    """A request as the server saw it."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answers:
    """The server. `under_way` counts the requests that it has not answered and whose sender still waits."""

    answer: Handler
    seen: list[Sent] = field(default_factory=list)
    url: str = ""
    under_way: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Answers]:
        """The server at work, on a port of its own."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            self.seen.append(Sent(request.raw_path, dict(request.headers), await request.read()))
            self.under_way += 1
            try:
                return await self.answer(request)
            finally:
                self.under_way -= 1

        runner = web.ServerRunner(web.Server(handle, handler_cancellation=True))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

"""The HTTP server: uvicorn around an ASGI application, from the first connection to the last answer.

Owns its bounds and how it ends: no new connection, long polls answered at once, whoever else is under way gets some
seconds. What is asked of it is the application's. Imported only by whoever starts a server.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from treadle.errors import TreadleError

HEADER_BYTES: Final = 64 * 1024
HEADER_SECONDS: Final = 30.0
"""How long a connection may take for its first request, and a request for its headers."""
DRAIN_SECONDS: Final = 10
"""How long requests may take that are under way when the server stops."""
_IDLE_SECONDS: Final = 65
"""How long a connection may be idle: longer than a long poll, so that clients close first."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class CannotListen(TreadleError):
    """The address is in use, or not one of this machine."""


def listening(host: str, port: int) -> socket.socket:
    """A socket at an address. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotListen(f"{host}:{port} cannot be used ({error.strerror}): choose another --port.") from None
    return listener


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the fastest event loop that uvicorn knows."""
    return uvicorn.Config("", loop="auto", log_config=None).get_loop_factory()


class Connection(HttpToolsProtocol):
    """A connection, which ends when the headers of its next request do not: uvicorn would wait for good."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are there; the body is the application's."""
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._wait_no_more()
        self._late = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()


class Server(uvicorn.Server):
    """Answers requests until SIGINT or SIGTERM.

    `ready` is called when the first request may come, `stopping` when no more do. Beyond `connections` a request is
    answered with 503, which the SDKs repeat.
    """

    def __init__(
        self, app: Any, *, ready: Callable[[], None], stopping: Callable[[], None], connections: int = 4_000
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                loop="none",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=1024,
                # The application tells of too many requests in AWS's words; this is the last resort.
                limit_concurrency=connections,
                h11_max_incomplete_event_size=HEADER_BYTES,
                timeout_keep_alive=_IDLE_SECONDS,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )
        self._ready, self._stopping = ready, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and let those that there are end."""
        self._stopping()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """A signal ends the server and nothing else: whoever runs it closes the rest."""
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:
            loop.add_signal_handler(each, self._stop)
        try:
            yield
        finally:
            for each in _SIGNALS:
                loop.remove_signal_handler(each)

    def _stop(self) -> None:
        self.should_exit = True

"""Something that answers in the place of AWS as a test says: late, broken, refusing, or in turn."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Exchange:
    """A request, and how to answer it."""

    handler: BaseHTTPRequestHandler
    body: bytes
    released: threading.Event
    target: str = ""
    """The operation, of the JSON protocols."""

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")

    def answer(self, value: Any, status: int = 200, **headers: str) -> None:
        self.send(json.dumps(value).encode(), status, **headers)

    def send(self, content: bytes, status: int = 200, promised: int | None = None, **headers: str) -> None:
        self.handler.send_response(status)
        given = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "request-1", **headers}
        given["Content-Length"] = str(len(content) if promised is None else promised)
        for name, text in given.items():
            self.handler.send_header(name, text)
        self.handler.end_headers()
        self.handler.wfile.write(content)

    def refuse(self, code: str, message: str = "no", status: int = 400) -> None:
        self.answer({"__type": f"com.amazonaws#{code}", "message": message}, status)

    def reset(self) -> None:
        """Break the connection in the middle of an answer."""
        self.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        self.handler.wfile.flush()
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.connection.close()
        self.handler.close_connection = True  # else it would be open until the handler has read the next request

    def hang(self) -> None:
        """Answer nothing until the test is over."""
        self.released.wait(60)


@dataclass
class Faulty:
    """The server's address, and the requests that it has seen."""

    url: str
    seen: list[Exchange] = field(default_factory=list)


@contextmanager
def faulty(behave: Callable[[Exchange], None]) -> Iterator[Faulty]:
    """A server on a free port."""
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = (self.headers.get("X-Amz-Target") or "").rpartition(".")[2]
            exchange = Exchange(self, body, released, target)
            served.seen.append(exchange)
            try:
                behave(exchange)
            except OSError:
                self.close_connection = True  # the client has gone

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = respond

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                self.close_connection = True  # broken on purpose

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def shutdown_request(self, request: Any) -> None:
            if request.fileno() != -1:
                super().shutdown_request(request)

    with Server(("127.0.0.1", 0), Handler) as server:
        served = Faulty(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            released.set()
            server.shutdown()
            thread.join()

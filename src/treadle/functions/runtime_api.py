"""Lambda's Runtime API on one connection: bytes in, calls on a `Runtime` out.

Source: Lambda 'Using the Lambda runtime API for custom runtimes'. Speaks as much HTTP/1.1 as the runtime clients do:
requests with a Content-Length, one after the other, on a connection that stays open. Knows nothing of processes:
`worker` is the other side.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final, Protocol, cast

from treadle.functions.contract import RESPONSE_LIMIT
from treadle.functions.request import Request

# awslambdaric sends the cause of an error to X-Ray in a header of up to 1 MiB.
_HEAD_LIMIT: Final = 2 << 20

_PREFIX: Final = b"/2018-06-01/runtime/"
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?:\r\n|$)", re.IGNORECASE)
_EXPECT: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)

_REASONS: Final = {200: b"OK", 202: b"Accepted", 400: b"Bad Request", 404: b"Not Found"}
_ACCEPTED: Final = b'{"status":"OK"}\n'
_UNKNOWN_REQUEST: Final = b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}\n'
_UNKNOWN_PATH: Final = b'{"errorMessage":"No such operation","errorType":"NotFound"}\n'


class Runtime(Protocol):
    """The runtime of one process, as its connections see it. `body` is None when it was longer than Lambda allows."""

    def polled(self, connection: Connection) -> None:
        """The runtime asks for the next invocation; the connection waits for it."""
        ...

    def responded(self, request_id: str, body: bytes | None) -> bool:
        """A result came in; False when nobody waits for this one."""
        ...

    def erred(self, request_id: str, body: bytes | None) -> bool:
        """An error came in; False when nobody waits for this one."""
        ...

    def failed_to_start(self, body: bytes | None) -> bool:
        """The function could not be loaded; False when it was loaded before."""
        ...

    def hung_up(self, connection: Connection) -> None:
        """The connection is gone."""
        ...


class Connection(asyncio.Protocol):
    """One connection of a runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._request_line = b""
        # What is still to come of a body; None while a head is awaited.
        self._missing: int | None = None
        self._too_long = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the runtime's owner."""
        self._transport = None
        self._runtime.hung_up(self)

    def data_received(self, data: bytes) -> None:
        """Take as many requests as are complete."""
        self._buffer += data
        while self._transport is not None and (self._take_head() if self._missing is None else self._take_body()):
            continue

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()

    def deliver(self, request: Request, deadline: int) -> None:
        """Answer the poll with an invocation."""
        context = request.client_context
        self._answer(
            200,
            request.payload,
            f"Lambda-Runtime-Aws-Request-Id: {request.id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {request.arn}\r\n"
            f"Lambda-Runtime-Trace-Id: {request.trace_id}\r\n"
            + (f"Lambda-Runtime-Client-Context: {context}\r\n" if context is not None else ""),
        )

    def _answer(self, status: int, body: bytes, headers: str = "") -> None:
        if self._transport is not None:
            head = b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n"
            self._transport.write(head % (status, _REASONS[status], len(body), headers.encode("ascii")) + body)

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                self.close()
            return False
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        length = _LENGTH.search(head)
        self._missing = int(length[1]) if length else 0
        self._too_long = self._missing > RESPONSE_LIMIT
        self._request_line = head.partition(b"\r\n")[0]
        if _EXPECT.search(head) and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _take_body(self) -> bool:
        assert self._missing is not None
        if self._too_long and self._buffer:
            # It is read to its end, so that the runtime gets its answer and lives on, but never held in memory.
            dropped = min(len(self._buffer), self._missing - 1)
            self._missing -= dropped
            del self._buffer[:dropped]
        if len(self._buffer) < self._missing:
            return False
        body = None if self._too_long else bytes(self._buffer[: self._missing])
        del self._buffer[: self._missing]
        self._missing = None
        self._serve(body)
        return True

    def _serve(self, body: bytes | None) -> None:
        method, _, rest = self._request_line.partition(b" ")
        path = rest.partition(b" ")[0].removeprefix(_PREFIX).decode("latin-1").split("/")
        runtime = self._runtime
        match method, path:
            case b"GET", ["invocation", "next"]:
                runtime.polled(self)
            case b"POST", ["invocation", request_id, "response"]:
                self._acknowledge(runtime.responded(request_id, body))
            case b"POST", ["invocation", request_id, "error"]:
                self._acknowledge(runtime.erred(request_id, body))
            case b"POST", ["init", "error"]:
                self._acknowledge(runtime.failed_to_start(body))
            case _:
                self._answer(404, _UNKNOWN_PATH)

    def _acknowledge(self, known: bool) -> None:
        self._answer(202, _ACCEPTED) if known else self._answer(400, _UNKNOWN_REQUEST)

"""The Runtime API as the clients of a runtime see it, over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.functions.contract import RESPONSE_LIMIT
from treadle.functions.request import Request
from treadle.functions.runtime_api import Connection

REQUEST = Request("id-1", b'{"a":1}', "arn:fn", "Root=1", '{"custom": {}}')
NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"


class Recorder:
    """A runtime that answers every poll at once and remembers what it is told."""

    def __init__(self, known: bool = True) -> None:
        self.known = known
        self.seen: list[tuple[str, Any]] = []
        self.connection = Connection(self)

    def polled(self, connection: Connection) -> None:
        self.seen.append(("polled", None))
        connection.deliver(REQUEST, 1234)

    def responded(self, request_id: str, body: bytes | None) -> bool:
        self.seen.append((f"responded {request_id}", body))
        return self.known

    def erred(self, request_id: str, body: bytes | None) -> bool:
        self.seen.append((f"erred {request_id}", body))
        return self.known

    def failed_to_start(self, body: bytes | None) -> bool:
        self.seen.append(("failed to start", body))
        return self.known

    def hung_up(self, connection: Connection) -> None:
        self.seen.append(("hung up", None))


def post(operation: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST /2018-06-01/runtime/{operation} HTTP/1.1\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def talk(recorder: Recorder, conversation: Talk) -> list[tuple[str, Any]]:
    async def scenario() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: recorder.connection, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with asyncio.timeout(10):
            await conversation(reader, writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            while ("hung up", None) not in recorder.seen:
                await asyncio.sleep(0)
            server.close()
            await server.wait_closed()

    asyncio.run(scenario())
    return recorder.seen[:-1]


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, dict[bytes, bytes], bytes]:
    line, *fields = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
    return line, headers, await reader.readexactly(int(headers.get(b"content-length", 0)))


def test_a_poll_is_answered_with_the_invocation() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NEXT)
        line, headers, body = await answer(reader)
        assert (line, body) == (b"HTTP/1.1 200 OK", b'{"a":1}')
        assert {name: value for name, value in headers.items() if name.startswith(b"lambda-")} == {
            b"lambda-runtime-aws-request-id": b"id-1",
            b"lambda-runtime-deadline-ms": b"1234",
            b"lambda-runtime-invoked-function-arn": b"arn:fn",
            b"lambda-runtime-trace-id": b"Root=1",
            b"lambda-runtime-client-context": b'{"custom": {}}',
        }

    assert talk(Recorder(), conversation) == [("polled", None)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("operation", "seen"),
    [
        ("invocation/id-1/response", "responded id-1"),
        ("invocation/id-1/error", "erred id-1"),
        ("init/error", "failed to start"),
    ],
)
def test_a_report_is_passed_on_and_acknowledged(operation: str, seen: str, known: bool) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(operation, b"body"))
        line, _, body = await answer(reader)
        if known:
            assert (line, body) == (b"HTTP/1.1 202 Accepted", b'{"status":"OK"}\n')
        else:
            assert line == b"HTTP/1.1 400 Bad Request"
            assert b"InvalidRequestID" in body

    assert talk(Recorder(known), conversation) == [(seen, b"body")]


@pytest.mark.parametrize("unknown", [b"GET /elsewhere HTTP/1.1\r\n\r\n", post("invocation/next", b""), b"x\r\n\r\n"])
def test_what_is_unknown_is_not_found(unknown: bytes) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(unknown)
        line, _, _ = await answer(reader)
        assert line == b"HTTP/1.1 404 Not Found"

    assert talk(Recorder(), conversation) == []


def test_a_body_that_waits_to_be_asked_for_is_asked_for() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = post("init/error", b"body", "Expect: 100-continue\r\n")
        writer.write(whole[:-4])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(whole[-4:])
        assert (await answer(reader))[0] == b"HTTP/1.1 202 Accepted"

    assert talk(Recorder(), conversation) == [("failed to start", b"body")]


@pytest.mark.parametrize(("size", "kept"), [(RESPONSE_LIMIT, True), (RESPONSE_LIMIT + 1, False)])
def test_a_body_beyond_the_limit_is_read_and_dropped(size: int, kept: bool) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post("invocation/id-1/response", b"x" * size) + NEXT)
        assert (await answer(reader))[0] == b"HTTP/1.1 202 Accepted"
        assert (await answer(reader))[0] == b"HTTP/1.1 200 OK"

    [(seen, body), polled] = talk(Recorder(), conversation)
    assert (seen, polled) == ("responded id-1", ("polled", None))
    assert (body is not None) == kept


def test_a_head_without_end_is_hung_up_on() -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * (3 << 20))
        with pytest.raises(ConnectionError):
            await writer.drain()
            await reader.readexactly(1)

    assert talk(Recorder(), conversation) == []


class Written(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.bytes += data


@given(st.lists(st.integers(0, 500), max_size=8))
def test_requests_are_understood_wherever_they_are_cut(cuts: list[int]) -> None:
    stream = NEXT + post("invocation/id-1/response", b"r" * 50) + NEXT + post("invocation/id-1/error", b"") + NEXT
    recorder, transport = Recorder(), Written()
    recorder.connection.connection_made(transport)
    borders = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in pairwise(borders):
        recorder.connection.data_received(stream[start:end])
    assert recorder.seen == [
        ("polled", None),
        ("responded id-1", b"r" * 50),
        ("polled", None),
        ("erred id-1", b""),
        ("polled", None),
    ]
    assert transport.bytes.count(b"HTTP/1.1 200 OK") == 3

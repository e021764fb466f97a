"""Bytes that no SDK sends: chunks, pipelines, bodies that never come, headers that never end, and noise."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from contextlib import suppress
from typing import Any

import pytest
from api_serving import Served
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treadle.api import server
from treadle.api.server import Server, listening

DEEP = os.environ.get("TREADLE_DEEP") == "1"
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AWSStepFunctions.ListActivities\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = HEAD + b"Content-Length: 2\r\n\r\n{}"
LAST = b"Connection: close\r\n"


def said(served: Served, sent: bytes, *, ends: bool = False) -> bytes:
    """Everything that the server answers."""
    with socket.create_connection((served.ready["host"], served.ready["port"]), timeout=20) as connection:
        # A server that has read enough answers and closes.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        told = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                told += piece
        return told


def closing(request: bytes) -> bytes:
    return request.replace(b"Host: localhost\r\n", b"Host: localhost\r\n" + LAST)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GOOD, b"200"),
        (HEAD + b"\r\n", b"200"),
        (CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"200"),
        (CHUNKED + b"2;name=value\r\n{}\r\n0\r\nTrailer: x\r\n\r\n", b"200"),
        (CHUNKED + b"5\r\n{\r\n0\r\n\r\n", b"400"),
        (CHUNKED + b"xyz\r\n{}\r\n0\r\n\r\n", b"400"),
        (CHUNKED + b"40000000\r\n" + b" " * 4_000_000, b"400"),
        (HEAD + b"Content-Length: 99999999\r\n\r\n{}", b"400"),
        (HEAD + b"Content-Length: -1\r\n\r\n{}", b"400"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b"400"),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
        (HEAD + b"X: \x00\r\n\r\n", b"400"),
        (HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", b"100"),
    ],
)
def test_what_is_no_good_request_is_a_bad_one(served: Served, sent: bytes, status: bytes) -> None:
    assert said(served, closing(sent)).startswith(b"HTTP/1.1 " + status)


def test_requests_that_come_at_once_are_answered_in_their_order(served: Served) -> None:
    second = GOOD.replace(b"ListActivities", b"Nothing")
    told = said(served, GOOD + second + closing(GOOD))
    assert re.findall(rb"HTTP/1.1 ([0-9]{3})", told) == [b"200", b"400", b"200"]


def test_a_body_that_does_not_come_is_no_request(served: Served) -> None:
    said(served, HEAD + b"Content-Length: 10\r\n\r\n{}", ends=True)
    assert said(served, closing(GOOD)).startswith(b"HTTP/1.1 200")


@settings(
    max_examples=2_000 if DEEP else 60,
    deadline=None,
    derandomize=not DEEP,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    request=st.sampled_from([GOOD, CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", HEAD + b"\r\n"]),
    at=st.integers(0, 200),
    noise=st.binary(max_size=40),
    drop=st.integers(0, 20),
)
def test_noise_is_never_a_fault_of_the_server(served: Served, request: bytes, at: int, noise: bytes, drop: int) -> None:
    at = min(at, len(request))
    told = said(served, request[:at] + noise + request[at + drop :], ends=True)
    assert b"HTTP/1.1 5" not in told, told
    assert said(served, closing(GOOD)).startswith(b"HTTP/1.1 200")


# ---- who takes his time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"POST / HTT", HEAD, GOOD + HEAD])
def test_headers_that_do_not_end_are_not_waited_for(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.2)
    told = asyncio.run(slowly(sent))
    assert told.count(b"HTTP/1.1 200") == sent.count(GOOD)


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def slowly(sent: bytes) -> bytes:
    """What a client gets before it is let go that has sent so much and sends nothing more."""
    ready = asyncio.Event()
    listener = listening("127.0.0.1", 0)
    tried = Server(answering, ready=ready.set, stopping=lambda: None)
    serving = asyncio.create_task(tried.serve(sockets=[listener]))
    await ready.wait()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(sent)
    async with asyncio.timeout(10):
        told = await reader.read()
    writer.close()
    tried.should_exit = True
    await serving
    return told


def test_beyond_the_connections_there_may_be_a_request_is_told_to_come_again(tmp_path: Any) -> None:
    served = Served(tmp_path, "--no-cloud", "--quota", "connections=3")
    address = served.ready["host"], served.ready["port"]
    idle = [socket.create_connection(address, timeout=20) for _ in range(3)]
    assert b" 503 " in said(served, closing(GOOD)).split(b"\r\n")[0]
    for each in idle:
        each.close()
    told = b""
    while not told.startswith(b"HTTP/1.1 200"):
        told = said(served, closing(GOOD))
    assert json.loads(told.partition(b"\r\n\r\n")[2]) == {"activities": []}
    assert served.stop() == 0

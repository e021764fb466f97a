"""Requests and answers in ASGI, for what the local platform serves itself.

Owns the types, reading a body within a bound, and giving a whole answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]


class BodyTooLarge(Exception):
    """A request with a longer body than it may have."""


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


async def read_body(receive: Receive, limit: int) -> bytes:
    """A request's body. Raises BodyTooLarge, ClientGone."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise BodyTooLarge
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)


async def answer(send: Send, status: int, headers: Sequence[Header], body: bytes = b"") -> None:
    """Give an answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})

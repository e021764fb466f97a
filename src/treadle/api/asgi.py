"""Requests and answers in ASGI, for everything that is served here.

Owns the types, reading a body within a bound, and giving a whole answer. Knows no protocol above HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]
Headers: TypeAlias = Mapping[bytes, bytes]


class BodyTooLarge(Exception):
    """A request with a longer body than it may have."""


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


async def parts_of(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """A request's body as it comes, of so many bytes at the most. Raises BodyTooLarge, ClientGone."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge
        yield part
        more = message.get("more_body", False)


async def read_body(receive: Receive, limit: int) -> bytes:
    """A request's body as a whole. Raises BodyTooLarge, ClientGone."""
    parts = [part async for part in parts_of(receive, limit)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def answer(send: Send, status: int, headers: Sequence[Header], body: bytes = b"") -> None:
    """Give an answer."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})

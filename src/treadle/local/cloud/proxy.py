"""The way from the endpoint to the local cloud: requests and answers, streamed.

Owns passing them on unchanged: the path as it was written, the Host that the client used (queue URLs are made of it),
bodies of unknown length. Observers see what was answered, for what AWS does on its own afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from treadle.api.asgi import Receive, Scope, Send, answer
from treadle.local.cloud.child import Child
from treadle.local.errors import CloudError

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("treadle.local")

# RFC 9110 'Connection': these are between two neighbours.
_HOP: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer upgrade transfer-encoding expect".split()
)
_PIECE: Final = 256 * 1024


class Proxy:
    """An ASGI application that passes requests on to the local cloud. Close it at the end.

    `observe` is called after a request that was answered well, with its scope, before the answer's end goes out.
    """

    def __init__(self, child: Child, observe: Callable[[Scope], Awaitable[None]] | None = None) -> None:
        self._child = child
        self._observe = observe
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        import aiohttp
        from yarl import URL

        try:
            base = await self._child.url()
        except CloudError as error:
            await _refuse(send, str(error))
            return
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
        path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        url = URL(f"{base}{path}{'?' if query else ''}{query}", encoded=True)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in _passed(scope["headers"])]
        body = _body(receive) if _has_body(scope["headers"]) else None
        began = False
        try:
            async with self._session.request(
                scope["method"], url, headers=headers, data=body, allow_redirects=False
            ) as answered:
                if answered.status < 300 and self._observe is not None:
                    await self._observe(scope)
                await send(
                    {"type": "http.response.start", "status": answered.status, "headers": _passed(answered.raw_headers)}
                )
                began = True
                async for piece in answered.content.iter_chunked(_PIECE):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except (aiohttp.ClientError, ConnectionError) as error:
            log.warning("the local cloud did not answer %s %s: %s", scope["method"], path, error)
            if began:
                # The server cuts the connection, so that nobody takes a part for the whole.
                raise
            await _refuse(send, "the local cloud did not answer: ask again.")


def _passed(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in _HOP]


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    named = dict(headers)
    return b"transfer-encoding" in named or named.get(b"content-length", b"0") != b"0"


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # aiohttp gives the connection up; the local cloud never sees the end of the request.
            raise ConnectionError("the client is gone")
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def _refuse(send: Send, message: str) -> None:
    # AWS's SDKs repeat what was answered with 503.
    body = f"<Error><Code>ServiceUnavailable</Code><Message>{message}</Message></Error>".encode()
    await answer(send, 503, [(b"content-type", b"application/xml")], body)

"""Answers of the pages: one body, never kept by a cache."""

from __future__ import annotations

from treadle.api.app import Send


async def tell(send: Send, status: int, kind: str, body: bytes) -> None:
    """Send one answer. `kind` is its media type."""
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""`/health`: whether this server can do its work, which is whether its store takes a write.

Owns the trial write and how long its outcome holds, so that many who ask cost one write a second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec

from treadle.api.app import Receive, Send
from treadle.errors import Conflict, StoreError
from treadle.observation.answers import tell
from treadle.runtime.ports import Store

log = logging.getLogger("treadle.observation")

_HOLDS: Final = 1.0
"""Seconds."""
_SECONDS: Final = 5.0
"""A write that takes longer is none."""


class Health:
    """Answers with 200 while the store takes writes, and with 503 while it does not."""

    def __init__(self, store: Store) -> None:
        self._store, self._began = store, time.monotonic()
        self._trying = asyncio.Lock()
        self._tried: float | None = None
        self._writable = False

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        writable = await self._try()
        told = {
            "status": "ok" if writable else "unavailable",
            "version": version("treadle"),
            "storeWritable": writable,
            "uptimeSeconds": round(time.monotonic() - self._began, 3),
        }
        await tell(send, 200 if writable else 503, "application/json", msgspec.json.encode(told))

    async def _try(self) -> bool:
        async with self._trying:
            if self._tried is None or time.monotonic() - self._tried > _HOLDS:
                self._writable = await self._write()
                self._tried = time.monotonic()
            return self._writable

    async def _write(self) -> bool:
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._store.document("health", "trial")
                await self._store.put_documents([msgspec.structs.replace(found, value=b"{}")])
        except Conflict:
            return True  # somebody else has just written
        except (StoreError, TimeoutError) as error:
            log.warning("the store takes no write: %s", error or "it does not answer")
            return False
        return True

"""What a process writes to stdout and stderr, cut at the border between two invocations.

One pipe for both streams keeps their order. A runtime writes before it reports, so whatever belongs to an invocation is
in the pipe when its report arrives: `take` empties the pipe first, and no line reaches the next invocation.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from typing import Final

KEPT: Final = 256 * 1024
"""How many bytes of an invocation's log are kept; older ones go first."""

_CHUNK: Final = 64 * 1024


class LogPipe:
    """The reading end of a process's output. `writer` is the descriptor to start the process with."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._open = True
        loop.add_reader(self._reader, self._read)

    def started(self) -> None:
        """The process has its own writing end by now."""
        os.close(self.writer)

    def take(self) -> str:
        """What was written since the last call; works after `close` as well."""
        self._empty()
        text = b"".join(self._chunks)[-KEPT:].decode(errors="replace")
        self._chunks.clear()
        self._size = 0
        return text

    def close(self) -> None:
        """Read what is there and stop. What is still alive to write gets a broken pipe."""
        self._empty()
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        self._open = False

    def _empty(self) -> None:
        # A pipe holds less than this, and a child that writes without end must not keep us here.
        for _ in range(KEPT // _CHUNK):
            if not self._open or not self._read():
                break

    def _read(self) -> bool:
        chunk = b""
        with suppress(BlockingIOError):
            chunk = os.read(self._reader, _CHUNK)
            if not chunk:
                self._loop.remove_reader(self._reader)
        if chunk:
            self._chunks.append(chunk)
            self._size += len(chunk)
            while self._size - len(self._chunks[0]) >= KEPT:
                self._size -= len(self._chunks.popleft())
        return bool(chunk)

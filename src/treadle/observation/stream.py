"""`/events`: history events as they are committed, as server-sent events, for any number of readers.

Owns the readers and their bounds: a reader has a queue of commits, and one that does not keep up is told so and let go,
so that no reader costs memory or holds up an execution. Without readers a step costs nothing. What an event looks like
is `machine.journal`'s; task tokens are never in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from treadle.api.app import Receive, Send
from treadle.api.endpoint import is_local
from treadle.api.host import Host
from treadle.errors import NotFound
from treadle.language.scope import Json
from treadle.machine.journal import Entry, history_event
from treadle.observation.answers import tell
from treadle.runtime.ports import Commit, Summary

log = logging.getLogger("treadle.observation")

READERS: Final = 100
QUEUE: Final = 1_000
"""Commits that wait for one reader."""
_SEND_SECONDS: Final = 30.0
"""A reader that takes nothing for so long is gone."""


@dataclass(eq=False, slots=True)
class _Reader:
    """Who reads, and what waits for it. `execution` is an ARN or a name; None for all."""

    execution: str | None
    queue: asyncio.Queue[Commit] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    dropped: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, summary: Summary) -> bool:
        return not summary.is_map_run and self.execution in (None, summary.arn, summary.name)


class Stream:
    """The readers of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._readers: set[_Reader] = set()

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        for reader in tuple(self._readers):
            if reader.wants(commit.summary):
                try:
                    reader.queue.put_nowait(commit)
                except asyncio.QueueFull:
                    reader.dropped.set()
                    self._readers.discard(reader)

    async def page(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, for as long as its reader stays."""
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if not is_local(f"//{host}"):
            # A web page whose name was made to lead here asks without telling its origin.
            await tell(send, 403, "text/plain", b"Histories are for this machine: ask for localhost.\n")
            return
        if len(self._readers) >= READERS:
            await tell(send, 503, "text/plain", f"There are {READERS} readers; no more are taken.\n".encode())
            return
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("execution")
        reader = _Reader(asked[0] if asked else None)
        self._readers.add(reader)
        writing = asyncio.ensure_future(self._write(reader, send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._readers.discard(reader)
            leaving.cancel()
            writing.cancel()
            ended, _ = await asyncio.gather(writing, leaving, return_exceptions=True)
            if isinstance(ended, Exception):
                log.warning("a reader of live events was let go: %s", ended or "it takes nothing")

    async def _write(self, reader: _Reader, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for piece in self._pieces(reader):
            async with asyncio.timeout(_SEND_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _pieces(self, reader: _Reader) -> AsyncIterator[bytes]:
        """What a reader gets: of one execution its history so far first."""
        yield b": events of executions as they are committed\n\n"
        past, over = 0, False
        if reader.execution is not None and reader.execution.startswith("arn:"):
            try:
                journal = await self._host.store.journal(reader.execution)
            except NotFound:
                journal = []  # it may be about to start
            if journal:
                past = len(journal)
                summary = await self._host.store.summary(reader.execution)
                yield b"".join(_events(summary, journal))
                over = summary.status != "RUNNING" and summary.length <= past
        while not over:
            commit = await self._next(reader)
            if commit is None:
                break
            # The history that was read may have steps that came meanwhile.
            fresh = commit.entries[max(0, past - commit.expected) :] if not commit.anew else commit.entries
            yield b"".join(_events(commit.summary, fresh))
            over = reader.execution is not None and commit.summary.status != "RUNNING"
        if over:
            yield _event("end", {"message": "The execution has ended."})
        elif reader.dropped.is_set():
            told = f"More than {QUEUE} steps waited for this reader: events are missing from here on. Connect again."
            yield _event("dropped", {"message": told})
        else:
            yield _event("closing", {"message": "The server stops."})

    async def _next(self, reader: _Reader) -> Commit | None:
        """The next commit; None where no more are to come."""
        if not reader.queue.empty():
            return reader.queue.get_nowait()
        if reader.dropped.is_set() or self._host.closing.is_set():
            return None
        getting = asyncio.ensure_future(reader.queue.get())
        closing = asyncio.ensure_future(self._host.closing.wait())
        try:
            await asyncio.wait((getting, closing), return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            closing.cancel()


def _events(summary: Summary, entries: Sequence[Entry]) -> Iterator[bytes]:
    for entry in entries:
        told: dict[str, Json] = {
            "executionArn": summary.arn,
            "stateMachineArn": summary.machine_arn,
            "frame": list(entry.frame),
        }
        if entry.id:
            following = entry.note.get("next")
            more: dict[str, Json] = {"next": following} if isinstance(following, str) else {}
            yield _event("history", told | {"event": history_event(entry)} | more)
        elif entry.type == "RetryScheduled":
            yield _event("retry", told | {"timestamp": entry.at, "due": entry.note["at"]})


def _event(name: str, data: Mapping[str, Json]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

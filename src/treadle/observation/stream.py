"""`/events`: history events as they are committed, as server-sent events, for any number of readers.

Owns the readers and their bounds: a reader has a queue of commits, and one that does not keep up is told so and let go,
so that no reader costs memory or holds up an execution. Without readers a step costs nothing. Each event has an id; a
reader that comes back with the last one it got (Last-Event-ID) goes on behind it. What an event looks like is
`machine.journal`'s; task tokens are never in it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
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
"""Commits that wait for one reader, and those that are kept for one that comes back."""
KEEP_ALIVE_SECONDS: Final = 15.0
"""After so long without an event a comment tells that the server is there."""
_BACK_SECONDS: Final = 60.0
"""How long commits are kept after the last reader has gone."""
_SEND_SECONDS: Final = 30.0
"""A reader that takes nothing for so long is gone."""
_RETRY_MS: Final = 1_000
_WHOLE: Final = 999_999_999
"""Stands for all entries of a commit."""
_ID: Final = re.compile(r"([0-9a-f]{8})\.([0-9]{1,15})\.([0-9]{1,9})")

_Numbered: TypeAlias = tuple[int, Commit]


@dataclass(eq=False, slots=True)
class _Reader:
    """Who reads, and what waits for it.

    `execution` is an ARN or a name; None for all. `last` is the id of its last event, `missed` what came since then,
    None where that is not known; `opening` is what it may come back with before it has got an event.
    """

    execution: str | None
    last: str = ""
    missed: Sequence[_Numbered] | None = ()
    opening: str = ""
    queue: asyncio.Queue[_Numbered] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    dropped: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, summary: Summary) -> bool:
        return not summary.is_map_run and self.execution in (None, summary.arn, summary.name)

    @property
    def by_arn(self) -> bool:
        """Whether it reads one journal, from any place on."""
        return self.execution is not None and self.execution.startswith("arn:")


class Stream:
    """The readers of one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._readers: set[_Reader] = set()
        self._run = secrets.token_hex(4)  # tells ids of this process from those of another one
        self._number = 0
        self._recent: deque[_Numbered] = deque(maxlen=QUEUE)
        self._left = float("-inf")

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        if not self._readers and time.monotonic() - self._left > _BACK_SECONDS:
            # Whoever comes back now has missed something.
            self._number += bool(self._recent)
            self._recent.clear()
            return
        self._number += 1
        numbered = self._number, commit
        self._recent.append(numbered)
        for reader in tuple(self._readers):
            if reader.wants(commit.summary):
                try:
                    reader.queue.put_nowait(numbered)
                except asyncio.QueueFull:
                    reader.dropped.set()
                    self._readers.discard(reader)

    async def page(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, for as long as its reader stays."""
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not is_local(f"//{host}"):
            # A web page whose name was made to lead here asks without telling its origin.
            await tell(send, 403, "text/plain", b"Histories are for this machine: ask for localhost.\n")
            return
        if len(self._readers) >= READERS:
            await tell(send, 503, "text/plain", f"There are {READERS} readers; no more are taken.\n".encode())
            return
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("execution")
        last: bytes = headers.get(b"last-event-id", b"")
        reader = _Reader(asked[0] if asked else None, last.decode("latin-1"))
        if not reader.by_arn:
            reader.missed = self._missed(reader) if reader.last else ()
            reader.opening = "" if reader.last else f"id: {self._run}.{self._number}.{_WHOLE}\n"
        self._readers.add(reader)
        writing = asyncio.ensure_future(self._write(reader, send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._readers.discard(reader)
            self._left = time.monotonic()
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
        """What a reader gets: first what it has not seen of the past."""
        yield f": events of executions as they are committed\nretry: {_RETRY_MS}\n{reader.opening}\n".encode()
        past, over = 0, False
        if reader.by_arn:
            summary, journal = await self._journal(str(reader.execution))
            past = len(journal)
            if summary is not None:
                seen = int(reader.last) if reader.last.isdecimal() and len(reader.last) < 10 else 0
                yield b"".join(_events(summary, journal[seen:], "", seen))
                over = summary.status != "RUNNING" and summary.length <= past
        elif reader.missed is None:
            told = "The server was restarted, or too much happened meanwhile: events are missing here."
            yield _event("missed", {"message": told})
        else:
            for number, commit in reader.missed:
                before, _, count = reader.last.rpartition(".")
                seen = int(count) if before == f"{self._run}.{number}" else 0
                yield b"".join(_events(commit.summary, commit.entries[seen:], f"{self._run}.{number}.", seen))
                over = reader.execution is not None and commit.summary.status != "RUNNING"
        while not over:
            numbered = await self._next(reader)
            if numbered is None:
                if reader.dropped.is_set() or self._host.closing.is_set():
                    break
                yield b": still here\n\n"
                continue
            number, commit = numbered
            if reader.by_arn:
                # The history that was read may have steps that came meanwhile.
                known = 0 if commit.anew else max(0, past - commit.expected)
                first = known + (0 if commit.anew else commit.expected)
                yield b"".join(_events(commit.summary, commit.entries[known:], "", first))
            else:
                yield b"".join(_events(commit.summary, commit.entries, f"{self._run}.{number}.", 0))
            over = reader.execution is not None and commit.summary.status != "RUNNING"
        if over:
            yield _event("end", {"message": "The execution has ended."})
        elif reader.dropped.is_set():
            told = f"More than {QUEUE} steps waited for this reader: events are missing from here on. Connect again."
            yield _event("dropped", {"message": told})
        else:
            yield _event("closing", {"message": "The server stops."})

    async def _journal(self, arn: str) -> tuple[Summary | None, list[Entry]]:
        """An execution as the store has it; nothing of one that may be about to start."""
        try:
            journal = await self._host.store.journal(arn)
            return await self._host.store.summary(arn), journal
        except NotFound:
            return None, []

    def _missed(self, reader: _Reader) -> list[_Numbered] | None:
        """What came while a reader was away, from the commit on that it saw last; None where that is not known."""
        found = _ID.fullmatch(reader.last)
        if found is None or found[1] != self._run:
            return None
        if int(found[2]) == self._number and not self._recent:
            return []
        if not self._recent or self._recent[0][0] > int(found[2]):
            return None
        return [each for each in self._recent if each[0] >= int(found[2]) and reader.wants(each[1].summary)]

    async def _next(self, reader: _Reader) -> _Numbered | None:
        """The next commit; None where none has come for a while, or no more are to come."""
        if not reader.queue.empty():
            return reader.queue.get_nowait()
        if reader.dropped.is_set() or self._host.closing.is_set():
            return None
        getting = asyncio.ensure_future(reader.queue.get())
        closing = asyncio.ensure_future(self._host.closing.wait())
        try:
            await asyncio.wait((getting, closing), timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            closing.cancel()


def _events(summary: Summary, entries: Sequence[Entry], before: str, first: int) -> Iterator[bytes]:
    """Events of entries, the first of which is number `first` (from 0) of those that `before` names."""
    for number, entry in enumerate(entries, first + 1):
        told: dict[str, Json] = {
            "executionArn": summary.arn,
            "stateMachineArn": summary.machine_arn,
            "frame": list(entry.frame),
        }
        id = f"{before}{number}"
        if entry.id:
            following = entry.note.get("next")
            more: dict[str, Json] = {"next": following} if isinstance(following, str) else {}
            yield _event("history", told | {"event": history_event(entry)} | more, id)
        elif entry.type == "RetryScheduled":
            yield _event("retry", told | {"timestamp": entry.at, "due": entry.note["at"]}, id)


def _event(name: str, data: Mapping[str, Json], id: str = "") -> bytes:
    told = f"id: {id}\n" if id else ""
    return f"event: {name}\n{told}data: ".encode() + msgspec.json.encode(data) + b"\n\n"


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

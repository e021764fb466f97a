"""Shows executions while they run, and waits for the end of one of them.

Owns the screen during `run`, `redrive` and `fork`: on a terminal finished steps scroll up and what is going on stands
below them, renewed a few times a second; elsewhere each line is appended and nothing is ever taken back.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from typing import Final

from rich.console import Console, Group
from rich.live import Live as Region
from rich.text import Text

from treadle.cli.progress import Hint, Way, child_line, run_line
from treadle.cli.show import clean, write
from treadle.machine.journal import Entry
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine
from treadle.runtime.ports import Clock, Commit, Summary, WaitRow

_ROWS: Final = 15
"""Running states shown at once."""
_PER_SECOND: Final = 4


class Display:
    """What is seen of an execution and its nested ones. Quiet with `--json`."""

    def __init__(self, out: Console, arn: str, hint: Hint, clock: Clock, quiet: bool) -> None:
        self._out, self._arn, self._hint, self._clock, self._quiet = out, arn, hint, clock, quiet
        self._ways: dict[str, Way] = {}
        self._runs: dict[str, Summary] = {}  # map runs under way

    def catch_up(self, arn: str, journal: Sequence[Entry], waits: Iterable[WaitRow]) -> None:
        """Take what had happened before, showing only what is open now."""
        way = self._way(arn)
        way.take(journal)
        for line in way.take((), waits):
            self._write(line)

    def take(self, commit: Commit) -> None:
        """Show what was committed."""
        if commit.summary.member is not None:
            self._take_map_run(commit.summary)
            return
        for line in self._way(commit.summary.arn).take(commit.entries, commit.opened):
            self._write(line)
        if commit.summary.status != "RUNNING" and commit.summary.arn != self._arn:
            del self._ways[commit.summary.arn]

    def _take_map_run(self, summary: Summary) -> None:
        """Of a map run its progress is shown, and of its children those that did not succeed."""
        if not summary.is_map_run:
            if summary.status not in ("RUNNING", "SUCCEEDED"):
                self._write(child_line(summary))
        elif summary.status == "RUNNING":
            self._runs[summary.arn] = summary
        else:
            self._runs.pop(summary.arn, None)
            self._write(run_line(summary))

    def region(self) -> Region | nullcontext[None]:
        """What stands below the lines meanwhile: nothing, unless this is a terminal."""
        if self._quiet or not self._out.is_terminal or self._out.is_dumb_terminal:
            return nullcontext()
        return Region(console=self._out, get_renderable=self._standing, refresh_per_second=_PER_SECOND, transient=True)

    def _way(self, arn: str) -> Way:
        if arn not in self._ways:
            label = "" if arn == self._arn else f"{clean(arn.rpartition(':')[2])[:24]}: "
            self._ways[arn] = Way(arn, self._hint, label)
        return self._ways[arn]

    def _write(self, line: Text) -> None:
        if not self._quiet:
            write(line, self._out)

    def _standing(self) -> Group:
        visits = [(way, visit) for way in self._ways.values() for visit in way.going_on()]
        lines = [way.standing(visit, self._clock.now()) for way, visit in visits[:_ROWS]]
        lines += [run_line(each) for each in self._runs.values()]
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        if len(visits) > _ROWS:
            lines.append(Text(f"{'':>11}and {len(visits) - _ROWS} more", "dim"))
        return Group(*lines)


class Interrupted(Exception):
    """A signal ended the waiting; `status` is the exit status for it."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class StandsStill(Exception):
    """In virtual time, nothing will ever happen any more."""


@contextmanager
def signals() -> Generator[asyncio.Future[int]]:
    """A future that a signal to stop resolves with its number."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[int] = loop.create_future()

    def arrive(number: int) -> None:
        if not arrived.done():
            arrived.set_result(number)

    stopping = (signal.SIGINT, signal.SIGTERM)
    for each in stopping:
        loop.add_signal_handler(each, arrive, each)
    try:
        yield arrived
    finally:
        for each in stopping:
            loop.remove_signal_handler(each)


async def follow(
    engine: Engine, arn: str, display: Display, commits: asyncio.Queue[Commit], signalled: asyncio.Future[int]
) -> Summary:
    """Show what is committed until the execution ends. Raises Interrupted, StandsStill."""

    async def show() -> None:
        while True:
            display.take(await commits.get())

    with display.region():
        closing = asyncio.ensure_future(engine.wait_closed(arn))
        showing = asyncio.ensure_future(show())
        still = [asyncio.ensure_future(engine.clock.still.wait())] if isinstance(engine.clock, VirtualClock) else []
        try:
            await asyncio.wait((closing, showing, signalled, *still), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (showing, *still):
                task.cancel()
        if showing.done() and not showing.cancelled():
            showing.result()  # the screen has gone
        while not commits.empty():
            display.take(commits.get_nowait())
        if closing.done():
            return closing.result()
        closing.cancel()
        if signalled.done():
            raise Interrupted(128 + signalled.result())
        raise StandsStill

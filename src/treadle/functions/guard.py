"""Makes sure that no process outlives us, not even when we are killed with -9.

A small process of its own (`bootstrap/guard.py`) knows the process groups that are ours. Its standard input is a pipe
that only we hold: however we end, the kernel closes it, and the guard kills the groups. That reaches the children of a
handler too, and works where a process cannot ask for a signal at its parent's death.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROGRAM: Final = Path(__file__).parent / "bootstrap" / "guard.py"


class Guard:
    """Our side of the guard process."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: Process | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Have the process run; a guard that was killed is replaced."""
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return
            # In a session of its own it gets neither the terminal's Ctrl-C nor its hang-up.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_PROGRAM),
                stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, env={}, start_new_session=True,
            )  # fmt: skip
            for group in self._groups:
                self._tell(b"+", group)

    def watch(self, group: int) -> None:
        """A process group is ours from now on."""
        self._groups.add(group)
        self._tell(b"+", group)

    def forget(self, group: int) -> None:
        """A process group is gone: its number may come again for somebody else."""
        self._groups.discard(group)
        self._tell(b"-", group)

    async def close(self) -> None:
        """End the process, and with it every group that is still watched."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()
            self._process = None

    def _tell(self, sign: bytes, group: int) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            # A guard that is gone is told everything once it is replaced.
            with suppress(ConnectionError, RuntimeError):
                self._process.stdin.write(b"%s%d\n" % (sign, group))

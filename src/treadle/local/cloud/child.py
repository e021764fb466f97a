"""Our hold on the local cloud's process: started when it is first needed, replaced when it dies, ended with us.

Owns the process and its file `cloud.pid`, by which one that was left behind is found. It is told to end by the end of
its standard input, which the kernel closes even when we are killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from treadle.local.errors import CloudError

log = logging.getLogger("treadle.local")

PID_FILE: Final = "cloud.pid"
LOG_FILE: Final = "cloud.log"

_SILENCE_LIMIT: Final = 60.0
"""Seconds without a word at the start. A long journal takes its time to repeat, and it tells how far it is."""

# Where the interpreter and its libraries are. Credentials and profiles of the user are none of its business.
_PASSED: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR", "LANG")


class Child:
    """The local cloud with its data in `folder`. `endpoint` is ours, where it is reached from. Close it at the end."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder, self._endpoint = folder, endpoint
        self.repeated = self.dropped = 0
        self.started_in: float | None = None
        self._process: Process | None = None
        self._url = ""
        self._starting = asyncio.Lock()
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether there is a process, ready for requests."""
        return bool(self._url) and self._process is not None and self._process.returncode is None

    async def url(self) -> str:
        """Where it listens. Starts it when it does not run. Raises CloudError when it cannot."""
        if self.running:
            return self._url
        async with self._starting:
            if not self.running:
                await self._start()
        return self._url

    async def close(self) -> None:
        """End the process. Everything that it acknowledged is on the disk."""
        self._closed = True
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
            (self.folder / PID_FILE).unlink(missing_ok=True)

    async def _start(self) -> None:
        if self._closed:
            raise CloudError("the local cloud is closed")
        if self._process is not None:
            log.warning("the local cloud has died and is started again: see %s", self.folder / LOG_FILE)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        began = time.monotonic()
        with (self.folder / LOG_FILE).open("ab") as errors:
            # A group of its own: Ctrl-C is for us, and we end it.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "treadle.local.cloud.process", str(self.folder), self._endpoint,
                stdin=PIPE, stdout=PIPE, stderr=errors, env=_environment(), start_new_session=True,
            )  # fmt: skip
        self._process = process
        assert process.stdout is not None
        ready: dict[str, Any] = {}
        try:
            while "port" not in ready and (line := await asyncio.wait_for(process.stdout.readline(), _SILENCE_LIMIT)):
                ready = json.loads(line)
        except TimeoutError:
            ready = {}
        if "port" not in ready:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise CloudError(f"the local cloud does not start: {self._last_words()} (see {self.folder / LOG_FILE}).")
        (self.folder / PID_FILE).write_text(f"{process.pid}\n")
        self._url = f"http://127.0.0.1:{ready['port']}"
        self.repeated, self.dropped = ready["repeated"], ready["dropped"]
        self.started_in = time.monotonic() - began

    def _last_words(self) -> str:
        lines = (self.folder / LOG_FILE).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED if name in os.environ}

"""Who is up on a data folder: the process, where it listens, which template.

Owns the file `up.json`, written when the first request may come and gone when no more do. One that was left behind by a
kill names a process that is no more, or is another one: the start time tells.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Presence(msgspec.Struct, frozen=True):
    """A process that is up. `began` tells its number from the same number given again; "" where nobody can tell."""

    pid: int
    began: str
    endpoint: str
    template: str | None = None
    stack: str | None = None

    @property
    def alive(self) -> bool:
        """Whether it is still there."""
        return _began(self.pid) == self.began and _exists(self.pid)


def announce(folder: Path, endpoint: str, template: Path | None, stack: str | None) -> None:
    """Say that this process is up."""
    folder.mkdir(parents=True, exist_ok=True)
    told = Presence(os.getpid(), _began(os.getpid()), endpoint, str(template) if template else None, stack)
    unfinished = folder / "up.json.new"
    unfinished.write_bytes(msgspec.json.encode(told))
    unfinished.rename(folder / "up.json")


def withdraw(folder: Path) -> None:
    """Say that it is no more."""
    (folder / "up.json").unlink(missing_ok=True)


def present(folder: Path) -> Presence | None:
    """Who is up on a folder; None where nobody is."""
    try:
        told = msgspec.json.decode((folder / "up.json").read_bytes(), type=Presence)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return told if told.alive else None


def leftover(folder: Path) -> int | None:
    """A process of the local cloud that runs though nobody is up; None where there is none."""
    try:
        pid = int((folder / "cloud" / "cloud.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"treadle.local.cloud.process" in command and present(folder) is None else None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _began(pid: int) -> str:
    """Linux's start time of a process, in ticks since the machine started; "" for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    except (OSError, IndexError):
        return ""

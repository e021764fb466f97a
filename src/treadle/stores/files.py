"""The files of a store: one process at a time, and still the same files as when it was opened.

Owns the lock beside a store. Must never wait: whoever comes second is told so at once. Neighbour: sqlite.py.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from treadle.errors import Locked, Unavailable


class FileLock:
    """An exclusive lock, taken when made and given back by the kernel when its process dies.

    Raises Locked; OSError when the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # flock, not lockf: it also keeps out a second store in the same process.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise Locked(
                f"Process {holder or 'unknown'} already works on the store in {path.parent}: "
                "stop it, or give this one a folder of its own."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go. The file stays: another process may already be looking at it."""
        os.close(self._descriptor)


class Presence:
    """Tells whether files are still where they were: SQLite goes on writing to files that were deleted."""

    def __init__(self, *paths: Path) -> None:
        self._inodes = {path: _inode(path) for path in paths}

    def check(self) -> None:
        """Raises Unavailable when a file is gone or is another one."""
        for path, inode in self._inodes.items():
            if _inode(path) != inode:
                raise Unavailable(f"{path}: The file was moved, deleted or replaced: put it back and start again.")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

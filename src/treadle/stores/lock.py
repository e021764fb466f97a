"""One process at a time: a lock that the kernel takes back when its holder dies.

Owns the file beside a store that carries the lock. Must never wait: whoever comes second is told so at once.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from treadle.errors import Locked


class FolderLock:
    """An exclusive lock on a file, taken when made. Raises Locked; OSError when the file cannot be made."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # flock, not lockf: it also keeps out a second store in the same process.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 20, 0).decode().strip()
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

"""How much memory a process and its children hold, by the kernel's own account.

Reads /proc, so it sees nothing on other systems than Linux: there the memory limit is not enforced.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident(process: int) -> int:
    """The resident memory in bytes of a process and of what it started; 0 when it is gone."""
    folder = Path("/proc", str(process))
    with suppress(OSError, ValueError):
        own = int((folder / "statm").read_bytes().split()[1]) * _PAGE
        children = (folder / "task" / str(process) / "children").read_bytes().split()
        return own + sum(resident(int(child)) for child in children)
    return 0

"""What a benchmark gives, and how it is timed."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One row of the table. `most` tells that less is better, so `aim` is a bound from above; 0 stands for no aim."""

    name: str
    value: float
    unit: str
    aim: float = 0
    most: bool = False
    by: str = "treadle"

    @property
    def share(self) -> str:
        """How much of the aim is reached."""
        if not self.aim:
            return "-"
        return f"{(self.aim / self.value if self.most else self.value / self.aim):.0%}"


def peak() -> float:
    """The most memory in MiB that this process has had; Linux's ru_maxrss would count that of its parent, too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def best(work: Callable[[], object], seconds: float = 1.5) -> float:
    """The shortest of repeated runs, in seconds: what the code can do, not what else the machine was doing."""
    shortest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - begin)
    return shortest

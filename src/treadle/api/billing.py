"""What an Express execution would cost on AWS: the duration and the memory that are billed.

AWS 'Pricing': the duration is rounded up to 100 ms, the memory to 64 MB. Memory is what the data of the execution's
events takes; what AWS adds for its own runtime nobody outside knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from treadle.machine.journal import Entry
from treadle.runtime.ports import Summary

STEP_MS: Final = 100
STEP_MB: Final = 64
MB: Final = 1024 * 1024

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Bill:
    """Milliseconds and MB as they are billed, and the bytes that were used."""

    milliseconds: int
    megabytes: int
    bytes: int


def bill_of(summary: Summary, journal: Sequence[Entry]) -> Bill:
    """The bill of an execution that has ended."""
    assert summary.stopped_at is not None, "an execution that ended has stopped"
    used = sum(len(_encode(entry.details)) for entry in journal)
    return Bill(
        milliseconds=_up((summary.stopped_at - summary.started_at) * 1000, STEP_MS),
        megabytes=_up(used / MB, STEP_MB),
        bytes=used,
    )


def _up(amount: float, step: int) -> int:
    """To the next step, of which there is one at the least."""
    return max(1, math.ceil(amount / step)) * step

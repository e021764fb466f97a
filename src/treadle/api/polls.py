"""How many workers wait for the tasks of an activity: a bound for long polls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from treadle.errors import ApiError

MOST: Final = 1000
"""AWS quota: workers that wait for one activity."""


class Polls:
    """How many workers wait for each activity."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def waiting(self, arn: str) -> Generator[None]:
        """One more waits meanwhile. Raises ApiError ActivityWorkerLimitExceeded."""
        if self._waiting[arn] >= MOST:
            told = f"The maximum number of workers that poll for an activity ({MOST}) is reached: '{arn}'"
            raise ApiError("ActivityWorkerLimitExceeded", told)
        self._waiting[arn] += 1
        try:
            yield
        finally:
            self._waiting[arn] -= 1
            if not self._waiting[arn]:
                del self._waiting[arn]

"""How many requests wait: all together, and the workers of each activity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from treadle.api.quotas import Quotas
from treadle.api.rates import Rates
from treadle.errors import ApiError


class Polls:
    """How many requests wait."""

    def __init__(self, quotas: Quotas, rates: Rates) -> None:
        self._rates = rates
        self._most, self._workers = quotas.long_polls, quotas.activity_workers
        self._open = 0
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def open(self, operation: str) -> Generator[None]:
        """One more request that may take long is under way meanwhile. Raises ApiError ThrottlingException."""
        if self._open >= self._most:
            raise self._rates.refusal(operation)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @contextmanager
    def waiting(self, arn: str) -> Generator[None]:
        """One more waits meanwhile. Raises ApiError ActivityWorkerLimitExceeded."""
        if self._waiting[arn] >= self._workers:
            told = f"The maximum number of workers that poll for an activity ({self._workers}) is reached: '{arn}'"
            raise ApiError("ActivityWorkerLimitExceeded", told)
        self._waiting[arn] += 1
        try:
            yield
        finally:
            self._waiting[arn] -= 1
            if not self._waiting[arn]:
                del self._waiting[arn]

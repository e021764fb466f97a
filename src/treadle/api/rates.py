"""How many calls an operation takes each second: a bucket that every call takes from and that time fills again.

Owns the buckets. AWS 'API action throttling': a call that finds the bucket empty is told ThrottlingException, which the
SDKs repeat after a pause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from treadle.api.quotas import Rate
from treadle.errors import ApiError


class Rates:
    """The buckets of the operations that have a rate. `now` gives seconds."""

    def __init__(self, rates: Mapping[str, Rate], now: Callable[[], float]) -> None:
        self._rates, self._now = rates, now
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, operation: str) -> None:
        """One call of an operation. Raises ApiError ThrottlingException."""
        rate = self._rates.get(operation)
        if rate is None:
            return
        now = self._now()
        left, at = self._left.get(operation, (float(rate.bucket), now))
        # A clock that was set back fills nothing.
        left = min(float(rate.bucket), left + max(0.0, now - at) * rate.refill)
        if left < 1:
            self._left[operation] = left, now
            raise ApiError("ThrottlingException", "Rate exceeded")
        self._left[operation] = left - 1, now

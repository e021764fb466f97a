"""How many calls an operation takes each second: a bucket that every call takes from and that time fills again.

Owns the buckets, and counts the calls that were let in and those that were refused, for whatever reason. AWS 'API
action throttling': a call that finds the bucket empty is told ThrottlingException, which the SDKs repeat after a pause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from treadle.api.quotas import Rate
from treadle.errors import ApiError


class Rates:
    """The buckets of the operations that have a rate. `now` gives seconds.

    `consumed` and `throttled` count calls by operation.
    """

    def __init__(self, rates: Mapping[str, Rate], now: Callable[[], float]) -> None:
        self.provisioned, self._now = rates, now
        self.consumed: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, operation: str) -> None:
        """One call of an operation. Raises ApiError ThrottlingException."""
        rate = self.provisioned.get(operation)
        if rate is None:
            self.consumed[operation] += 1
            return
        now = self._now()
        left, at = self._left.get(operation, (float(rate.bucket), now))
        # A clock that was set back fills nothing.
        left = min(float(rate.bucket), left + max(0.0, now - at) * rate.refill)
        if left < 1:
            self._left[operation] = left, now
            raise self.refusal(operation)
        self._left[operation] = left - 1, now
        self.consumed[operation] += 1

    def refusal(self, operation: str) -> ApiError:
        """What a call is told that is one too many; it counts as throttled."""
        self.throttled[operation] += 1
        return ApiError("ThrottlingException", "Rate exceeded")

"""How long a Wait may be. Observed on AWS: wait/timestamp_too_far_in_future_boundary."""

from __future__ import annotations

from typing import Final

from treadle.errors import StatesError
from treadle.language.scope import Scope

LONGEST_SECONDS: Final = 2**31 - 1


def until_moment(scope: Scope, moment: float) -> float:
    """The moment itself, in seconds since the epoch, unless it is too far away."""
    if moment - scope.now > LONGEST_SECONDS:
        raise StatesError("States.Runtime", "Wait state delay is too long.")
    return moment

"""Makes what moto does with a request depend on nothing but the request, a time and a seed.

Owns the clock and the chance that moto sees while a request runs: `sealed(at, seed)`. Requests that are repeated from
the journal then give the same ids, keys, ETags and dates as the first time. Runs in the child process alone, which does
nothing but this, and replaces functions of the standard library there; `install` comes before moto is imported.
"""

from __future__ import annotations

import datetime as standard
import os
import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final, cast

_RealDatetime: Final = standard.datetime
_real_time: Final = time.time
_real_urandom: Final = os.urandom


class _Seal(threading.local):
    at: float | None = None
    chance: random.Random | None = None


_seal: Final = _Seal()


class _Now(type(standard.datetime)):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealDatetime)


class _Datetime(_RealDatetime, metaclass=_Now):
    """datetime, but for the present."""

    @classmethod
    def now(cls, tz: standard.tzinfo | None = None) -> Any:
        """The present, as sealed."""
        return cls.fromtimestamp(_time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        """The present in UTC, without a zone."""
        return cls.fromtimestamp(_time(), standard.UTC).replace(tzinfo=None)


def _time() -> float:
    return _real_time() if _seal.at is None else _seal.at


def _urandom(size: int) -> bytes:
    return _real_urandom(size) if _seal.chance is None else _seal.chance.randbytes(size)


def install() -> None:
    """Have everything that is imported from now on see the sealed present."""
    time.time = _time
    os.urandom = _urandom
    cast("Any", standard).datetime = _Datetime


def install_chance() -> None:
    """Give moto's one source of randomness a state for each thread: a reading request must not disturb a sealed one."""
    from moto.moto_api._internal import mock_random

    class Chance(type(mock_random)):
        """Draws from the sealed chance of its thread."""

        def random(self) -> float:
            """A float in [0, 1)."""
            return super().random() if _seal.chance is None else _seal.chance.random()

        def getrandbits(self, k: int, /) -> int:
            """An integer of k bits."""
            return super().getrandbits(k) if _seal.chance is None else _seal.chance.getrandbits(k)

    mock_random.__class__ = Chance


@contextmanager
def sealed(at: float, seed: int) -> Generator[None]:
    """Within it this thread sees one moment, and draws what the seed gives."""
    _seal.at, _seal.chance = at, random.Random(seed)
    try:
        yield
    finally:
        _seal.at = _seal.chance = None

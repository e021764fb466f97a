"""The pseudo-random numbers of `java.util.Random`, so that a seed gives the same number everywhere and always.

Owns the generator's published algorithm; must never be seeded from the outside world: its callers bring the seed.
Neighbour: intrinsics.py (States.MathRandom).
"""

from __future__ import annotations

_MULTIPLIER = 0x5DEECE66D
_INCREMENT = 0xB
_MASK = (1 << 48) - 1


class JavaRandom:
    """A generator that gives the numbers of Java's `new Random(seed)`."""

    def __init__(self, seed: int) -> None:
        self._state = (seed ^ _MULTIPLIER) & _MASK

    def bits(self, count: int) -> int:
        """The next `count` random bits, at most 32, as a number from 0."""
        self._state = (self._state * _MULTIPLIER + _INCREMENT) & _MASK
        return self._state >> (48 - count)

    def below(self, bound: int) -> int:
        """The next number in [0, bound), Java's `nextInt(bound)` up to 2**31 - 1; `bound` is at most 2**32."""
        if bound >= 1 << 31:
            return self._below_wide(bound)
        if bound & (bound - 1) == 0:
            return bound * self.bits(31) >> 31
        while True:
            drawn = self.bits(31)
            if drawn - drawn % bound + bound <= 1 << 31:
                return drawn % bound

    def _below_wide(self, bound: int) -> int:
        while (drawn := self.bits(32)) >= bound:
            continue
        return drawn

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from treadle.language.prng import JavaRandom


def test_the_bits_are_those_of_java() -> None:
    generator = JavaRandom(42)
    assert [generator.bits(32) for _ in range(2)] == [2**32 - 1170105035, 234785527]
    assert JavaRandom(0).bits(32) == 2**32 - 1155484576


def test_bounded_numbers_are_those_of_java() -> None:
    generator = JavaRandom(42)
    assert [generator.below(10) for _ in range(5)] == [0, 3, 8, 4, 0]


def test_a_power_of_two_as_bound_takes_the_high_bits() -> None:
    assert JavaRandom(0).below(16) == 11


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**32))
def test_a_number_is_below_its_bound(seed: int, bound: int) -> None:
    assert 0 <= JavaRandom(seed).below(bound) < bound

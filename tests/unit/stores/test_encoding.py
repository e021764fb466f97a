from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.machine.commands import RunTask, StartTimer
from treadle.machine.journal import Entry
from treadle.stores.encoding import seal, unseal

TEXTS = st.text(st.characters(), max_size=5)  # with halves of surrogate pairs
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
BIG = st.integers(min_value=-(2**200), max_value=2**200)
VALUES = st.recursive(
    SCALARS | BIG, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
PLACE = "arn:one entry 0"


@given(VALUES)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    # The representation tells 1 from 1.0 from true, and 0.0 from -0.0.
    assert repr(unseal(object, seal(value, PLACE), PLACE)) == repr(value)


@given(st.lists(VALUES, max_size=3))
def test_entries_come_back_as_entries(values: list[Any]) -> None:
    entries = [Entry("PassStateEntered", 1, 0, (1, 4), 1.5, {"input": value}, {"note": value}) for value in values]
    assert repr(unseal(list[Entry], seal(entries, PLACE), PLACE)) == repr(entries)


@pytest.mark.parametrize(
    "struct",
    [
        StartTimer(3, 5.5),
        RunTask(wait=1, state="\ud800", resource="r", arguments={"n": 2**70}, phase="submitted", attempt=2, job=[1]),
    ],
)
def test_a_command_comes_back_as_one(struct: Any) -> None:
    assert unseal(type(struct), seal(struct, PLACE), PLACE) == struct


def test_what_is_no_json_number_comes_back_too() -> None:
    assert math.isnan(unseal(float, seal(math.nan, PLACE), PLACE))
    assert unseal(float, seal(-math.inf, PLACE), PLACE) == -math.inf


@pytest.mark.parametrize("value", [{"a": [1, "é"]}, {"a": [2**70, "\ud800"]}], ids=["packed", "flat"])
def test_every_flipped_bit_is_noticed(value: Any) -> None:
    sealed = seal(value, PLACE)
    for position in range(len(sealed)):
        for bit in range(8):
            damaged = bytearray(sealed)
            damaged[position] ^= 1 << bit
            with pytest.raises(ValueError, match="checksum"):
                unseal(object, bytes(damaged), PLACE)


@pytest.mark.parametrize("length", range(8))
def test_a_blob_that_was_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(ValueError, match="checksum"):
        unseal(object, seal({"a": 1}, PLACE)[:length], PLACE)


def test_bytes_that_belong_to_another_place_are_noticed() -> None:
    with pytest.raises(ValueError, match="checksum"):
        unseal(object, seal({"a": 1}, PLACE), "arn:one entry 5")


def test_bytes_of_another_type_are_noticed() -> None:
    with pytest.raises(ValueError, match="Expected"):
        unseal(list[Entry], seal({"a": 1}, PLACE), PLACE)

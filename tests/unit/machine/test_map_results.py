"""The output of a distributed Map whose results are not written elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from treadle.errors import StatesError
from treadle.machine.limits import Limits
from treadle.machine.map_results import Gathering

RESULTS = [("SUCCEEDED", [1], {"n": 0}), ("FAILED", None, {"n": 1}), ("SUCCEEDED", 2, {"n": 2})]


@pytest.mark.parametrize(
    ("transformation", "expected"),
    [("COMPACT", [[1], 2]), ("FLATTEN", [1, 2]), ("NONE", [{"n": 0}, {"n": 1}, {"n": 2}]), (None, [[1], 2])],
)
def test_a_transformation_says_what_of_the_results_is_given(transformation: str | None, expected: list[Any]) -> None:
    gathering = Gathering("M", None if transformation is None else {"transformation": transformation}, Limits())
    for result in RESULTS:
        gathering.add(*result)
    assert gathering.output == expected


def test_results_that_are_too_large_together_are_refused_before_they_are_held() -> None:
    gathering = Gathering("M", None, Limits(payload_bytes=len('["a","b"]')))
    gathering.add("SUCCEEDED", "a", {})
    gathering.add("SUCCEEDED", "b", {})
    with pytest.raises(StatesError) as raised:
        gathering.add("SUCCEEDED", "c", {})
    assert raised.value.name == "States.DataLimitExceeded"
    assert gathering.output == ["a", "b"]

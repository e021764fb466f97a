from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.language.values import canonical, is_number, java_text, json_text, same

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        (None, None, True),
        (None, [], False),
        ([], {}, False),
        ([1, [True]], [1.0, [True]], True),
        ([1], [True], False),
        ([1, 2], [2, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        (["a,b"], ["a", "b"], False),
        (0.0, -0.0, True),
        ([0.0], [-0.0], True),
        (1e300, 10**300, False),
    ],
)
def test_values_are_the_same_by_content(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected
    assert (canonical(one) == canonical(other)) is expected


@given(JSON, JSON)
def test_the_canonical_text_decides_equality(one: Any, other: Any) -> None:
    assert same(one, one)
    assert same(one, other) is (canonical(one) == canonical(other))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (None, "null"),
        ({"a": 1, "b": [None, "x, y", {}]}, "{a=1, b=[null, x, y, {}]}"),
        (100.0, "100.0"),
        (1e7, "1.0E7"),
        (0.0001, "1.0E-4"),
        (-123456789.125, "-1.23456789125E8"),
    ],
)
def test_a_value_is_printed_as_java_prints_it(value: Any, expected: str) -> None:
    assert java_text(value) == expected


@given(JSON)
def test_json_text_is_compact_json_at_any_depth(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert json_text(value) == text
    deep = value
    for _ in range(3_000):
        deep = [deep]
    assert json_text(deep) == "[" * 3_000 + text + "]" * 3_000


@pytest.mark.parametrize(("value", "expected"), [(1, True), (1.5, True), (True, False), ("1", False), (None, False)])
def test_a_boolean_is_no_number(value: Any, expected: bool) -> None:
    assert is_number(value) is expected

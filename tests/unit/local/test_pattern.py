from typing import Any

import pytest

from treadle.local.events.pattern import InvalidPattern, check_pattern, matches

EVENT = {
    "source": "aws.states",
    "detail-type": "Step Functions Execution Status Change",
    "resources": ["arn:aws:states:us-east-1:123456789012:execution:orders:one", "arn:b"],
    "detail": {
        "status": "FAILED",
        "name": "order-17.csv",
        "count": 7,
        "ratio": 0.5,
        "flag": True,
        "none": None,
        "ip": "10.0.0.7",
        "tags": [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
        "empty": [],
    },
}

CASES: list[tuple[dict[str, Any], bool]] = [
    ({"source": ["aws.states"]}, True),
    ({"source": ["aws.ec2", "aws.states"]}, True),
    ({"source": ["aws.ec2"]}, False),
    ({"source": ["aws.states"], "detail": {"status": ["SUCCEEDED"]}}, False),
    ({"resources": ["arn:b"]}, True),
    ({"resources": [{"prefix": "arn:aws:states"}]}, True),
    ({"detail": {"count": [7]}}, True),
    ({"detail": {"count": ["7"]}}, False),
    ({"detail": {"flag": [True]}}, True),
    ({"detail": {"flag": [1]}}, False),
    ({"detail": {"none": [None]}}, True),
    ({"detail": {"missing": [None]}}, False),
    ({"detail": {"name": [{"prefix": "order-"}]}}, True),
    ({"detail": {"name": [{"prefix": {"equals-ignore-case": "ORDER-"}}]}}, True),
    ({"detail": {"name": [{"suffix": ".csv"}]}}, True),
    ({"detail": {"name": [{"suffix": ".json"}]}}, False),
    ({"detail": {"name": [{"wildcard": "order-*.csv"}]}}, True),
    ({"detail": {"name": [{"wildcard": "*-18*"}]}}, False),
    ({"detail": {"name": [{"wildcard": "order\\*"}]}}, False),
    ({"detail": {"status": [{"equals-ignore-case": "failed"}]}}, True),
    ({"detail": {"count": [{"numeric": [">", 5, "<=", 7]}]}}, True),
    ({"detail": {"count": [{"numeric": ["<", 7]}]}}, False),
    ({"detail": {"flag": [{"numeric": [">", 0]}]}}, False),
    ({"detail": {"ratio": [{"numeric": ["=", 0.5]}]}}, True),
    ({"detail": {"status": [{"anything-but": "SUCCEEDED"}]}}, True),
    ({"detail": {"status": [{"anything-but": ["FAILED", "ABORTED"]}]}}, False),
    ({"detail": {"name": [{"anything-but": {"prefix": "order-"}}]}}, False),
    ({"detail": {"name": [{"anything-but": {"suffix": [".json", ".xml"]}}]}}, True),
    ({"detail": {"missing": [{"anything-but": "x"}]}}, False),
    ({"detail": {"missing": [{"exists": False}]}}, True),
    ({"detail": {"missing": [{"exists": True}]}}, False),
    ({"detail": {"status": [{"exists": True}]}}, True),
    ({"detail": {"status": [{"exists": False}]}}, False),
    ({"detail": {"empty": [{"exists": False}]}}, True),
    ({"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}, True),
    ({"detail": {"ip": [{"cidr": "10.0.1.0/24"}]}}, False),
    ({"detail": {"tags": {"k": ["b"]}}}, True),
    ({"detail": {"tags": {"k": ["c"]}}}, False),
    ({"detail": {"nothing": {"here": [{"exists": False}]}}}, True),
    ({"$or": [{"source": ["x"]}, {"detail": {"count": [7]}}]}, True),
    ({"$or": [{"source": ["x"]}, {"detail": {"count": [8]}}]}, False),
]


@pytest.mark.parametrize(("pattern", "meant"), CASES)
def test_a_pattern_matches_what_eventbridge_matches(pattern: dict[str, Any], meant: bool) -> None:
    check_pattern(pattern)
    assert matches(pattern, EVENT) is meant


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        ({}, "at least one"),
        ({"source": "aws.states"}, "source"),
        ({"detail": {"a": []}}, "detail.a"),
        ({"detail": {}}, "detail"),
        ({"detail": {"a": [{"like": "x"}]}}, "'like'"),
        ({"detail": {"a": [{"prefix": "a", "suffix": "b"}]}}, "one operator"),
        ({"detail": {"a": [{"numeric": [">"]}]}}, "numeric"),
        ({"detail": {"a": [{"numeric": ["~", 1]}]}}, "numeric"),
        ({"detail": {"a": [{"cidr": "nowhere"}]}}, "cidr"),
        ({"detail": {"a": [{"exists": "yes"}]}}, "exists"),
        ({"detail": {"a": [["x"]]}}, "detail.a"),
    ],
)
def test_a_pattern_that_says_nothing_is_refused_with_its_place(pattern: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidPattern, match=place):
        check_pattern(pattern)

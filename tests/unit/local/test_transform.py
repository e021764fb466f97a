import json
from typing import Any

import pytest

from treadle.local.events.transform import input_of

EVENT = {
    "id": "1",
    "time": "2026-01-01T00:00:00Z",
    "detail": {"status": "FAILED", "count": 3, "tags": [{"k": "v"}], "q": 'a "b"'},
}


def filled(template: str, paths: dict[str, str] | None = None) -> dict[str, Any]:
    return {"InputTransformer": {"InputPathsMap": paths or {}, "InputTemplate": template}}


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ({}, EVENT),
        ({"Input": '{"a": 1}'}, {"a": 1}),
        ({"InputPath": "$.detail"}, EVENT["detail"]),
        ({"InputPath": "$.detail.tags[0].k"}, "v"),
        ({"InputPath": "$.detail.nothing"}, None),
        (
            filled('{"s": <s>, "n": <n>, "t": "was <s>"}', {"s": "$.detail.status", "n": "$.detail.count"}),
            {"s": "FAILED", "n": 3, "t": "was FAILED"},
        ),
        (filled('{"d": <d>}', {"d": "$.detail.tags"}), {"d": [{"k": "v"}]}),
        (filled('{"q": "<q>!"}', {"q": "$.detail.q"}), {"q": 'a "b"!'}),
        (filled('{"r": "<aws.events.rule-name>", "e": <aws.events.event.json>}'), {"r": "rule", "e": EVENT}),
        (filled('"it was <s>"', {"s": "$.detail.status"}), "it was FAILED"),
        (filled("no JSON, <unknown>"), "no JSON, <unknown>"),
    ],
)
def test_a_target_is_sent_what_its_input_says(target: dict[str, Any], meant: Any) -> None:
    assert json.loads(input_of(target, EVENT, "rule")) == meant

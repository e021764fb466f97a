"""What stands in for a service's answer is held against its model, as TestState does."""

from __future__ import annotations

from typing import Any

import pytest

from treadle.integrations.aws.mock_answers import Unfit, check_mock
from treadle.language.resources import parse_resource

GOOD: list[tuple[str, Any, str]] = [
    ("lambda:invoke", {"Payload": {"anything": 1}, "StatusCode": 200, "SdkHttpMetadata": 7}, "STRICT"),
    ("states:startExecution", {"ExecutionArn": "a", "StartDate": "2026-01-01T00:00:00Z"}, "STRICT"),
    ("states:startExecution", {}, "PRESENT"),
    ("states:startExecution", {"StartDate": True}, "NONE"),
    ("apigateway:invoke", {"StatusCode": "text"}, "STRICT"),
    ("events:putEvents", {"Entries": [{"EventId": "1"}]}, "STRICT"),
    ("aws-sdk:s3:getObject", {"StorageClass": "STANDARD", "Body": "text"}, "STRICT"),
    ("aws-sdk:nosuchservice:doThings", {"x": 1}, "STRICT"),
]

BAD: list[tuple[str, Any, str, str]] = [
    ("lambda:invoke", {"StatusCode": "200"}, "PRESENT", "Field 'StatusCode' must be a number"),
    ("lambda:invoke", [], "STRICT", "Field 'Result' must be an object"),
    ("states:startExecution", {"startDate": 1}, "STRICT", "Required field 'ExecutionArn' is missing"),
    ("states:startExecution", {"ExecutionArn": "a", "StartDate": 1}, "STRICT", "Field 'StartDate' must be a string"),
    (
        "states:startExecution",
        {"ExecutionArn": ""},
        "PRESENT",
        "Field 'ExecutionArn' is smaller than the minimum length",
    ),
    ("states:startExecution.sync:2", {"Status": "DONE"}, "PRESENT", "Field 'Status' is not an expected value"),
    ("glue:startJobRun.sync", {"JobRun": {"Attempt": "1"}}, "PRESENT", "Field 'Attempt' must be a number"),
    ("events:putEvents", {"Entries": "one"}, "STRICT", "Field 'Entries' must be an array"),
    ("events:putEvents", {"Entries": [{"EventId": ["1"]}]}, "STRICT", "Field 'EventId' must be a string"),
    ("dynamodb:putItem", {"ConsumedCapacity": {"CapacityUnits": "1"}}, "PRESENT", "'CapacityUnits' must be a number"),
    ("aws-sdk:s3:getObject", {"StorageClass": "Paper"}, "STRICT", "Field 'StorageClass' is not an expected value"),
    ("aws-sdk:s3:getObject", {"DeleteMarker": "yes"}, "STRICT", "Field 'DeleteMarker' must be a boolean"),
]


def resource(name: str) -> Any:
    return parse_resource(f"arn:aws:states:::{name}")


@pytest.mark.parametrize(("name", "result", "mode"), GOOD)
def test_what_the_service_might_have_answered_is_taken(name: str, result: Any, mode: str) -> None:
    check_mock(resource(name), result, mode)


@pytest.mark.parametrize(("name", "result", "mode", "words"), BAD)
def test_what_it_could_not_have_answered_is_refused(name: str, result: Any, mode: str, words: str) -> None:
    with pytest.raises(Unfit, match=words):
        check_mock(resource(name), result, mode)


def test_a_function_named_by_its_arn_may_answer_anything() -> None:
    found = parse_resource("arn:aws:lambda:us-east-1:123456789012:function:f")
    assert found is not None
    check_mock(found, 7, "STRICT")

"""The grammar of resource ARNs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.language.resources import OPTIMISED, Resource, parse_resource

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:pay"
ACTIVITY = "arn:aws:states:eu-central-1:123456789012:activity:approve"
INTEGRATION = "arn:aws:states:::"


@pytest.mark.parametrize(
    ("arn", "kind", "service", "action", "pattern", "resource_type", "name"),
    [
        (FUNCTION, "lambda", "lambda", "pay", "request-response", "lambda", FUNCTION),
        (f"{FUNCTION}:7", "lambda", "lambda", "pay:7", "request-response", "lambda", f"{FUNCTION}:7"),
        (ACTIVITY, "activity", "activity", "approve", "request-response", "activity", ACTIVITY),
        (f"{INTEGRATION}lambda:invoke", "service", "lambda", "invoke", "request-response", "lambda", "invoke"),
        (
            f"{INTEGRATION}sqs:sendMessage.waitForTaskToken",
            "service",
            "sqs",
            "sendMessage",
            "waitForTaskToken",
            "sqs",
            "sendMessage.waitForTaskToken",
        ),
        (
            f"{INTEGRATION}states:startExecution.sync:2",
            "service",
            "states",
            "startExecution",
            "sync:2",
            "states",
            "startExecution.sync:2",
        ),
        (
            f"{INTEGRATION}emr-serverless:startJobRun.sync",
            "service",
            "emr-serverless",
            "startJobRun",
            "sync",
            "emr-serverless",
            "startJobRun.sync",
        ),
        (
            f"{INTEGRATION}aws-sdk:dynamodb:putItem.waitForTaskToken",
            "aws-sdk",
            "dynamodb",
            "putItem",
            "waitForTaskToken",
            "aws-sdk:dynamodb",
            "putItem.waitForTaskToken",
        ),
        (f"{INTEGRATION}http:invoke", "http", "http", "invoke", "request-response", "http", "invoke"),
    ],
)
def test_an_arn_names_its_integration(
    arn: str, kind: str, service: str, action: str, pattern: str, resource_type: str, name: str
) -> None:
    resource = parse_resource(arn)
    assert resource is not None
    assert (resource.kind, resource.service, resource.action, resource.pattern) == (kind, service, action, pattern)
    assert (resource.resource_type, resource.name, resource.arn) == (resource_type, name, arn)


@pytest.mark.parametrize(
    "arn",
    [
        f"{INTEGRATION}dynamodb:query",
        f"{INTEGRATION}lambda:invoke.sync",
        f"{INTEGRATION}lambda:invoke.whenever",
        f"{INTEGRATION}glue:startJobRun.sync:2",
        f"{INTEGRATION}http:invoke.waitForTaskToken",
        f"{INTEGRATION}aws-sdk:ecs:runTask.sync",
        f"{INTEGRATION}aws-sdk:ecs:RunTask",
        "arn:aws:s3:::bucket/key",
        "arn:aws:states:eu-central-1:123456789012:stateMachine:pay",
    ],
)
def test_an_integration_that_does_not_exist_is_unknown(arn: str) -> None:
    resource = parse_resource(arn)
    assert resource is not None
    assert resource.kind == "unknown"


@pytest.mark.parametrize("text", ["", "pay", "arn:", "arn:aws", "https://example.com", "arn:aws:lambda:x y:z"])
def test_other_text_is_no_resource(text: str) -> None:
    assert parse_resource(text) is None


def test_partition_region_and_account_are_kept() -> None:
    assert parse_resource("arn:aws-cn:lambda:cn-north-1:123456789012:function:pay") == Resource(
        arn="arn:aws-cn:lambda:cn-north-1:123456789012:function:pay",
        kind="lambda",
        service="lambda",
        action="pay",
        partition="aws-cn",
        region="cn-north-1",
        account="123456789012",
    )


def test_every_optimised_integration_is_recognised_in_each_of_its_patterns() -> None:
    for service, actions in OPTIMISED.items():
        for action, patterns in actions.items():
            for pattern in patterns:
                suffix = "" if pattern == "request-response" else f".{pattern}"
                resource = parse_resource(f"{INTEGRATION}{service}:{action}{suffix}")
                assert resource is not None
                assert (resource.kind, resource.pattern) == ("service", pattern)


@settings(deadline=None)
@given(st.text(st.sampled_from("arn:aws:states:lambda.-syncX1 \n")))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    parse_resource(text)

"""Names as the SDK for Java spells them, for services, actions, members and errors; and what botocore's models give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from treadle.integrations.aws.actions import Unknown, optimised_action, sdk_action, token_of
from treadle.integrations.aws.names import OPTIMISED, SDK, action_name, pascal, service_name
from treadle.integrations.aws.shapes import Misfit


@pytest.mark.parametrize(
    ("service_id", "name"),
    [
        ("SFN", "Sfn"),
        ("DynamoDB", "DynamoDb"),
        ("CloudWatch Logs", "CloudWatchLogs"),
        ("Secrets Manager", "SecretsManager"),
        ("Elastic Load Balancing v2", "ElasticLoadBalancingV2"),
        ("Directory Service", "Directory"),
        ("Database Migration Service", "DatabaseMigration"),
        ("ACM PCA", "AcmPca"),
        ("ApiGatewayV2", "ApiGatewayV2"),
        ("codeartifact", "Codeartifact"),
        ("SageMaker A2I Runtime", "SageMakerA2IRuntime"),
        ("IoT Data Plane", "IotDataPlane"),
        ("FSx", "FSx"),
        ("S3", "S3"),
    ],
)
def test_services_are_called_as_in_java(service_id: str, name: str) -> None:
    assert service_name(service_id) == name


@pytest.mark.parametrize(
    ("operation", "action"),
    [("PutItem", "putItem"), ("DescribeDBInstances", "describeDBInstances"), ("DBThing", "dbThing"), ("ARN", "arn")],
)
def test_actions_begin_with_a_small_word(operation: str, action: str) -> None:
    assert action_name(operation) == action


@pytest.mark.parametrize(
    ("member", "sdk", "optimised"),
    [
        ("TableName", "TableName", "TableName"),
        ("jobDefinition", "JobDefinition", "JobDefinition"),
        ("DBInstanceIdentifier", "DbInstanceIdentifier", "DBInstanceIdentifier"),
        ("SSEKMSKeyId", "SsekmsKeyId", "SSEKMSKeyId"),
        ("ETag", "ETag", "ETag"),
        ("MD5OfMessageBody", "Md5OfMessageBody", "MD5OfMessageBody"),
        ("equals", "EqualsValue", "Equals"),
        ("default", "DefaultValue", "Default"),
        ("BOOL", "Bool", "BOOL"),
        ("NULL", "Nul", "NULL"),
    ],
)
def test_members_have_a_capital_and_the_rest_depends_on_the_generation(member: str, sdk: str, optimised: str) -> None:
    assert (SDK.member(member), OPTIMISED.member(member)) == (sdk, optimised)


@pytest.mark.parametrize(
    ("error", "exception"),
    [
        ("ResourceNotFoundException", "ResourceNotFoundException"),
        ("NoSuchKey", "NoSuchKeyException"),
        ("DBInstanceNotFoundFault", "DbInstanceNotFoundException"),
        ("QueueDoesNotExist", "QueueDoesNotExistException"),
    ],
)
def test_errors_end_with_exception(error: str, exception: str) -> None:
    assert SDK.exception(error) == exception
    assert OPTIMISED.exception("NotFound") == "NotFoundException"


def test_moments_are_instants_or_milliseconds() -> None:
    moment = datetime(2026, 1, 2, 5, 0, tzinfo=timezone(timedelta(hours=2)))
    assert SDK.moment(moment) == "2026-01-02T03:00:00Z"
    assert SDK.moment(datetime(2026, 1, 2, 0, 0, 0, 120_000, tzinfo=UTC)) == "2026-01-02T00:00:00.120Z"
    assert SDK.moment(datetime(2026, 1, 2, 0, 0, 0, 120_001, tzinfo=UTC)) == "2026-01-02T00:00:00.120001Z"
    assert OPTIMISED.moment(datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)) == 1500


def test_words_are_found_in_any_form() -> None:
    assert [pascal(each) for each in ("acm-success", "ACMSuccess", "s3ec2", "TestV4")] == [
        "AcmSuccess",
        "AcmSuccess",
        "S3Ec2",
        "TestV4",
    ]


@pytest.mark.parametrize(
    ("service", "action", "told"),
    [
        ("nowhere", "putItem", "no AWS service 'nowhere'"),
        ("DynamoDB", "putItem", "no AWS service 'DynamoDB'"),
        ("dynamodb", "PutItem", "no action 'PutItem'"),
        ("dynamodb", "fly", "no action 'fly'"),
        ("bedrockruntime", "converseStream", "streams events"),
        ("cloudwatchlogs", "startLiveTail", "streams events"),
    ],
)
def test_what_does_not_exist_is_named(service: str, action: str, told: str) -> None:
    with pytest.raises(Unknown, match=told):
        sdk_action(service, action)


@pytest.mark.parametrize(
    ("service", "action", "repeatable"),
    [
        ("dynamodb", "getItem", True),
        ("dynamodb", "putItem", False),
        ("dynamodb", "transactWriteItems", True),
        ("dynamodb", "deleteTable", True),
        ("s3", "putObject", True),
        ("s3", "createMultipartUpload", False),
        ("sqs", "sendMessage", True),
        ("ec2", "runInstances", True),
        ("ec2", "createTags", False),
        ("ecs", "runTask", True),
        ("batch", "submitJob", False),
        ("sfn", "startExecution", True),
        ("codebuild", "startBuild", True),
        ("secretsmanager", "createSecret", True),
    ],
)
def test_a_call_may_be_repeated_when_that_does_no_harm(service: str, action: str, repeatable: bool) -> None:
    assert sdk_action(service, action).repeatable is repeatable


def test_a_token_is_made_of_the_call_and_left_alone_where_one_is_given() -> None:
    action = sdk_action("secretsmanager", "createSecret")
    assert action.parameters({"Name": "n"}, "key")["ClientRequestToken"] == token_of("key")
    assert action.parameters({"Name": "n", "ClientRequestToken": "own"}, "key")["ClientRequestToken"] == "own"
    assert token_of("key") == token_of("key") != token_of("other")


def test_an_execution_without_a_name_is_named_after_the_call_that_starts_it() -> None:
    action = sdk_action("sfn", "startExecution")
    assert action.parameters({"StateMachineArn": "m"}, "key")["name"] == token_of("key")


PUT = "dynamodb", "putItem"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("service", "action", "arguments", "told"),
    [
        (*PUT, {"Table": "t"}, 'The field "Table" is not supported by Step Functions'),
        (*PUT, {"tableName": "t"}, 'The field "tableName" is not supported by Step Functions'),
        (*PUT, {"TableName": 7}, "The value for the field 'TableName' must be a STRING"),
        (*PUT, {"Item": []}, "The value for the field 'Item' must be a MAP"),
        (*PUT, {"Item": {"a": "x"}}, "The value for the field 'a' must be a STRUCTURE"),
        (*PUT, {"Item": {"a": {"L": 1}}}, "The value for the field 'L' must be a LIST"),
        (*PUT, {"Item": {"a": {"Bool": "true"}}}, "The value for the field 'Bool' must be a BOOLEAN"),
        ("dynamodb", "scan", {"Limit": "1"}, "The value for the field 'Limit' must be a INTEGER"),
        ("dynamodb", "scan", {"Limit": True}, "The value for the field 'Limit' must be a INTEGER"),
        ("s3", "getObject", {"IfModifiedSince": "soon"}, "field 'IfModifiedSince' must be a TIMESTAMP"),
        ("s3", "listBuckets", ["x"], "The value for the field 'Parameters' must be a STRUCTURE"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_in_the_words_of_aws(
    service: str, action: str, arguments: Any, told: str
) -> None:
    with pytest.raises(Misfit) as refused:
        sdk_action(service, action).parameters(arguments, "key")
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("service", "action", "arguments", "sent"),
    [
        (*PUT, {"Item": {"a": {"Bool": True}}}, {"Item": {"a": {"BOOL": True}}}),
        (*PUT, {"Item": {"a": {"BOOL": True}}}, {"Item": {"a": {"BOOL": True}}}),
        (*PUT, {"TableName": "t", "Item": None}, {"TableName": "t"}),
        ("s3", "putObject", {"Body": {"a": 1}}, {"Body": b'{"a":1}'}),
        ("s3", "putObject", {"Body": "ü"}, {"Body": "ü".encode()}),
        ("sfn", "sendTaskSuccess", {"Output": {"a": [1]}}, {"output": '{"a":[1]}'}),
        ("rds", "describeDBInstances", {"DbInstanceIdentifier": "d"}, {"DBInstanceIdentifier": "d"}),
        ("dynamodb", "scan", {"Limit": 2.0}, {"Limit": 2}),
        ("s3", "getObject", {"IfModifiedSince": "1970-01-01T00:00:00Z"}, {"IfModifiedSince": EPOCH}),
        ("s3", "getObject", {"IfModifiedSince": 0}, {"IfModifiedSince": EPOCH}),
    ],
)  # fmt: skip
def test_parameters_become_what_botocore_takes(service: str, action: str, arguments: Any, sent: Any) -> None:
    assert sdk_action(service, action).parameters(arguments, "key") == sent


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (sdk_action, {"Item": {"m": {"M": {"x": {"Bool": True}}}, "b": {"B": "/w=="}, "t": {"B": "text"}}}),
        (lambda _, __: optimised_action("dynamodb", "GetItem"), {
            "Item": {"m": {"M": {"x": {"BOOL": True}}}, "b": {"B": "/w=="}, "t": {"B": "text"}}
        }),
    ],
)  # fmt: skip
def test_answers_become_json_in_each_dialect(make: Any, expected: Any) -> None:
    item = {"m": {"M": {"x": {"BOOL": True}}}, "b": {"B": b"\xff"}, "t": {"B": b"text"}}
    assert make("dynamodb", "getItem").answer({"Item": item, "ResponseMetadata": {}}) == expected

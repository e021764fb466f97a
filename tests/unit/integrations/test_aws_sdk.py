"""AWS SDK integrations at a real server: actions of many services, what they give and how they fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from aws_calling import answer, refusal

from local_cloud import LocalCloud
from treadle.integrations.aws import AwsSdkIntegration, AwsSessions, Keys
from treadle.integrations.aws.actions import sdk_action
from treadle.runtime.ports import LOST

KEY = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
TABLE = {**KEY, "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
ITEM = {"id": {"S": "1"}, "ok": {"Bool": True}}
ROLE = '{"Version":"2012-10-17","Statement":[]}'
BUCKET = ("s3:createBucket", {"Bucket": "@"})
OBJECT = ("s3:putObject", {"Bucket": "@", "Key": "k", "Body": {"a": 1}})
TABLES = ("dynamodb:createTable", {"TableName": "@", **TABLE})
ITEMS = ("dynamodb:putItem", {"TableName": "@", "Item": ITEM})
QUEUE = ("sqs:createQueue", {"QueueName": "@"})
URL = "http://sqs.local/123456789012/@"
TOPIC = "arn:aws:sns:us-east-1:123456789012:@"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:@"
ARN_ROLE = "arn:aws:iam::123456789012:role/r"

# What is there before, the action, its parameters, what the answer has at a path, other parameters, their error.
ACTIONS: list[tuple[list[Any], str, Any, str, Any, Any, str]] = [
    ([], "s3:createBucket", {"Bucket": "@"}, "Location", "/@", {"Bucket": "X_"}, "S3.S3Exception"),
    (
        [BUCKET],
        "s3:putObject",
        {"Bucket": "@", "Key": "k", "Body": "x"},
        "ETag",
        '"9dd4e461268c8034f5c8564e155c67a6"',
        {"Bucket": "@no", "Key": "k"},
        "S3.NoSuchBucketException",
    ),
    (
        [BUCKET, OBJECT],
        "s3:getObject",
        {"Bucket": "@", "Key": "k"},
        "Body",
        '{"a":1}',
        {"Bucket": "@", "Key": "no"},
        "S3.NoSuchKeyException",
    ),
    (
        [BUCKET, OBJECT],
        "s3:headObject",
        {"Bucket": "@", "Key": "k"},
        "ContentLength",
        7,
        {"Bucket": "@", "Key": "no"},
        "S3.NoSuchKeyException",
    ),
    (
        [BUCKET, OBJECT],
        "s3:listObjectsV2",
        {"Bucket": "@"},
        "Contents.0.Key",
        "k",
        {"Bucket": "@no"},
        "S3.NoSuchBucketException",
    ),
    ([BUCKET], "s3:deleteBucket", {"Bucket": "@"}, "", {}, {"Bucket": "@no"}, "S3.NoSuchBucketException"),
    (
        [],
        "dynamodb:createTable",
        {"TableName": "@", **TABLE},
        "TableDescription.TableStatus",
        "ACTIVE",
        {"TableName": "@"},
        "DynamoDb.DynamoDbException",
    ),
    (
        [TABLES],
        "dynamodb:describeTable",
        {"TableName": "@"},
        "Table.TableName",
        "@",
        {"TableName": "@no"},
        "DynamoDb.ResourceNotFoundException",
    ),
    (
        [TABLES],
        "dynamodb:putItem",
        {"TableName": "@", "Item": ITEM},
        "",
        {},
        {"TableName": "@no", "Item": ITEM},
        "DynamoDb.ResourceNotFoundException",
    ),
    (
        [TABLES, ITEMS],
        "dynamodb:getItem",
        {"TableName": "@", "Key": {"id": {"S": "1"}}},
        "Item",
        ITEM,
        {"TableName": "@"},
        "DynamoDb.DynamoDbException",
    ),
    (
        [TABLES, ITEMS],
        "dynamodb:query",
        {"TableName": "@", "KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": "1"}}},
        "Count",
        1,
        {"TableName": "@no", "KeyConditionExpression": "id = :i"},
        "DynamoDb.ResourceNotFoundException",
    ),
    (
        [TABLES, ITEMS],
        "dynamodb:deleteItem",
        {"TableName": "@", "Key": {"id": {"S": "1"}}, "ReturnValues": "ALL_OLD"},
        "Attributes",
        ITEM,
        {"TableName": "@", "Key": {"id": {"S": "1"}}, "ConditionExpression": "attribute_exists(id)"},
        "DynamoDb.ConditionalCheckFailedException",
    ),
    ([], "sqs:createQueue", {"QueueName": "@"}, "QueueUrl", ..., {"QueueName": "?"}, "Sqs.SqsException"),
    (
        [QUEUE],
        "sqs:sendMessage",
        {"QueueUrl": URL, "MessageBody": {"a": 1}},
        "Md5OfMessageBody",
        "bb6cb5c68df4652941caf652a366f2d8",
        {"QueueUrl": URL + "no", "MessageBody": "x"},
        "Sqs.QueueDoesNotExistException",
    ),
    (
        [QUEUE],
        "sqs:getQueueAttributes",
        {"QueueUrl": URL, "AttributeNames": ["All"]},
        "Attributes.ApproximateNumberOfMessages",
        "0",
        {"QueueUrl": URL + "no"},
        "Sqs.QueueDoesNotExistException",
    ),
    ([], "sns:createTopic", {"Name": "@"}, "TopicArn", TOPIC, {"Name": "?"}, "Sns.InvalidParameterException"),
    (
        [("sns:createTopic", {"Name": "@"})],
        "sns:publish",
        {"TopicArn": TOPIC, "Message": {"a": 1}},
        "MessageId",
        ...,
        {"TopicArn": TOPIC + "no", "Message": "x"},
        "Sns.NotFoundException",
    ),
    (
        [],
        "secretsmanager:createSecret",
        {"Name": "@", "SecretString": {"a": 1}},
        "Name",
        "@",
        {"Name": "@", "SecretString": "other"},
        "SecretsManager.ResourceExistsException",
    ),
    (
        [("secretsmanager:createSecret", {"Name": "@", "SecretString": {"a": 1}})],
        "secretsmanager:getSecretValue",
        {"SecretId": "@"},
        "SecretString",
        '{"a":1}',
        {"SecretId": "@no"},
        "SecretsManager.ResourceNotFoundException",
    ),
    (
        [],
        "ssm:putParameter",
        {"Name": "@", "Value": "v", "Type": "String"},
        "Version",
        1,
        {"Name": "ssm", "Value": "v", "Type": "String"},
        "Ssm.ValidationException",
    ),
    (
        [("ssm:putParameter", {"Name": "@", "Value": "v", "Type": "String"})],
        "ssm:getParameter",
        {"Name": "@"},
        "Parameter.Value",
        "v",
        {"Name": "@no"},
        "Ssm.ParameterNotFoundException",
    ),
    (
        [],
        "iam:createRole",
        {"RoleName": "@", "AssumeRolePolicyDocument": ROLE},
        "Role.RoleName",
        "@",
        {"RoleName": "@", "AssumeRolePolicyDocument": ROLE},
        "Iam.EntityAlreadyExistsException",
    ),
    (
        [("iam:createRole", {"RoleName": "@", "AssumeRolePolicyDocument": ROLE})],
        "iam:getRole",
        {"RoleName": "@"},
        "Role.Arn",
        "arn:aws:iam::123456789012:role/@",
        {"RoleName": "@no"},
        "Iam.NoSuchEntityException",
    ),
    (
        [],
        "cloudwatchlogs:createLogGroup",
        {"LogGroupName": "@"},
        "",
        {},
        {"LogGroupName": "@"},
        "CloudWatchLogs.ResourceAlreadyExistsException",
    ),
    (
        [("cloudwatchlogs:createLogGroup", {"LogGroupName": "@"})],
        "cloudwatchlogs:describeLogStreams",
        {"LogGroupName": "@"},
        "LogStreams",
        [],
        {"LogGroupName": "@no"},
        "CloudWatchLogs.ResourceNotFoundException",
    ),
    (
        [("eventbridge:putRule", {"Name": "@", "ScheduleExpression": "rate(1 day)"})],
        "eventbridge:describeRule",
        {"Name": "@"},
        "State",
        "ENABLED",
        {"Name": "@no"},
        "EventBridge.ResourceNotFoundException",
    ),
    (
        [("kinesis:createStream", {"StreamName": "@", "ShardCount": 1})],
        "kinesis:putRecord",
        {"StreamName": "@", "Data": "x", "PartitionKey": "p"},
        "ShardId",
        "shardId-000000000000",
        {"StreamName": "@no", "Data": "x", "PartitionKey": "p"},
        "Kinesis.ResourceNotFoundException",
    ),
    (
        [
            (
                "sfn:createStateMachine",
                {
                    "Name": "@",
                    "RoleArn": ARN_ROLE,
                    "Definition": {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}},
                },
            )
        ],
        "sfn:describeStateMachine",
        {"StateMachineArn": MACHINE},
        "Name",
        "@",
        {"StateMachineArn": MACHINE + "no"},
        "Sfn.StateMachineDoesNotExistException",
    ),
    (
        [("ecr:createRepository", {"RepositoryName": "@"})],
        "ecr:describeRepositories",
        {"RepositoryNames": ["@"]},
        "Repositories.0.RepositoryName",
        "@",
        {"RepositoryNames": ["@no"]},
        "Ecr.RepositoryNotFoundException",
    ),
    (
        [("glue:createDatabase", {"DatabaseInput": {"Name": "@"}})],
        "glue:getDatabase",
        {"Name": "@"},
        "Database.Name",
        "@",
        {"Name": "@no"},
        "Glue.EntityNotFoundException",
    ),
    (
        [],
        "kms:createKey",
        {"Description": "@"},
        "KeyMetadata.Description",
        "@",
        {"KeySpec": "ROT13"},
        "Kms.KmsException",
    ),
    (
        [TABLES, ITEMS],
        "dynamodb:updateItem",
        {
            "TableName": "@",
            "Key": {"id": {"S": "1"}},
            "UpdateExpression": "SET n = :n",
            "ExpressionAttributeValues": {":n": {"N": "7"}},
            "ReturnValues": "UPDATED_NEW",
        },
        "Attributes",
        {"n": {"N": "7"}},
        {"TableName": "@", "Key": {"id": {"S": "1"}}, "ConditionExpression": "attribute_not_exists(id)"},
        "DynamoDb.ConditionalCheckFailedException",
    ),
    ([], "lambda:invoke", None, "", None, {"FunctionName": "@no", "Payload": {}}, "Lambda.ResourceNotFoundException"),
    (
        [],
        "rds:describeDBInstances",
        {},
        "DbInstances",
        ...,
        {"DbInstanceIdentifier": "@"},
        "Rds.DbInstanceNotFoundException",
    ),
]


@pytest.fixture(scope="module")
def sdk(local_cloud: LocalCloud) -> Iterator[AwsSdkIntegration]:
    sessions = AwsSessions(endpoint_url=local_cloud.endpoint, keys=Keys("testing", "testing"))
    yield AwsSdkIntegration(sessions)
    sessions.close()


def named(value: Any, name: str) -> Any:
    """The value with this name in the place of @."""
    if isinstance(value, dict):
        return {key: named(each, name) for key, each in value.items()}
    if isinstance(value, list):
        return [named(each, name) for each in value]
    return value.replace("@", name) if isinstance(value, str) else value


def at(value: Any, path: str) -> Any:
    for step in path.split(".") if path else ():
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


@pytest.mark.parametrize(
    ("before", "action", "good", "path", "value", "bad", "error"), ACTIONS, ids=[action for _, action, *_ in ACTIONS]
)
def test_an_action_gives_what_the_service_answers_or_its_error(
    sdk: AwsSdkIntegration,
    local_cloud: LocalCloud,
    before: list[Any],
    action: str,
    good: Any,
    path: str,
    value: Any,
    bad: Any,
    error: str,
) -> None:
    name = local_cloud.unique("n")
    for earlier, arguments in before:
        answer(sdk, f"aws-sdk:{earlier}", named(arguments, name))
    if good is not None:
        given = answer(sdk, f"aws-sdk:{action}", named(good, name))
        assert value is ... or at(given, path) == named(value, name)
        assert "SdkHttpMetadata" not in given
    refused = refusal(sdk, f"aws-sdk:{action}", named(bad, name))
    assert refused.name == error, refused
    prefix = error.partition(".")[0]
    assert re.search(rf" \(Service: {prefix}, Status Code: \d+, Request ID: [^)]+\)", refused.cause or ""), refused


def test_enough_actions_of_enough_services_have_a_success_and_an_error_of_their_model() -> None:
    both: set[str] = set()
    for _, action, good, _, _, _, error in ACTIONS:
        modelled = sdk_action(*action.split(":")).errors.values()
        if good is not None and error.partition(".")[2] in modelled:
            both.add(action)
    assert len(both) >= 25 and len({action.partition(":")[0] for action in both}) >= 10, both


def test_a_missing_parameter_is_told_as_the_service_would(sdk: AwsSdkIntegration) -> None:
    refused = refusal(sdk, "aws-sdk:dynamodb:putItem", {"TableName": "t", "Item": None})
    assert (refused.name, refused.cause) == (
        "DynamoDb.DynamoDbException",
        "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null "
        "(Service: DynamoDb, Status Code: 400, Request ID: null)",
    )


def test_a_parameter_that_there_is_not_fails_for_good(sdk: AwsSdkIntegration) -> None:
    refused = refusal(sdk, "aws-sdk:dynamodb:putItem", {"Tablename": "t"})
    assert (refused.name, refused.cause) == (
        "States.Runtime",
        'The Parameters \'{"Tablename":"t"}\' could not be used to start the Task: '
        '[The field "Tablename" is not supported by Step Functions]',
    )


def test_an_object_that_is_too_large_fails_the_task(sdk: AwsSdkIntegration, local_cloud: LocalCloud) -> None:
    bucket = local_cloud.unique("n")
    answer(sdk, "aws-sdk:s3:createBucket", {"Bucket": bucket})
    answer(sdk, "aws-sdk:s3:putObject", {"Bucket": bucket, "Key": "k", "Body": "x" * 262_145})
    refused = refusal(sdk, "aws-sdk:s3:getObject", {"Bucket": bucket, "Key": "k"})
    assert refused.name == "States.DataLimitExceeded" and "'aws-sdk:s3'" in (refused.cause or "")


def test_bytes_that_are_no_text_come_as_base64(sdk: AwsSdkIntegration, local_cloud: LocalCloud) -> None:
    bucket = local_cloud.unique("n")
    client = local_cloud.client("s3")
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=b"\xff\xfe")
    client.close()
    assert answer(sdk, "aws-sdk:s3:getObject", {"Bucket": bucket, "Key": "k"})["Body"] == "//4="


def test_a_role_is_taken_for_the_call(sdk: AwsSdkIntegration) -> None:
    role = {"RoleArn": "arn:aws:iam::210987654321:role/theirs"}
    given = answer(sdk, "aws-sdk:sts:getCallerIdentity", {}, credentials=role)
    assert (given["Account"], given["Arn"]) == (
        "210987654321",
        "arn:aws:sts::210987654321:assumed-role/theirs/treadle",
    )
    assert answer(sdk, "aws-sdk:sts:getCallerIdentity", {})["Account"] == "123456789012"


def test_a_call_that_may_have_happened_is_repeated_only_where_that_does_no_harm(
    sdk: AwsSdkIntegration, local_cloud: LocalCloud
) -> None:
    name = local_cloud.unique("n")
    first = answer(sdk, "aws-sdk:secretsmanager:createSecret", {"Name": name, "SecretString": "s"})
    assert answer(sdk, "aws-sdk:secretsmanager:listSecrets", {}, again=True)["SecretList"]
    refused = refusal(sdk, "aws-sdk:dynamodb:updateItem", {"TableName": name}, again=True)
    assert (refused.name, refused.cause) == ("States.TaskFailed", LOST)
    assert first["Name"] == name


@pytest.mark.parametrize(
    "action", ["aws-sdk:s3:fly", "aws-sdk:nowhere:putItem", "aws-sdk:bedrockruntime:converseStream"]
)
def test_an_action_that_there_is_not_fails_for_good(sdk: AwsSdkIntegration, action: str) -> None:
    refused = refusal(sdk, action, {})
    assert refused.name == "States.Runtime" and f"arn:aws:states:::{action} is not recognized" in (refused.cause or "")

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from treadle.errors import Corrupt
from treadle.local.cloud.child import PID_FILE, Child
from treadle.local.cloud.journal import Journal, Request
from treadle.local.cloud.operations import changed, changes, operation


def client(service: str, url: str) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
    )


async def with_cloud(folder: Path, work: Callable[[str], Any], *, kill: bool = False) -> Any:
    child = Child(folder, "http://127.0.0.1:1")
    try:
        result = await asyncio.to_thread(work, await child.url())
        if kill:
            os.kill(int((folder / PID_FILE).read_text()), signal.SIGKILL)
        return result
    finally:
        await child.close()


def fill(url: str) -> str:
    s3, dynamodb, sqs, kms = (client(each, url) for each in ("s3", "dynamodb", "sqs", "kms"))
    s3.create_bucket(Bucket="papers")
    s3.put_bucket_versioning(Bucket="papers", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="papers", Key="a/b.txt", Body=b"x" * 100_000, Metadata={"who_wrote": "me"})
    upload = s3.create_multipart_upload(Bucket="papers", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="papers", Key="parts", UploadId=upload, PartNumber=1, Body=b"one")
    s3.complete_multipart_upload(
        Bucket="papers",
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    dynamodb.create_table(
        TableName="tasks",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(5):
        dynamodb.put_item(TableName="tasks", Item={"id": {"S": str(number)}, "n": {"N": "1"}})
    dynamodb.update_item(
        TableName="tasks",
        Key={"id": {"S": "3"}},
        UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.put_item(TableName="tasks", Item={"id": {"S": "3"}}, ConditionExpression="attribute_not_exists(id)")
    client("secretsmanager", url).create_secret(Name="token", SecretString="s3cret")
    client("ssm", url).put_parameter(Name="/app/limit", Value="3", Type="String")
    queue = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="first")
    sqs.send_message(QueueUrl=queue, MessageBody="second")
    received = sqs.receive_message(QueueUrl=queue)["Messages"][0]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=received["ReceiptHandle"])
    topic = client("sns", url).create_topic(Name="news")["TopicArn"]
    arn = "arn:aws:sqs:us-east-1:123456789012:jobs"
    client("sns", url).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    client("logs", url).create_log_group(logGroupName="/app")
    return kms.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"].hex()


def told(url: str, ciphertext: str) -> dict[str, Any]:
    s3, dynamodb, secrets = (client(each, url) for each in ("s3", "dynamodb", "secretsmanager"))
    objects = s3.list_object_versions(Bucket="papers")["Versions"]
    secret = secrets.describe_secret(SecretId="token")
    head = s3.head_object(Bucket="papers", Key="a/b.txt")
    queue = client("sqs", url).get_queue_attributes(QueueUrl=f"{url}/123456789012/jobs", AttributeNames=["All"])
    return {
        "objects": [
            {key: each[key] for key in ("Key", "VersionId", "ETag", "Size", "LastModified")} for each in objects
        ],
        "metadata": head["Metadata"],
        "body": s3.get_object(Bucket="papers", Key="a/b.txt")["Body"].read(),
        "parts": s3.get_object(Bucket="papers", Key="parts")["Body"].read(),
        "items": sorted(dynamodb.scan(TableName="tasks")["Items"], key=str),
        "secret": (secret["ARN"], secret["CreatedDate"], secret["VersionIdsToStages"]),
        "value": secrets.get_secret_value(SecretId="token")["SecretString"],
        "parameter": client("ssm", url).get_parameter(Name="/app/limit")["Parameter"]["Value"],
        "queue": queue["Attributes"],
        "subscriptions": client("sns", url).list_subscriptions()["Subscriptions"],
        "plain": client("kms", url).decrypt(CiphertextBlob=bytes.fromhex(ciphertext))["Plaintext"],
        "groups": [each["creationTime"] for each in client("logs", url).describe_log_groups()["logGroups"]],
    }


def test_what_was_acknowledged_is_the_same_after_a_kill(tmp_path: Path) -> None:
    ciphertext = asyncio.run(with_cloud(tmp_path, fill, kill=True))
    first = asyncio.run(with_cloud(tmp_path, lambda url: told(url, ciphertext), kill=True))
    assert first["items"][3] == {"id": {"S": "3"}, "n": {"N": "2"}}
    assert (first["body"], first["plain"]) == (b"x" * 100_000, b"plain")
    assert first["queue"]["ApproximateNumberOfMessages"] == "1"
    assert asyncio.run(with_cloud(tmp_path, lambda url: told(url, ciphertext))) == first
    assert (tmp_path / "requests.log").stat().st_mode & 0o077 == 0


def test_a_cloud_that_died_is_started_again(tmp_path: Path) -> None:
    asyncio.run(died_and_came_back(tmp_path))


async def died_and_came_back(tmp_path: Path) -> None:
    child = Child(tmp_path, "http://127.0.0.1:1")
    try:
        url = await child.url()
        await asyncio.to_thread(lambda: client("s3", url).create_bucket(Bucket="kept"))
        pid = int((tmp_path / PID_FILE).read_text())
        os.kill(pid, signal.SIGKILL)
        while child.running:
            await asyncio.sleep(0.01)
        again = await child.url()
        buckets = await asyncio.to_thread(lambda: client("s3", again).list_buckets()["Buckets"])
        assert [each["Name"] for each in buckets] == ["kept"]
        assert child.repeated == 1
    finally:
        await child.close()
    assert not (tmp_path / PID_FILE).exists()


def request(number: int, body: bytes = b"") -> Request:
    return Request(float(number), number, {"REQUEST_METHOD": "PUT", "PATH_INFO": f"/{number}"}, {}, body)


def journal_of(folder: Path, *requests: Request) -> Path:
    journal = Journal(folder)
    assert list(journal.requests()) == []
    for each in requests:
        journal.sync(journal.append(each))
    journal.close()
    return journal.path


def read(folder: Path) -> list[Request]:
    journal = Journal(folder)
    try:
        return list(journal.requests())
    finally:
        journal.close()


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_a_record_that_was_cut_off_counts_as_not_written(tmp_path: Path, cut: int) -> None:
    kept = [request(1), request(2, b"b" * 70_000)]
    path = journal_of(tmp_path, *kept, request(3))
    os.truncate(path, path.stat().st_size - cut)
    assert read(tmp_path) == kept
    journal = Journal(tmp_path)
    assert len(list(journal.requests())) == 2
    journal.sync(journal.append(request(4)))
    journal.close()
    assert read(tmp_path) == [*kept, request(4)]


def test_damage_in_the_middle_is_told_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    path = journal_of(tmp_path, request(1), request(2))
    whole = bytearray(path.read_bytes())
    whole[30] ^= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(Corrupt, match="a record was damaged, and others follow it"):
        read(tmp_path)
    assert path.read_bytes() == bytes(whole)


def test_two_processes_cannot_have_one_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(BlockingIOError):
        Journal(tmp_path)
    journal.close()


JSON = {"content-type": "application/x-amz-json-1.0"}
REQUESTS = [
    ("GET", {}, "", b"", None, False),
    ("PUT", {}, "", b"body", None, True),
    ("POST", {"x-amz-target": "DynamoDB_20120810.PutItem"}, "", b"{}", "PutItem", True),
    ("POST", {"x-amz-target": "DynamoDB_20120810.Query"}, "", b"{}", "Query", False),
    ("POST", {"x-amz-target": "DynamoDB_20120810.BatchGetItem"}, "", b"{}", "BatchGetItem", False),
    ("POST", {"x-amz-target": "DynamoDB_20120810.BatchWriteItem"}, "", b"{}", "BatchWriteItem", True),
    ("POST", {"x-amz-target": "Logs_20140328.PutLogEvents"}, "", b"{}", "PutLogEvents", False),
    ("POST", {"x-amz-target": "AmazonSQS.ReceiveMessage"}, "", b"{}", "ReceiveMessage", True),
    ("POST", {"x-amz-target": "secretsmanager.GetSecretValue"}, "", b"{}", "GetSecretValue", False),
    ("POST", {"x-amz-target": "TrentService.TagResource"}, "", b"{}", "TagResource", True),
    (
        "POST",
        {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        "",
        b"Action=CreateTopic&Name=x",
        "CreateTopic",
        True,
    ),
    (
        "POST",
        {"content-type": "application/x-www-form-urlencoded"},
        "",
        b"Name=x&Action=ListTopics",
        "ListTopics",
        False,
    ),
    ("GET", {}, "Action=Publish&Message=x", b"", "Publish", True),
]


@pytest.mark.parametrize(("method", "headers", "query", "body", "name", "meant"), REQUESTS)
def test_requests_that_change_something_are_told_from_those_that_read(
    method: str, headers: dict[str, str], query: str, body: bytes, name: str | None, meant: bool
) -> None:
    assert operation(method, headers, query, body) == name
    assert changes(method, name) is meant


@pytest.mark.parametrize(
    ("name", "status", "answer", "meant"),
    [
        ("PutItem", 200, b"{}", True),
        ("PutItem", 400, b"{}", False),
        ("ReceiveMessage", 200, b"{}", False),
        ("ReceiveMessage", 200, b'{"Messages": [{}]}', True),
        (None, 204, b"", True),
    ],
)
def test_what_was_refused_or_gave_nothing_has_changed_nothing(
    name: str | None, status: int, answer: bytes, meant: bool
) -> None:
    assert changed(name, status, answer) is meant

"""Plays operations against the local cloud in this process, and tells the state after repetitions, full and compacted.

A process of its own, since the local cloud replaces the clock: one line of JSON with operations in, one with the states
out. Neighbour: `test_compaction` thinks of the operations.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from treadle.local.cloud import sealed

sealed.install()

import boto3  # noqa: E402
import moto.moto_server.werkzeug_app as moto  # noqa: E402
from botocore.awsrequest import AWSResponse  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from moto.backends import get_backend  # noqa: E402
from moto.moto_api._internal import moto_api_backend  # noqa: E402

from treadle.local.cloud.journal import Journal  # noqa: E402
from treadle.local.cloud.living import kept  # noqa: E402
from treadle.local.cloud.server import Cloud, Deliveries  # noqa: E402

sealed.install_chance()
APP: Any = moto.DomainDispatcherApplication(moto.create_backend_app)
BUCKETS, TABLES, QUEUES = ("one", "two"), ("left", "right"), ("near", "far")


class Raw:
    """What botocore reads an answer's body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body

    def read(self, *_: Any) -> bytes:
        body, self._body = self._body, b""
        return body


class Bench:
    """Clients of a cloud in this process."""

    def __init__(self, folder: Path) -> None:
        reset()
        self.journal = Journal(folder)
        self.cloud = Cloud(APP, self.journal, Deliveries(lambda *_, **__: None, "http://127.0.0.1:1"))
        self.handles: list[tuple[str, str]] = []
        session = boto3.Session("local", "local", region_name="us-east-1")
        session.events.register("before-send", self._answer)
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        names = ("s3", "dynamodb", "sqs", "secretsmanager", "events", "ssm")
        clients = [session.client(each, endpoint_url="http://127.0.0.1:1", config=config) for each in names]
        self.s3, self.dynamodb, self.sqs, self.secrets, self.events, self.ssm = clients

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        parts, body = urlsplit(request.url), request.body or b""
        body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
        environ = {
            "REQUEST_METHOD": request.method,
            "PATH_INFO": unquote(parts.path),
            "RAW_URI": parts.path,
            "QUERY_STRING": parts.query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": Raw(body),
        }
        for name, value in request.headers.items():
            key = name.upper().replace("-", "_")
            text = value.decode() if isinstance(value, bytes) else str(value)
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = text
        environ["HTTP_HOST"] = "127.0.0.1:1"
        head: list[Any] = []
        answer = b"".join(self.cloud(environ, lambda status, headers, *_: head.append((status, headers))))
        status, headers = head[-1]
        return AWSResponse(request.url, int(status[:3]), {key.lower(): value for key, value in headers}, Raw(answer))

    def prepare(self) -> None:
        for bucket in BUCKETS:
            self.s3.create_bucket(Bucket=bucket)
        for table in TABLES:
            self.make_table(table)
        self.sqs.create_queue(QueueName="dead")
        policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dead", "maxReceiveCount": 2})
        self.sqs.create_queue(QueueName="near", Attributes={"RedrivePolicy": policy})
        self.sqs.create_queue(QueueName="far")
        self.secrets.create_secret(Name="token", SecretString="0")

    def make_table(self, table: str) -> None:
        self.dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def do(self, name: str, where: int, which: int, number: int) -> None:
        bucket, table, queue = BUCKETS[where], TABLES[where], QUEUES[where]
        key, other = f"k{which}", f"k{(which + 1) % 3}"
        item = {"id": {"S": key}, "n": {"N": str(number)}}
        url = f"http://127.0.0.1:1/123456789012/{queue}"
        match name:
            case "put":
                body = bytes([number]) * (100_000 if number > 250 else 10)
                self.s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"n": str(number)})
            case "put tagged":
                self.s3.put_object(Bucket=bucket, Key=key, Body=b"tagged", Tagging=f"n={number}")
            case "put if new":
                self.s3.put_object(Bucket=bucket, Key=key, Body=b"new", IfNoneMatch="*")
            case "delete":
                self.s3.delete_object(Bucket=bucket, Key=key)
            case "copy":
                source = {"Bucket": BUCKETS[number % 2], "Key": other}
                self.s3.copy_object(Bucket=bucket, Key=key, CopySource=source)
            case "tag":
                tags = {"TagSet": [{"Key": "n", "Value": str(number)}]}
                self.s3.put_object_tagging(Bucket=bucket, Key=key, Tagging=tags)
            case "parts":
                self.parts(bucket, key, number)
            case "empty":
                self.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}, {"Key": other}]})
            case "version":
                state = {"Status": "Enabled" if number % 2 else "Suspended"}
                self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=state)
            case "item":
                self.dynamodb.put_item(TableName=table, Item=item)
            case "item if":
                condition = "attribute_exists(id)" if number % 2 else "attribute_not_exists(id)"
                self.dynamodb.put_item(TableName=table, Item=item, ConditionExpression=condition)
            case "update":
                values = {":n": {"N": str(number)}}
                change = {"UpdateExpression": "ADD n :n", "ExpressionAttributeValues": values}
                self.dynamodb.update_item(TableName=table, Key={"id": item["id"]}, **change)
            case "remove":
                self.dynamodb.delete_item(TableName=table, Key={"id": item["id"]})
            case "batch":
                requests = [{"PutRequest": {"Item": item}}, {"DeleteRequest": {"Key": {"id": {"S": other}}}}]
                self.dynamodb.batch_write_item(RequestItems={table: requests})
            case "both":
                puts = [{"Put": {"TableName": each, "Item": item}} for each in TABLES]
                self.dynamodb.transact_write_items(TransactItems=puts)
            case "new table":
                self.dynamodb.delete_table(TableName=table)
                self.make_table(table)
            case "send":
                self.sqs.send_message(QueueUrl=url, MessageBody=str(number))
            case "send many":
                entries = [{"Id": str(each), "MessageBody": f"{number}.{each}"} for each in range(3)]
                self.sqs.send_message_batch(QueueUrl=url, Entries=entries)
            case "receive":
                names = ("near", "far", "dead")
                self.receive(f"http://127.0.0.1:1/123456789012/{names[which]}", 1 + number % 3, (number // 3) % 2 * 30)
            case "acknowledge" if self.handles:
                address, handle = self.handles[number % len(self.handles)]
                self.sqs.delete_message(QueueUrl=address, ReceiptHandle=handle)
            case "acknowledge many" if self.handles:
                address = self.handles[number % len(self.handles)][0]
                mine = [handle for each, handle in self.handles if each == address][-4:]
                entries = [{"Id": str(n), "ReceiptHandle": each} for n, each in enumerate([*mine, "wrong"])]
                self.sqs.delete_message_batch(QueueUrl=address, Entries=entries)
            case "show again" if self.handles:
                address, handle = self.handles[number % len(self.handles)]
                self.sqs.change_message_visibility(QueueUrl=address, ReceiptHandle=handle, VisibilityTimeout=0)
            case "purge":
                self.sqs.purge_queue(QueueUrl=url)
            case "secret":
                self.secrets.put_secret_value(SecretId="token", SecretString=str(number))
            case "rule":
                self.events.put_rule(Name=key, EventPattern=json.dumps({"source": [str(number)]}))
                target = {"Id": "t", "Arn": "arn:aws:sqs:us-east-1:123456789012:far"}
                self.events.put_targets(Rule=key, Targets=[target])
            case "parameter":
                self.ssm.put_parameter(Name=key, Value=str(number), Type="String", Overwrite=True)

    def parts(self, bucket: str, key: str, number: int) -> None:
        upload = self.s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        named = {"Bucket": bucket, "Key": key, "UploadId": upload}
        part = self.s3.upload_part(**named, PartNumber=1, Body=str(number).encode())
        if number % 3:
            done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            self.s3.complete_multipart_upload(**named, MultipartUpload=done)

    def receive(self, url: str, most: int, hidden: int) -> None:
        got = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=most, VisibilityTimeout=hidden)
        self.handles += [(url, each["ReceiptHandle"]) for each in got.get("Messages", [])]


def reset() -> None:
    moto_api_backend.reset()


def backend(name: str) -> Any:
    backends: Any = get_backend(name)  # pyright: ignore[reportArgumentType]
    return backends["123456789012"]["aws" if name == "s3" else "us-east-1"]


def state() -> Any:
    """All that can be seen, and the order of items."""
    s3, told = backend("s3"), {}
    told["buckets"] = {
        name: {
            "keys": [
                [str(each.name), str(getattr(each, "version_id", "")), str(getattr(each, "etag", "")),
                 str(each.last_modified), str(getattr(each, "metadata", "")), type(each).__name__,
                 str(s3.tagger.list_tags_for_resource(each.arn)) if hasattr(each, "arn") else ""]
                for versions in bucket.keys._iterlists() for _, listed in [versions] for each in listed
            ],
            "uploads": sorted(bucket.multiparts),
        }
        for name, bucket in s3.buckets.items()
    }  # fmt: skip
    told["tables"] = {
        name: [str(table.table_arn), [str(each.to_json()) for each in table.all_items()]]
        for name, table in backend("dynamodb").tables.items()
    }
    told["queues"] = {
        name: [
            [each.id, each.body, each.all_receipt_handles, each.approximate_receive_count, str(each.visible_at)]
            for each in queue._messages
        ]
        for name, queue in backend("sqs").queues.items()
    }
    told["secrets"] = [str(each.versions) for each in backend("secretsmanager").secrets.values()]
    buses = backend("events").event_buses.values()
    told["rules"] = [[str(r.event_pattern.dump()), str(r.targets)] for bus in buses for r in bus.rules.values()]
    told["parameters"] = [str(each.value) for name in ("k0", "k1", "k2") for each in backend("ssm")._parameters[name]]
    return json.loads(json.dumps(told, default=str))


def repeated(folder: Path, *, compact: bool) -> tuple[Any, int]:
    reset()
    journal = Journal(folder)
    dropped = journal.compact(kept, least=1) if compact else 0
    Cloud(APP, journal, Deliveries(lambda *_, **__: None, "http://127.0.0.1:1"))
    journal.close()
    return state(), dropped


def play(operations: list[list[Any]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        bench.prepare()
        for each in operations:
            with suppress(ClientError):
                bench.do(*each)
        bench.journal.close()
        lived = state()
        whole, _ = repeated(Path(name), compact=False)
        compacted, dropped = repeated(Path(name), compact=True)
        return {"lived": lived, "whole": whole, "compacted": compacted, "dropped": dropped}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(play(json.loads(line))), flush=True)

"""What a request of the journal does to the state, as far as it is known in every detail.

Owns telling objects, items and messages apart from everything else. What is not known here counts as touching
everything. Pure. Neighbour: `living` decides what follows. Sources: the APIs of S3, DynamoDB and SQS, and what moto
does with them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import unquote

from treadle.local.cloud.journal import Request
from treadle.local.cloud.operations import operation
from treadle.local.shapes import fields

Scope: TypeAlias = tuple[str, str, str]
"""A table, a bucket or a queue: service, region, name. Buckets have no region."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """It touches no table, bucket or message."""


@dataclass(frozen=True, slots=True)
class Everything:
    """It may read or change anything."""


@dataclass(frozen=True, slots=True)
class Begins:
    """It makes a table or bucket."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class Ends:
    """It deletes a table or bucket; `takes_all`: with all that is in it."""

    scope: Scope
    takes_all: bool


@dataclass(frozen=True, slots=True)
class Within:
    """It may read or change anything in these places, and nothing else."""

    scopes: tuple[Scope, ...]


@dataclass(frozen=True, slots=True)
class Apart:
    """From now on what happens in a place has effects elsewhere too: streams, versions, notifications."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class Of:
    """It concerns one item of a place alone: is all of it, takes it away, changes it, or adds what stays beside."""

    scope: Scope
    item: str
    does: Literal["replaces", "removes", "changes", "pins"]


@dataclass(frozen=True, slots=True)
class Messages:
    """It concerns messages of a queue: `sent` are ids, `received` ids with handles, `touched` and `deleted` handles."""

    queue: str
    sent: tuple[str, ...] = ()
    received: tuple[tuple[str, str], ...] = ()
    touched: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    ends_queue: bool = False


Trace: TypeAlias = Nothing | Everything | Begins | Ends | Within | Apart | Of | Messages

_SCOPE: Final = re.compile(r"Credential=[^/,\s]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_HERE: Final = re.compile(r"(localhost|[\d.]+|\[[\da-f:]+\])(:\d+)?")
_APART_FROM_IT_ALL: Final = frozenset(
    ["events", "iam", "kms", "logs", "monitoring", "scheduler", "secretsmanager", "sns", "ssm", "sts"]
)
"""Services that read no bucket, no table, and receive no message."""

_PLAIN_PUT: Final = frozenset(["TableName", "Item", "ReturnValues", "ReturnConsumedCapacity"])
_PLAIN_DELETE: Final = frozenset(["TableName", "Key", "ReturnValues", "ReturnConsumedCapacity"])
_QUIET_TABLE: Final = frozenset(["UpdateTimeToLive", "UpdateContinuousBackups", "CreateBackup", "PutResourcePolicy"])
_QUIET_BUCKET: Final = frozenset(
    ["acl", "cors", "encryption", "ownershipControls", "policy", "publicAccessBlock", "tagging"]
)
_PLAIN_HEADER: Final = re.compile(
    r"HTTP_X_AMZ_(META_.*|CHECKSUM_.*|SDK_CHECKSUM_ALGORITHM|CONTENT_SHA256|DATE|USER_AGENT|DECODED_CONTENT_LENGTH|TRAILER)"
)


class Traces:
    """Reads requests in their order: what a later one does may depend on an earlier one."""

    def __init__(self) -> None:
        self._keys: dict[Scope, tuple[str, ...]] = {}
        self._seen: set[Scope] = set()
        self._redriving: set[str] = set()
        self._sure = True

    @property
    def sure(self) -> bool:
        """Whether all requests were for one account: with others, nothing is what its name says."""
        return self._sure

    def of(self, request: Request) -> Trace:
        """What a request does."""
        environ = request.environ
        if "HTTP_X_MOTO_ACCOUNT_ID" in environ:
            self._sure = False
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        headers = {"x-amz-target": target, "content-type": environ.get("CONTENT_TYPE", "")}
        name = operation(environ["REQUEST_METHOD"], headers, environ.get("QUERY_STRING", ""), request.body)
        service, region = _service(environ)
        if target.startswith("DynamoDB_"):
            return self._table(str(name), request, region)
        if target.startswith("AmazonSQS."):
            return self._queue(str(name), request, region)
        if service == "s3" and name is None:
            return self._bucket(request)
        if service == "sts" and not re.search(rb"(?:%3A|:)123456789012(?:%3A|:)", request.body):
            self._sure = False
        if service in _APART_FROM_IT_ALL or service == "sqs":
            return Nothing()
        # It may have made places of which nobody knows how they are.
        self._seen.add(("", "", ""))
        return Everything()

    # ---- DynamoDB --------------------------------------------------------------------------------------------------

    def _table(self, name: str, request: Request, region: str) -> Trace:
        given = _object(request)

        def scope(table: Any) -> Scope:
            return "dynamodb", region, str(table).rpartition("/")[2]

        if name == "BatchWriteItem":
            return Within(tuple(scope(each) for each in given.get("RequestItems", {})))
        if "TableName" not in given:
            return Everything()
        place = scope(given["TableName"])
        if name == "CreateTable":
            self._keys[place] = tuple(str(each["AttributeName"]) for each in given["KeySchema"])
            streams = given.get("StreamSpecification", {}).get("StreamEnabled")
            return Apart(place) if streams or not self._new(place) else Begins(place)
        if name == "DeleteTable":
            self._seen.discard(place)
            return Ends(place, takes_all=True)
        if name in ("PutItem", "UpdateItem", "DeleteItem"):
            item = _key(given.get("Key") or given.get("Item") or {}, self._keys.get(place, ()))
            if item is None:
                return Within((place,))
            if name == "PutItem" and given.keys() <= _PLAIN_PUT:
                return Of(place, item, "replaces")
            if name == "DeleteItem" and given.keys() <= _PLAIN_DELETE:
                return Of(place, item, "removes")
            return Of(place, item, "changes")
        if name in _QUIET_TABLE or (name == "UpdateTable" and "StreamSpecification" not in given):
            return Within((place,))
        return Apart(place)

    # ---- S3 --------------------------------------------------------------------------------------------------------

    def _bucket(self, request: Request) -> Trace:
        environ = request.environ
        if not _HERE.fullmatch(environ.get("HTTP_HOST", "")):
            # The bucket may stand in the name of the host.
            return Everything()
        method = environ["REQUEST_METHOD"]
        bucket, _, key = environ.get("PATH_INFO", "").lstrip("/").partition("/")
        place: Scope = ("s3", "", bucket)
        query = {each.partition("=")[0] for each in environ.get("QUERY_STRING", "").split("&") if each}
        query = {each for each in query if not _signs(each)}
        if not bucket:
            return Everything()
        if not key:
            return self._whole_bucket(method, place, query, environ)
        if "HTTP_X_AMZ_COPY_SOURCE" in environ:
            source = unquote(environ["HTTP_X_AMZ_COPY_SOURCE"]).lstrip("/").partition("/")[0]
            return Within((place, ("s3", "", source)))
        if query or method not in ("PUT", "DELETE"):
            return Of(place, key, "pins")
        if method == "DELETE":
            return Of(place, key, "removes")
        if "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ:
            return Of(place, key, "changes")
        amazon = [each for each in environ if each.startswith("HTTP_X_AMZ_")]
        return Of(place, key, "replaces" if all(map(_PLAIN_HEADER.fullmatch, amazon)) else "pins")

    def _whole_bucket(self, method: str, place: Scope, query: set[str], environ: Mapping[str, str]) -> Trace:
        if not query:
            if method == "PUT":
                locked = "HTTP_X_AMZ_BUCKET_OBJECT_LOCK_ENABLED" in environ
                return Begins(place) if self._new(place) and not locked else Within((place,))
            if method == "DELETE":
                self._seen.discard(place)
                return Ends(place, takes_all=False)
        if method == "POST" and query == {"delete"}:
            return Within((place,))
        return Nothing() if query <= _QUIET_BUCKET else Apart(place)

    def _new(self, place: Scope) -> bool:
        new = place not in self._seen and ("", "", "") not in self._seen
        self._seen.add(place)
        return new

    # ---- SQS -------------------------------------------------------------------------------------------------------

    def _queue(self, name: str, request: Request, region: str) -> Trace:
        given, told = _object(request), request.told
        queue = f"{region}/{str(given.get('QueueUrl', given.get('QueueName'))).rpartition('/')[2]}"
        if "RedrivePolicy" in given.get("Attributes", {}):
            self._redriving.add(queue)
        if name == "StartMessageMoveTask":
            self._sure = False
        if queue.endswith(".fifo"):
            # Deduplication and order depend on what was there before.
            return Nothing()
        match name:
            case "SendMessage" | "SendMessageBatch":
                return Messages(queue, sent=told)
            case "ReceiveMessage":
                received = (each.partition(" ") for each in told)
                return Messages(queue, received=tuple((id, handle) for id, _, handle in received))
            case "DeleteMessage" | "ChangeMessageVisibility":
                handles = (str(given.get("ReceiptHandle")),)
                return Messages(queue, touched=handles, deleted=handles if name == "DeleteMessage" else ())
            case "DeleteMessageBatch" | "ChangeMessageVisibilityBatch":
                entries = {str(each.get("Id")): str(each.get("ReceiptHandle")) for each in given.get("Entries", [])}
                if name == "ChangeMessageVisibilityBatch":
                    return Messages(queue, touched=tuple(entries.values()))
                # What was not deleted is as it was.
                deleted = tuple(entries[each] for each in told if each in entries)
                return Messages(queue, touched=deleted, deleted=deleted)
            case "PurgeQueue" | "DeleteQueue":
                # A message that went to a dead letter queue is still there.
                return Messages(queue, ends_queue=queue not in self._redriving)
            case _:
                return Nothing()


def told_by(name: str | None, answer: bytes) -> tuple[str, ...]:
    """What must be kept of an answer for a request to be understood later: the ids of messages, and their handles."""
    if name not in ("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch"):
        return ()
    try:
        said: Any = json.loads(answer)
    except ValueError:
        # The Query protocol.
        return ()
    match name:
        case "SendMessage":
            return (str(said["MessageId"]),)
        case "SendMessageBatch":
            return tuple(str(each["MessageId"]) for each in said.get("Successful", []))
        case "ReceiveMessage":
            return tuple(f"{each['MessageId']} {each['ReceiptHandle']}" for each in said.get("Messages", []))
        case _:
            return tuple(str(each["Id"]) for each in said.get("Successful", []))


def _service(environ: Mapping[str, str]) -> tuple[str, str]:
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if found:
        return found[2], found[1]
    query = unquote(environ.get("QUERY_STRING", ""))
    signed = re.search(r"X-Amz-Credential=[^/&]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request", query)
    if signed:
        return signed[2], signed[1]
    return ("s3" if "AWSAccessKeyId=" in query else ""), ""


def _signs(name: str) -> bool:
    return name.lower().startswith("x-amz-") or name in ("AWSAccessKeyId", "Signature", "Expires", "x-id")


def _object(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    given: Any = json.loads(request.body)
    return fields(given)


def _key(attributes: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """The key of an item as text; None where two texts might be the same key."""
    values = [fields(attributes.get(each)) for each in names]
    if not values or not all(len(each) == 1 for each in values):
        return None
    if not all(_canonical(str(each["N"])) for each in values if "N" in each):
        return None
    return json.dumps(values, sort_keys=True)


def _canonical(number: str) -> bool:
    try:
        return str(int(Decimal(number))) == number
    except (InvalidOperation, ValueError, OverflowError):
        return False

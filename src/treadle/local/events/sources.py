"""Queues that feed functions: what an EventSourceMapping does.

Owns receiving, calling, and deleting what was worked off. A message is deleted after its function has succeeded: after
a kill it comes again. What the function failed at comes again once its visibility timeout has passed, and goes to the
dead letter queue as the queue says. Streams are not read here.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from treadle.errors import TreadleError
from treadle.functions import Functions
from treadle.language.scope import Json
from treadle.local.events.pattern import matches
from treadle.local.events.targets import function_of
from treadle.local.register import LocalRegister
from treadle.local.shapes import dig, fields, items

log = logging.getLogger("treadle.local")

_WAIT: Final = 5
"""Seconds of a long poll: also how long the end of one may take."""
_REST: Final = 1.0
"""Seconds of rest after a failure of the queue itself."""


class Sources:
    """Feeds functions. Run it as a task."""

    def __init__(self, register: LocalRegister, functions: Functions, client: Callable[[str], Any]) -> None:
        self._register, self._functions, self._client = register, functions, client
        self._feeding: dict[str, tuple[Mapping[str, Json], asyncio.Task[None]]] = {}

    async def run(self, changed: asyncio.Event) -> None:
        """Feed what the register says, until it is cancelled; `changed` is set when it says something else."""
        try:
            while True:
                self._follow()
                await changed.wait()
                changed.clear()
        finally:
            for _, task in self._feeding.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._feeding.values()), return_exceptions=True)

    def _follow(self) -> None:
        wanted = self._register.all("source")
        for key, (properties, task) in list(self._feeding.items()):
            if wanted.get(key) != properties:
                task.cancel()
                del self._feeding[key]
        for key, properties in wanted.items():
            arn = str(properties.get("EventSourceArn"))
            if key not in self._feeding and ":sqs:" in arn and str(properties.get("Enabled", True)).lower() != "false":
                self._feeding[key] = (properties, asyncio.create_task(self._feed(arn, properties)))

    async def _feed(self, arn: str, properties: Mapping[str, Json]) -> None:
        function = function_of(str(properties["FunctionName"]))
        size = min(int(properties.get("BatchSize", 10)), 10)
        partial = "ReportBatchItemFailures" in items(properties.get("FunctionResponseTypes"))
        filters = [_pattern(each) for each in items(dig(properties, "FilterCriteria", "Filters"))]
        sqs = self._client("sqs")
        while True:
            try:
                url = (await asyncio.to_thread(sqs.get_queue_url, QueueName=arn.rpartition(":")[2]))["QueueUrl"]
                received = await asyncio.to_thread(
                    sqs.receive_message,
                    QueueUrl=url,
                    MaxNumberOfMessages=size,
                    WaitTimeSeconds=_WAIT,
                    AttributeNames=["All"],
                    MessageAttributeNames=["All"],
                )
                messages = received.get("Messages", [])
                wanted = [each for each in messages if _passes(filters, _record(arn, each))]
                # Lambda 'Event filtering': what no filter lets pass is deleted.
                done = [each for each in messages if each not in wanted]
                if wanted:
                    done += await self._worked_off(arn, function, wanted, partial=partial)
                for each in done:
                    await asyncio.to_thread(sqs.delete_message, QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
            except Exception as error:
                log.warning("%s: the queue %s cannot be read: %s", function, arn, error)
                await asyncio.sleep(_REST)

    async def _worked_off(
        self, arn: str, function: str, messages: list[dict[str, Any]], *, partial: bool
    ) -> list[dict[str, Any]]:
        event = {"Records": [_record(arn, each) for each in messages]}
        try:
            invoked = await self._functions.invoke(function, json.dumps(event).encode())
        except TreadleError as error:
            log.warning("%s: was not called for a message of %s: %s", function, arn, error)
            await asyncio.sleep(_REST)
            return []
        if invoked.error is not None:
            log.warning(
                "%s: failed at a message of %s: %s", function, arn, invoked.payload[:200].decode(errors="replace")
            )
            return []
        if not partial:
            return messages
        failures = items(dig(json.loads(invoked.payload), "batchItemFailures"))
        failed = {fields(each).get("itemIdentifier") for each in failures}
        return [each for each in messages if each["MessageId"] not in failed]


def _pattern(given: Json) -> dict[str, Json]:
    pattern = fields(given).get("Pattern")
    return fields(json.loads(pattern) if isinstance(pattern, str) else pattern)


def _passes(filters: list[dict[str, Json]], record: dict[str, Any]) -> bool:
    """Whether a filter lets a record pass. Lambda 'Event filtering with SQS': a body of JSON is looked into."""
    try:
        body = json.loads(record["body"])
    except ValueError:
        body = record["body"]
    return not filters or any(matches(each, {**record, "body": body}) for each in filters)


def _record(arn: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as Lambda gives it. Source: Lambda 'Using Lambda with Amazon SQS'."""
    attributes: dict[str, Any] = {
        name: {
            "stringValue": value.get("StringValue"),
            "dataType": value["DataType"],
            "stringListValues": [],
            "binaryListValues": [],
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }

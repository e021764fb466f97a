"""Where events go: state machines, functions, queues, topics, streams, log groups, other buses.

Owns delivering one event to one target. A start of an execution is durable when this returns, and its name follows from
the event: delivering it again starts nothing twice. What is owed to a function is durable too, and made at least once.
Everything else goes through the endpoint. What a target refuses goes to its dead letter queue, if it has one, with the
reason.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from treadle.errors import ApiError
from treadle.language.scope import Json
from treadle.local.events.transform import input_of, picked
from treadle.local.shapes import dig, fields

log = logging.getLogger("treadle.local")

KINDS: Final = frozenset(["states", "lambda", "sqs", "sns", "kinesis", "logs", "events"])
"""Services, as ARNs name them, that a rule delivers to. An event for another bus stays with `rules`."""
SCHEDULED_KINDS: Final = frozenset(["states", "lambda", "sqs", "sns", "events"])
"""Those that a schedule of EventBridge Scheduler delivers to."""

Start: TypeAlias = Callable[[str, str, str], Awaitable[None]]
"""Starts an execution: the state machine's ARN, the name, the input as JSON text. Raises ApiError."""
Submit: TypeAlias = Callable[[str, bytes], Awaitable[object]]
"""Has a function invoked later, durably: its name, the event as JSON text. Raises TreadleError."""


class Targets:
    """Delivers events. `client` gives a client of a service, to be used in a thread."""

    def __init__(self, start: Start, submit: Submit, client: Callable[[str], Any]) -> None:
        self._start, self._submit, self._client = start, submit, client

    async def deliver(self, rule: str, target: Mapping[str, Json], event: Mapping[str, Json], name: str) -> None:
        """Deliver an event to a target of a rule. `name` is the same whenever this event is delivered again."""
        arn = str(target.get("Arn"))
        try:
            text = input_of(target, event, rule)
            match kind_of(arn):
                case "states":
                    await self._execute(arn, re.sub(r"[^A-Za-z0-9_-]", "-", name)[-80:], text)
                case "lambda":
                    await self._submit(function_of(arn), text.encode())
                case kind if kind in KINDS:
                    await asyncio.to_thread(_SENDERS[kind], self._client(kind), arn, text, target, event)
                case _:
                    raise ValueError("targets of this kind are not known here")
        except Exception as error:
            # One target that fails keeps no other from its event.
            log.warning("%s: the target %s did not take the event: %s", rule, arn, error)
            await self._bury(rule, target, event, error)

    async def _execute(self, arn: str, name: str, text: str) -> None:
        try:
            await self._start(arn, name, text)
        except ApiError as error:
            if error.code != "ExecutionAlreadyExists":
                raise

    async def _bury(self, rule: str, target: Mapping[str, Json], event: Mapping[str, Json], error: Exception) -> None:
        """EventBridge 'Using dead-letter queues': the event, with attributes that tell what became of it."""
        queue = dig(target, "DeadLetterConfig", "Arn")
        if not queue:
            return
        code = str(dig(getattr(error, "response", None), "Error", "Code") or getattr(error, "code", "SDK_CLIENT_ERROR"))
        told = {"RULE_ARN": rule, "TARGET_ARN": str(target.get("Arn")), "ERROR_CODE": code, "ERROR_MESSAGE": str(error)}
        attributes = {key: {"DataType": "String", "StringValue": value or "-"} for key, value in told.items()}
        try:
            await asyncio.to_thread(
                _to_queue, self._client("sqs"), str(queue), json.dumps(event), {}, event, MessageAttributes=attributes
            )
        except Exception as refused:
            log.warning("%s: the dead letter queue %s did not take the event: %s", rule, queue, refused)


def kind_of(arn: str) -> str:
    """The service of an ARN; empty where it is none."""
    return arn.split(":")[2] if arn.count(":") > 4 else ""


def function_of(arn: str) -> str:
    """The name of a function in an ARN, without its qualifier."""
    return arn.rpartition("function:")[2].partition(":")[0].partition("/")[0]


def _to_queue(
    sqs: Any, arn: str, text: str, target: Mapping[str, Json], event: Mapping[str, Json], **more: Any
) -> None:
    if arn.endswith(".fifo"):
        group = dig(target, "SqsParameters", "MessageGroupId")
        more |= {"MessageGroupId": group or "events", "MessageDeduplicationId": str(event["id"])}
    url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=text, **more)


def _to_topic(sns: Any, arn: str, text: str, target: Mapping[str, Json], event: Mapping[str, Json]) -> None:
    sns.publish(TopicArn=arn, Message=text)


def _to_stream(kinesis: Any, arn: str, text: str, target: Mapping[str, Json], event: Mapping[str, Json]) -> None:
    path = dig(target, "KinesisParameters", "PartitionKeyPath")
    key = picked(str(path), event) if path else None
    kinesis.put_record(StreamARN=arn, Data=text.encode(), PartitionKey=str(key or event["id"])[:256])


def _to_log(logs: Any, arn: str, text: str, target: Mapping[str, Json], event: Mapping[str, Json]) -> None:
    group, stream = arn.partition(":log-group:")[2].removesuffix(":*"), str(event["id"])
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    told = [{"timestamp": round(time.time() * 1000), "message": text}]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=told)


def _to_bus(events: Any, arn: str, text: str, target: Mapping[str, Json], event: Mapping[str, Json]) -> None:
    told = fields(target.get("EventBridgeParameters"))
    entry = {"EventBusName": arn.rpartition("/")[2], "Detail": text, **told}
    answer = events.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise ValueError(answer["Entries"][0]["ErrorMessage"])


_SENDERS: Final[Mapping[str, Callable[..., None]]] = {
    "sqs": _to_queue,
    "sns": _to_topic,
    "kinesis": _to_stream,
    "logs": _to_log,
    "events": _to_bus,
}

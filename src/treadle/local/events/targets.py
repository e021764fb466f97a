"""Where events go: state machines, functions, queues, topics.

Owns delivering one event to one target. A start of an execution is durable when this returns, and its name follows from
the event: delivering it again starts nothing twice. What is owed to a function is durable too, and made
at least once. Everything else goes through
the endpoint.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from treadle.errors import ApiError
from treadle.language.scope import Json
from treadle.local.events.transform import input_of
from treadle.local.shapes import dig

log = logging.getLogger("treadle.local")

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
        arn, text = str(target.get("Arn")), input_of(target, event, rule)
        service = arn.split(":")[2] if arn.count(":") > 4 else ""
        try:
            match service:
                case "states":
                    await self._execute(arn, re.sub(r"[^A-Za-z0-9_-]", "-", name)[-80:], text)
                case "lambda":
                    await self._submit(function_of(arn), text.encode())
                case "sqs":
                    group = dig(target, "SqsParameters", "MessageGroupId")
                    more = {"MessageGroupId": group} if group else {}
                    await asyncio.to_thread(self._send, arn, text, more)
                case "sns":
                    await asyncio.to_thread(lambda: self._client("sns").publish(TopicArn=arn, Message=text))
                case _:
                    log.warning("%s: the target %s is not known here: nothing was delivered", rule, arn)
        except Exception as error:
            # One target that fails keeps no other from its event.
            log.warning("%s: the target %s did not take the event: %s", rule, arn, error)

    async def _execute(self, arn: str, name: str, text: str) -> None:
        try:
            await self._start(arn, name, text)
        except ApiError as error:
            if error.code != "ExecutionAlreadyExists":
                raise

    def _send(self, arn: str, text: str, more: Mapping[str, Json]) -> None:
        sqs = self._client("sqs")
        url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=text, **more)


def function_of(arn: str) -> str:
    """The name of a function in an ARN, without its qualifier."""
    return arn.rpartition("function:")[2].partition(":")[0].partition("/")[0]

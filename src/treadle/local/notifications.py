"""Messages of topics for functions: the local cloud posts them here, and the function gets Lambda's event of them.

Owns the difference between the two forms. Source: SNS 'HTTP/HTTPS notification JSON format', Lambda 'Using Lambda with
Amazon SNS'.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Final

from treadle.errors import TreadleError
from treadle.functions import Functions
from treadle.local.asgi import BodyTooLarge, ClientGone, Receive, Scope, Send, answer, read_body
from treadle.local.shapes import fields

log = logging.getLogger("treadle.local")

PREFIX: Final = "/_treadle/sns"
_LIMIT: Final = 1024 * 1024


class Notifications:
    """The ASGI application below `/_treadle/sns`."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._calls: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a message; the function is called on its own."""
        try:
            message = fields(json.loads(await read_body(receive, _LIMIT)))
        except (BodyTooLarge, ClientGone, ValueError):
            await answer(send, 400, [])
            return
        function = scope["path"].removeprefix(f"{PREFIX}/")
        if message.get("Type") == "Notification":
            task = asyncio.create_task(self._call(function, message))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        await answer(send, 200, [])

    async def _call(self, function: str, message: dict[str, object]) -> None:
        told = {"UnsubscribeURL": "UnsubscribeUrl", "SigningCertURL": "SigningCertUrl"}
        notification = {told.get(key, key): value for key, value in message.items()}
        notification.setdefault("Subject", None)
        notification.setdefault("MessageAttributes", {})
        record = {
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": f"{message.get('TopicArn')}:{function}",
            "Sns": notification,
        }
        try:
            invoked = await self._functions.invoke(function, json.dumps({"Records": [record]}).encode())
        except TreadleError as error:
            log.warning("the function %s was not called for a topic's message: %s", function, error)
            return
        if invoked.error is not None:
            log.warning("the function %s failed at a topic's message: %s", function, invoked.payload[:200])

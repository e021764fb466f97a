"""Messages of topics for functions: the local cloud posts them here, and the function gets Lambda's event of them.

Owns the difference between the two forms. Source: SNS 'HTTP/HTTPS notification JSON format', Lambda 'Using Lambda with
Amazon SNS'.
"""

from __future__ import annotations

import json
import logging
from typing import Final

from treadle.api.asgi import BodyTooLarge, ClientGone, Receive, Scope, Send, answer, read_body
from treadle.errors import TreadleError
from treadle.language.scope import Json
from treadle.local.addresses import NOTIFICATIONS
from treadle.local.events.targets import Submit
from treadle.local.shapes import fields

log = logging.getLogger("treadle.local")

_LIMIT: Final = 1024 * 1024


class Notifications:
    """The ASGI application below `/_treadle/sns`."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a message; the function is called on its own, which is owed once this is answered."""
        try:
            message = fields(json.loads(await read_body(receive, _LIMIT)))
        except (BodyTooLarge, ClientGone, ValueError):
            await answer(send, 400, [])
            return
        function = scope["path"].removeprefix(f"{NOTIFICATIONS}/")
        if message.get("Type") == "Notification":
            try:
                await self._submit(function, _event(function, message))
            except TreadleError as error:
                log.warning("the function %s was not called for a topic's message: %s", function, error)
        await answer(send, 200, [])


def _event(function: str, message: dict[str, Json]) -> bytes:
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
    return json.dumps({"Records": [record]}).encode()

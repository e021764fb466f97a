"""Keys that STS gives out: whoever was given one may sign with it from then on.

Owns hearing of them as the answer passes, before the caller has it. They are kept in memory: after a restart a program
assumes its role again. Neighbour: `treadle.api.guard` lets in who signs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from datetime import datetime
from html import unescape
from typing import Any, Final, TypeAlias

from treadle.api.asgi import Receive, Scope, Send
from treadle.api.endpoint import Backend

Accept: TypeAlias = Callable[[str, str, str | None, float | None], None]
"""Takes a key: its id, its secret, the session's token, the moment at which it ends in seconds."""

_CREDENTIALS: Final = re.compile(rb"<Credentials>(.*?)</Credentials>", re.DOTALL)


class Issued:
    """An ASGI application that passes requests on to STS and has the keys in its answers accepted."""

    def __init__(self, rest: Backend, accept: Accept) -> None:
        self._rest, self._accept = rest, accept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        held: list[MutableMapping[str, Any]] = []

        async def hold(message: MutableMapping[str, Any]) -> None:
            held.append(message)

        await self._rest(scope, receive, hold)
        body = b"".join(each.get("body", b"") for each in held)
        for found in _CREDENTIALS.findall(body):
            told = dict(re.findall(r"<(\w+)>([^<]*)</\1>", found.decode()))
            until = datetime.fromisoformat(told["Expiration"]).timestamp() if "Expiration" in told else None
            self._accept(told["AccessKeyId"], unescape(told["SecretAccessKey"]), unescape(told["SessionToken"]), until)
        for each in held:
            await send(each)

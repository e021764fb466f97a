"""Lambda's API as an ASGI application.

Owns the bounds of a request and how errors are told; what operations do is theirs. Routed to by the scope of a
signature (`treadle.api.endpoint`), or alone.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

from treadle.api.app import collected, region_of, trace_of, while_connected
from treadle.api.asgi import ClientGone, Headers, Receive, Send
from treadle.errors import ApiError, StoreError
from treadle.lambda_api.operations import OPERATIONS
from treadle.lambda_api.protocol import Operation, Reply, members, operation, refusal, reply
from treadle.lambda_api.request import Lambda, Request

log = logging.getLogger("treadle.lambda_api")

REQUEST_BYTES: Final = 70_167_211
"""Lambda's own limit on CreateFunction: a zip of 50 MB in Base64, and what is around it."""
REQUESTS: Final = 2_000


class LambdaApp:
    """The API of Lambda."""

    def __init__(self, host: Lambda) -> None:
        self._host = host
        self._under_way = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        try:
            answer = await self._answered(scope, receive)
        except ClientGone:
            return
        headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Length": str(len(answer.body)), **answer.headers}
        if answer.status == 204:
            del headers["Content-Length"]
        raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answered(self, scope: Mapping[str, Any], receive: Receive) -> Reply:
        if self._under_way >= REQUESTS:
            return refusal(ApiError("TooManyRequestsException", "Rate Exceeded."))
        self._under_way += 1
        try:
            return await self._dispatched(scope, receive)
        except ApiError as error:
            return refusal(error)
        except StoreError as error:
            log.warning("the store refuses a request: %s", error)
            return refusal(ApiError("ServiceException", str(error)))
        finally:
            self._under_way -= 1

    async def _dispatched(self, scope: Mapping[str, Any], receive: Receive) -> Reply:
        headers: Headers = dict(scope["headers"])
        # A slash within a name is escaped, and must stay so until the path has been taken apart.
        path = scope["raw_path"].decode("latin-1").partition("?")[0]
        found = _route(scope["method"], path)
        body = await collected(headers, receive, REQUEST_BYTES)
        given = members(found, path, scope["query_string"], headers, body)
        request = Request(given, region_of(headers), self._host.account, trace_of(headers))
        work = OPERATIONS[found.name](self._host, request)
        return reply(found, await (while_connected(work, receive) if found.name == "Invoke" else work))


def _route(method: str, path: str) -> Operation:
    for name in OPERATIONS:
        found = operation(name)
        if found.method == method and found.path.fullmatch(path):
            return found
    raise ApiError("UnknownOperationException", f"There is no operation {method} {path[:200]} here.")

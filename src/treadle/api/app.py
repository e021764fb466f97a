"""The JSON protocol of AWS over ASGI: an operation in X-Amz-Target, JSON in, JSON out.

Owns what a request and an answer look like on the wire, and the bounds: the size of a request, how many are under way,
how deep its JSON may nest. Whatever is wrong with a request is told in AWS's words and never with a status of 500. What
operations do is theirs.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import msgspec

from treadle.api.asgi import BodyTooLarge, ClientGone, Headers, Receive, Send, read_body
from treadle.api.constraints import validate
from treadle.api.host import Host
from treadle.api.model import operation, status_of
from treadle.api.operations import LONG, OPERATIONS
from treadle.api.request import Answer, Request, present
from treadle.errors import ApiError, StoreError

log = logging.getLogger("treadle.api")

TARGET: Final = "AWSStepFunctions"
SERVICES: Final[Mapping[str, str]] = {TARGET: "states", "AWSLambda": "lambda"}
"""By the beginning of X-Amz-Target: how a signature names the service."""
BODY_SECONDS: Final = 30.0
"""How long a client may take to send a request."""
REGION: Final = "us-east-1"

_SCOPE: Final = re.compile(rb"Credential=[^/,\s]*/\d{8}/([a-z0-9-]{1,32})/([a-z0-9-]{1,64})/aws4_request")
_TYPE: Final = b"application/x-amz-json-1.0"


class StatesApp:
    """The API of Step Functions as an ASGI application."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._under_way = 0

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        headers: Headers = dict(scope["headers"])
        try:
            status, body = await self._answered(scope, headers, receive)
        except ClientGone:
            return
        await respond(send, status, body)

    async def _answered(self, scope: Mapping[str, Any], headers: Headers, receive: Receive) -> tuple[int, bytes]:
        self._under_way += 1
        try:
            return await self._dispatched(scope, headers, receive)
        except ApiError as error:
            return error_answer(error)
        except StoreError as error:
            # AWS: what may be repeated is told with a status of 503, which its SDKs do repeat.
            log.warning("the store refuses a request: %s", error)
            return 503, _written({"__type": "ServiceUnavailableException", "message": str(error)})
        finally:
            self._under_way -= 1

    async def _dispatched(self, scope: Mapping[str, Any], headers: Headers, receive: Receive) -> tuple[int, bytes]:
        if scope["method"] != "POST":
            raise ApiError("UnknownOperationException", "Step Functions takes POST requests alone.")
        name = target_of(headers)
        known = operation(name)
        handler = OPERATIONS.get(name)
        if known is None or handler is None:
            raise ApiError("UnknownOperationException", f"There is no operation {name!r}.")
        if self._under_way > self._host.quotas.requests:
            raise self._host.rates.refusal(name)
        self._host.rates.take(name)
        body = await collected(headers, receive, self._host.quotas.request_bytes)
        given = validate(known.check, _parsed(body))
        request = Request(name, given, region_of(headers), self._host.account, trace_of(headers))
        if name in LONG:
            with self._host.polls.open(name):
                answer = await while_connected(handler(self._host, request), receive)
        else:
            answer = await handler(self._host, request)
        return 200, _written(present(answer))


def target_of(headers: Headers) -> str:
    """The operation that X-Amz-Target names."""
    service, _, name = headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")
    if service != TARGET or not name:
        raise ApiError("UnknownOperationException", f"X-Amz-Target must be {TARGET}.<operation>.")
    return name


def region_of(headers: Headers) -> str:
    """The region that a request is signed for."""
    return scope_of(headers)[0] or REGION


def trace_of(headers: Headers) -> str | None:
    """The trace that a request belongs to: the header of X-Ray, as far as it is printable."""
    header = headers.get(b"x-amzn-trace-id", b"").decode("ascii", "ignore")[:256]
    return header if header.isprintable() and header else None


def scope_of(headers: Headers) -> tuple[str | None, str | None]:
    """Region and service of a request's signature (AWS Signature Version 4)."""
    found = _SCOPE.search(headers.get(b"authorization", b""))
    return (found[1].decode(), found[2].decode()) if found else (None, None)


async def collected(headers: Headers, receive: Receive, most: int) -> bytes:
    """The body of a request, of so many bytes at the most.

    Raises ApiError for one that is too long or comes too slowly, ClientGone.
    """
    announced = headers.get(b"content-length", b"0")
    try:
        if not announced.isdigit() or int(announced) > most:
            raise BodyTooLarge
        async with asyncio.timeout(BODY_SECONDS):
            return await read_body(receive, most)
    except BodyTooLarge:
        raise ApiError("RequestEntityTooLargeException", f"A request has {most} bytes at the most.") from None
    except TimeoutError:
        raise ApiError("RequestTimeoutException", f"The request took longer than {BODY_SECONDS:g} s.") from None


def _parsed(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body or b"{}")
    except RecursionError:
        raise ApiError("SerializationException", "The JSON of the request is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError("SerializationException", f"The request is not JSON: {error}") from None


async def while_connected(work: Awaitable[Answer], receive: Receive) -> Answer:
    """What a long operation gives, as long as somebody waits for it."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()


def error_answer(error: ApiError) -> tuple[int, bytes]:
    """Status and body that tell of an error."""
    return status_of(error.code), _written({"__type": error.code, "message": error.message, **error.details})


def _written(answer: Any) -> bytes:
    return msgspec.json.encode(answer)


async def respond(send: Send, status: int, body: bytes, type: bytes = _TYPE) -> None:
    """Send an answer."""
    request_id = str(uuid.uuid4()).encode()
    headers = [(b"content-type", type), (b"content-length", str(len(body)).encode()), (b"x-amzn-requestid", request_id)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

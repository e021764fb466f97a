"""One invocation on its way to a handler: what Lambda tells the runtime beside the event.

Neighbours: `runtime_api` writes it as HTTP headers, `in_process` hands it over directly.
"""

from __future__ import annotations

import json
import random
import re
import time
import uuid
from dataclasses import dataclass

from treadle.functions.contract import REQUEST_LIMIT, InvalidRequest, RequestTooLarge

_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Request:
    """An invocation. `client_context` is JSON on one line, of ASCII alone."""

    id: str
    payload: bytes
    arn: str
    trace_id: str
    client_context: str | None

    def deadline(self, timeout: float) -> int:
        """When an invocation that starts now must have ended, in milliseconds since the epoch."""
        return int((time.time() + timeout) * 1000)


def request(arn: str, payload: bytes, trace_id: str | None, client_context: bytes | None) -> Request:
    """A new request with an id of its own; raises FunctionError for what Lambda's API refuses."""
    if len(payload) > REQUEST_LIMIT:
        raise RequestTooLarge(len(payload))
    if trace_id is not None and not _HEADER_VALUE.fullmatch(trace_id):
        raise InvalidRequest("the trace id must be printable ASCII on one line")
    # Nobody trusts a request id, so it need not cost a call of the system.
    id = uuid.UUID(int=random.getrandbits(128), version=4)
    return Request(
        id=str(id),
        # Lambda gives a handler {} where the call has no payload.
        payload=payload or b"{}",
        arn=arn,
        trace_id=trace_id or f"Root=1-{int(time.time()):08x}-{id.hex[:24]};Sampled=0",
        client_context=None if client_context is None else _on_one_line(client_context),
    )


def _on_one_line(client_context: bytes) -> str:
    try:
        value = json.loads(client_context)
    except ValueError as error:
        raise InvalidRequest(f"Client context must be a valid Base64-encoded JSON object: {error}") from None
    if not isinstance(value, dict):
        raise InvalidRequest("Client context must be a valid Base64-encoded JSON object.")
    return json.dumps(value)

"""One invocation on its way to a handler: what Lambda tells the runtime beside the event.

Neighbours: `runtime_api` writes it as HTTP headers, `in_process` hands it over directly.
"""

from __future__ import annotations

import json
import random
import re
import time

import msgspec

from treadle.functions.contract import REQUEST_LIMIT, InvalidRequest, RequestTooLarge

_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")


class Request(msgspec.Struct, frozen=True, gc=False):
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
    # Nobody trusts a request id, so it need not cost a call of the system. It is a UUID of version 4.
    digits = f"{random.getrandbits(128):032x}"
    digits = f"{digits[:12]}4{digits[13:16]}{'89ab'[int(digits[16], 16) & 3]}{digits[17:]}"
    return Request(
        id=f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}",
        # Lambda gives a handler {} where the call has no payload.
        payload=payload or b"{}",
        arn=arn,
        trace_id=trace_id or f"Root=1-{int(time.time()):08x}-{digits[:24]};Sampled=0",
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

"""Invoke: call a function now, later, or not at all. AWS Lambda 'Invoke'."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from treadle.errors import ApiError
from treadle.functions.contract import VERSION, FunctionError, FunctionNotFound
from treadle.lambda_api.functions import resolved
from treadle.lambda_api.request import Answer, Lambda, Request, function_of, no_function

_EVENT_LIMIT: Final = 1_048_576
"""Lambda 'Quotas', invocation payload: bytes of an asynchronous one."""


async def invoke(host: Lambda, request: Request) -> Answer:
    """Invoke."""
    given = request.given
    name, qualifier = request.function
    payload: bytes = given.get("Payload", b"")
    context = _context(given.get("ClientContext"))
    _check_payload(payload)
    try:
        match given.get("InvocationType", "RequestResponse"):
            case "DryRun":
                if host.registry.found(name) is None:
                    resolved(function_of(host, request), request)
                return {"StatusCode": 204}
            case "Event":
                if len(payload) > _EVENT_LIMIT:
                    raise ApiError(
                        "RequestTooLargeException",
                        f"{len(payload)} byte payload is too large for the Event invocation type "
                        f"(limit {_EVENT_LIMIT} bytes)",
                    )
                await host.registry.submit(name, payload, qualifier=qualifier, client_context=context)
                return {"StatusCode": 202}
            case _:
                invoked = await host.registry.invoke(
                    name, payload, qualifier=qualifier, trace_id=request.trace, client_context=context
                )
    except FunctionNotFound:
        raise no_function(request, name, qualifier) from None
    except FunctionError as error:
        raise ApiError(error.code, str(error)) from None
    return {
        "StatusCode": 200,
        "FunctionError": invoked.error,
        "LogResult": invoked.log_result if given.get("LogType") == "Tail" else None,
        "ExecutedVersion": invoked.version or VERSION,
        "Payload": invoked.payload,
    }


def _context(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ApiError(
            "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."
        ) from None


def _check_payload(payload: bytes) -> None:
    try:
        msgspec.json.decode(payload or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError("InvalidRequestContentException", f"Could not parse request body into json: {error}") from None

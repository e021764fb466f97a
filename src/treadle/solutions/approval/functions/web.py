"""Requests and answers of an HTTP API (payload format 2.0), as every function here has them.

Owns reading the event, the limits on it, and the shape of an answer. A refusal is an exception, so that a check stands
in one line where it is made. Never logs a header or a body: both may hold secrets. Source: API Gateway 'Working with
AWS Lambda proxy integrations for HTTP APIs'.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LARGEST_BODY = 256 * 1024

log = logging.getLogger("approval")
log.setLevel(logging.INFO)


@dataclass(frozen=True)
class Request:
    """What came. Header names are lower case; `raw` is the body as it was signed."""

    headers: Mapping[str, str]
    raw: bytes
    id: str

    def json(self) -> dict[str, Any]:
        """The body as an object."""
        try:
            body = json.loads(self.raw)
        except (ValueError, RecursionError):
            raise Refusal(400, "InvalidBody", "The body is not JSON.") from None
        if not isinstance(body, dict):
            raise Refusal(400, "InvalidBody", "The body must be a JSON object.")
        return body  # pyright: ignore[reportUnknownVariableType]


class Refusal(Exception):
    """A request that is not served: the status, a code for machines and a message for people."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


def serve(event: dict[str, Any], work: Callable[[Request], dict[str, Any]]) -> dict[str, Any]:
    """The answer to an event: what `work` gives as 200, a refusal as its own status."""
    try:
        request = _read(event)
        return _answer(200, work(request))
    except Refusal as refusal:
        log.info(json.dumps({"refused": refusal.status, "code": refusal.code}))
        return _answer(refusal.status, {"error": refusal.code, "message": refusal.message, **refusal.more})


def _read(event: dict[str, Any]) -> Request:
    headers = {str(name).lower(): str(value) for name, value in object_of(event.get("headers")).items()}
    text = event.get("body") or ""
    try:
        raw = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, ValueError):
        raise Refusal(400, "InvalidBody", "The body is not Base64.") from None
    if len(raw) > LARGEST_BODY:
        raise Refusal(413, "TooLarge", f"The body has more than {LARGEST_BODY} bytes.")
    return Request(headers, raw, str(object_of(event.get("requestContext")).get("requestId", "")))


def object_of(value: Any) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _answer(status: int, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status in (409, 503) and "retry_after" in body:
        headers["retry-after"] = str(body["retry_after"])
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}

"""How a request is turned away before any backend sees it: an error in the protocol of the service that it was for.

Owns the forms: JSON by X-Amz-Target, JSON of REST, XML of queries, XML of S3. Neighbours: `guard` and `endpoint` say
why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from xml.sax.saxutils import escape

import msgspec


class Refused(Exception):
    """A request that is not let in, with its answer."""

    def __init__(self, status: int, type: bytes, body: bytes) -> None:
        super().__init__(status)
        self.status, self.type, self.body = status, type, body


class Codes(NamedTuple):
    """What an error is called in services of JSON, in those of XML, and in S3."""

    json: str
    xml: str
    s3: str


def refusal(
    service: str | None, method: str, header: Callable[[str], str | None], status: int, codes: Codes, message: str
) -> Refused:
    """The answer to a request, by the service that its signature names and its headers."""
    if header("x-amz-target") is not None:
        body = msgspec.json.encode({"__type": codes.json, "message": message})
        return Refused(400, b"application/x-amz-json-1.0", body)
    if service == "s3" or (service is None and method != "POST"):
        body = f"<Error><Code>{codes.s3}</Code><Message>{escape(message)}</Message></Error>"
        return Refused(status, b"application/xml", body.encode())
    if (header("content-type") or "").startswith("application/x-www-form-urlencoded"):
        body = f"<Error><Type>Sender</Type><Code>{codes.xml}</Code><Message>{escape(message)}</Message></Error>"
        return Refused(status, b"text/xml", f"<ErrorResponse>{body}</ErrorResponse>".encode())
    return Refused(status, b"application/json", msgspec.json.encode({"__type": codes.json, "message": message}))

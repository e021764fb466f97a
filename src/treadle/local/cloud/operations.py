"""Which requests to the local cloud change something, and must be kept before they are answered.

Owns telling them apart by protocol. Pure. A request that nobody knows counts as one that changes something: to repeat a
reading one does no harm, to forget a change would.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

_READS: Final = re.compile(
    r"(?:List|Describe|Get|Head|BatchGet|TransactGet|Query|Scan|Search|Lookup|Filter|Check|Test|Validate|Simulate|"
    r"Estimate|Decrypt|Encrypt|ReEncrypt|GenerateData|GenerateRandom|Sign|Verify|Select)(?![a-z])"
)

NOT_KEPT: Final = frozenset(["PutLogEvents", "PutMetricData", "PutTraceSegments", "PutTelemetryRecords", "PutEvents"])
"""What is observed, not asked for later: it is lost when the local cloud stops."""

_READING_METHODS: Final = frozenset(["GET", "HEAD", "OPTIONS"])
FORM: Final = "application/x-www-form-urlencoded"


def operation(method: str, headers: Mapping[str, str], query: str, body: bytes) -> str | None:
    """The name of a request's operation in the JSON and Query protocols; None in REST. Header names are lower case."""
    target = headers.get("x-amz-target")
    if target:
        return target.rpartition(".")[2]
    if "Action=" in query:
        return parse_qs(query).get("Action", [None])[0]
    if method == "POST" and headers.get("content-type", "").startswith(FORM):
        named = re.search(rb"(?:^|&)Action=([A-Za-z]+)", body)
        return named[1].decode("ascii") if named else None
    return None


def changes(method: str, name: str | None) -> bool:
    """Whether a request may change something."""
    if name is not None:
        return not _READS.match(name) and name not in NOT_KEPT
    return method not in _READING_METHODS


def changed(name: str | None, status: int, answer: bytes) -> bool:
    """Whether a request that was made did change something. One that was refused did not."""
    if status >= 400:
        return False
    # Receiving hides messages; receiving none, which is what most polls do, changes nothing.
    return name != "ReceiveMessage" or b'"Messages"' in answer or b"<Message>" in answer


def wait_of(name: str | None, body: bytes) -> tuple[float | None, bytes]:
    """How long a ReceiveMessage waits and the request without the wait; None where it does not say."""
    if name != "ReceiveMessage" or not body.startswith(b"{"):
        return 0.0, body
    request = json.loads(body)
    wait = request.get("WaitTimeSeconds")
    return None if wait is None else float(wait), json.dumps({**request, "WaitTimeSeconds": 0}).encode()

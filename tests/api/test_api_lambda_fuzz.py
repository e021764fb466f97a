"""Requests to the API of Lambda that nobody would send: the answer is never a fault of the server.

They are made from botocore's model of Lambda: the paths of its operations with names of all kinds, and bodies that fit,
nearly fit or do not. TREADLE_DEEP=1 sends 2,000 instead of 100.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.session
from api_serving import Served
from botocore.model import ServiceModel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_api_fuzz import SECONDS, anything, values

from treadle.lambda_api.operations import OPERATIONS

DEEP = os.environ.get("TREADLE_DEEP") == "1"
SIGNED = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00"
NAMES = [
    "f",
    "f:1",
    "f:$LATEST",
    "arn:aws:lambda:us-east-1:123456789012:function:f",
    "arn:aws:lambda:us-east-1:123456789012:function:f:live",
    "..",
    "é",
    "%",
    "a/b",
    "x" * 200,
    "\x00",
]


@cache
def service() -> ServiceModel:
    return botocore.session.get_session().get_service_model("lambda")


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body and headers."""
    operation = service().operation_model(draw(st.sampled_from(sorted(OPERATIONS))))
    method, uri = operation.http["method"], operation.http["requestUri"]
    path = re.sub(r"\{[^}]+\}", lambda _: quote(draw(st.sampled_from(NAMES)), safe=""), uri)
    if draw(st.booleans()):
        path += "?" + draw(st.sampled_from(["Qualifier=1", "Qualifier=", "MaxItems=x", "Marker=%00", "%", "&&="]))
    # Blobs travel as text, or are the body.
    body = json.dumps(draw(values(operation.input_shape) if operation.input_shape else anything)).encode()
    match draw(st.integers(0, 7)):
        case 0:
            body = draw(st.binary(max_size=60))
        case 1:
            body = body[: draw(st.integers(0, len(body)))]
        case 2:
            body = json.dumps(draw(anything)).encode()
        case 3:
            method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]))
        case _:
            pass
    headers = {"Authorization": SIGNED}
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["RequestResponse", "Event", "DryRun", "no such"]))
        headers |= {
            "X-Amz-Invocation-Type": kind,
            "X-Amz-Client-Context": draw(st.sampled_from(["e30=", "!", "bnVsbA=="])),
        }
    return method, path, body, headers


@settings(
    max_examples=2_000 if DEEP else 100,
    deadline=None,
    derandomize=not DEEP,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(request=requests())
def test_whatever_is_asked_of_lambda_it_is_no_fault_of_the_server(
    served: Served, request: tuple[str, str, bytes, dict[str, str]]
) -> None:
    method, path, body, headers = request
    connection = http.client.HTTPConnection(urlsplit(served.endpoint).netloc, timeout=SECONDS)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        told: Any = answer.read()
    finally:
        connection.close()
    assert answer.status < 500, (answer.status, told)
    if answer.status >= 400:
        assert answer.getheader("x-amzn-errortype") or json.loads(told)["__type"], told

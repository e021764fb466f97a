"""The words of Lambda: what an answer, a request and an error look like."""

from __future__ import annotations

import base64
import json

import pytest

from treadle.functions import InvalidRequest, Invoked, RequestTooLarge
from treadle.functions.contract import LOG_RESULT_LIMIT, REQUEST_LIMIT, RESPONSE_LIMIT
from treadle.functions.outcome import exited, out_of_memory, returned, timed_out
from treadle.functions.request import request


@pytest.mark.parametrize("log", ["", "one\n", "no end of line"])
def test_a_log_result_frames_the_log_as_lambda_does(log: str) -> None:
    invoked = Invoked(b"{}", None, log, "id-1", duration=0.00123, memory_mb=256, memory_used_mb=40)
    assert base64.b64decode(invoked.log_result).decode() == (
        "START RequestId: id-1 Version: $LATEST\n"
        + (log and log.rstrip("\n") + "\n")
        + "END RequestId: id-1\n"
        + "REPORT RequestId: id-1\tDuration: 1.23 ms\tBilled Duration: 2 ms\t"
        + "Memory Size: 256 MB\tMax Memory Used: 40 MB\t\n"
    )


def test_a_log_result_is_the_last_4_kb() -> None:
    result = base64.b64decode(Invoked(b"{}", None, "x" * 10_000, "id-1").log_result)
    assert len(result) == LOG_RESULT_LIMIT
    assert result.startswith(b"xxx")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "Runtime exited without providing a reason"),
        (1, "Runtime exited with error: exit status 1"),
        (137, "Runtime exited with error: exit status 137"),
        (-9, "Runtime exited with error: signal: killed"),
        (-15, "Runtime exited with error: signal: terminated"),
        (-6, "Runtime exited with error: signal: aborted"),
    ],
)
def test_an_exit_is_told_in_lambdas_words(status: int, words: str) -> None:
    message = f"RequestId: id-1 Error: {words}"
    assert exited("id-1", status).payload == b'{"errorType":"Runtime.ExitError","errorMessage":"%s"}' % message.encode()


def test_the_other_ends_are_told_in_lambdas_words() -> None:
    assert json.loads(timed_out("id-1", 3).payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: id-1 Error: Task timed out after 3.00 seconds",
    }
    assert json.loads(out_of_memory("id-1").payload) == {
        "errorType": "Runtime.OutOfMemory",
        "errorMessage": "RequestId: id-1 Error: Runtime exited with error: signal: killed",
    }
    assert returned(b"x" * RESPONSE_LIMIT).error is None
    assert json.loads(returned(b"x" * (RESPONSE_LIMIT + 1)).payload)["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_request_has_an_id_of_its_own() -> None:
    assert request("arn", b"1", None, None).id != request("arn", b"1", None, None).id


def test_a_client_context_becomes_one_line_of_ascii() -> None:
    context = request("arn", b"1", None, '{\n"custom": {"k": "é\\r\\n"}}'.encode()).client_context
    assert context == '{"custom": {"k": "\\u00e9\\r\\n"}}'


@pytest.mark.parametrize("context", [b"", b"{", b"[]", b"1", b"\xff"])
def test_a_client_context_that_is_no_object_is_refused(context: bytes) -> None:
    with pytest.raises(InvalidRequest):
        request("arn", b"1", None, context)


@pytest.mark.parametrize("trace_id", ["a\r\nb: c", "é", "\0"])
def test_a_trace_id_that_is_no_header_is_refused(trace_id: str) -> None:
    with pytest.raises(InvalidRequest):
        request("arn", b"1", trace_id, None)


def test_a_payload_of_more_than_6_mb_is_refused() -> None:
    request("arn", b"x" * REQUEST_LIMIT, None, None)
    with pytest.raises(RequestTooLarge, match="6291457 byte payload is too large"):
        request("arn", b"x" * (REQUEST_LIMIT + 1), None, None)

"""The answers that Lambda gives in place of a function that cannot give one, in Lambda's own words.

Pure. `worker` and `in_process` decide which of them applies.
"""

from __future__ import annotations

import json
import signal
import time

import msgspec

from treadle.functions.contract import RESPONSE_LIMIT, ErrorKind


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer to one invocation, and what Lambda itself adds to the log."""

    payload: bytes
    error: ErrorKind | None = None
    log_line: str = ""


def returned(payload: bytes) -> Outcome:
    """The handler's result; an error instead where it is larger than Lambda lets through."""
    if len(payload) <= RESPONSE_LIMIT:
        return Outcome(payload)
    return response_too_large()


def failed(payload: bytes) -> Outcome:
    """The error that the runtime reported."""
    return Outcome(payload, "Unhandled")


def response_too_large() -> Outcome:
    """More than 6 MB of result."""
    message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
    return _fault("Function.ResponseSizeTooLarge", message)


def timed_out(request_id: str, limit: float) -> Outcome:
    """The time limit in seconds passed, of the start or of the invocation."""
    message = f"Task timed out after {limit:.2f} seconds"
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    return _fault(
        "Sandbox.Timedout", f"RequestId: {request_id} Error: {message}", f"{stamp} {request_id} {message}\n\n"
    )


def exited(request_id: str, status: int) -> Outcome:
    """The process ended by itself; a negative status is the signal that ended it."""
    return _exit_fault("Runtime.ExitError", request_id, _way_out(status))


def out_of_memory(request_id: str) -> Outcome:
    """The process was killed at its memory limit."""
    return _exit_fault("Runtime.OutOfMemory", request_id, _way_out(-signal.SIGKILL))


def _way_out(status: int) -> str:
    if status == 0:
        return "without providing a reason"
    if status > 0:
        return f"with error: exit status {status}"
    return f"with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"


def _exit_fault(type: str, request_id: str, way_out: str) -> Outcome:
    message = f"RequestId: {request_id} Error: Runtime exited {way_out}"
    return _fault(type, message, f"{message}\n{type}\n")


def _fault(type: str, message: str, log_line: str = "") -> Outcome:
    payload = json.dumps({"errorType": type, "errorMessage": message}, separators=(",", ":"))
    return Outcome(payload.encode(), "Unhandled", log_line)

"""What running a function means to its caller: the `Functions` protocol, its answer, the errors it raises.

Owns the words; runs nothing. `ProcessFunctions` and `InProcessFunctions` are the two implementations.

A handler's effects happen inside `invoke`, and each `invoke` calls the handler at most once: a process that dies in the
middle is never asked again on its own. Whoever must have the effect at least once calls `invoke` again (the engine does
so for a task that was under way when it died), so a handler that must not act twice compares an idempotency key in its
event, as it would on AWS.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from treadle.errors import TreadleError

# Lambda 'Quotas': 6 MB each. The limit of a response is 100 bytes larger than that of a request, in Lambda's own words.
REQUEST_LIMIT: Final = 6_291_456
RESPONSE_LIMIT: Final = 6_291_556

# Lambda 'Invoke', LogType: "the last 4 KB of the execution log".
LOG_RESULT_LIMIT: Final = 4096

VERSION: Final = "$LATEST"

ErrorKind: TypeAlias = Literal["Handled", "Unhandled"]
"""Lambda's FunctionError. All current runtimes give "Unhandled", whether the handler raised or its process died."""


class Invoked(msgspec.Struct, frozen=True, gc=False):
    """What became of one invocation.

    `payload` is JSON: the handler's result, or an object with `errorType` and `errorMessage` where `error` is set.
    `log` is what the process wrote to stdout and stderr since its invocation before, or since its start; of it the
    newest 256 KiB. `duration` is in seconds, without a cold start. `memory_used_mb` is the most that was seen of the
    process, 0 where nobody looked.
    """

    payload: bytes
    error: ErrorKind | None
    log: str
    request_id: str
    version: str = VERSION
    duration: float = 0.0
    memory_mb: int = 128
    memory_used_mb: int = 0

    @property
    def log_result(self) -> str:
        """Lambda's LogResult: the last 4 KB of the log with its START, END and REPORT lines, in base64."""
        milliseconds = self.duration * 1000
        text = (
            f"START RequestId: {self.request_id} Version: {self.version}\n"
            f"{self.log}{'' if self.log.endswith(chr(10)) or not self.log else chr(10)}"
            f"END RequestId: {self.request_id}\n"
            f"REPORT RequestId: {self.request_id}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {math.ceil(milliseconds)} ms\tMemory Size: {self.memory_mb} MB\t"
            f"Max Memory Used: {self.memory_used_mb} MB\t\n"
        )
        return base64.b64encode(text.encode()[-LOG_RESULT_LIMIT:]).decode("ascii")


class Functions(Protocol):
    """Runs functions by name."""

    async def invoke(
        self,
        name: str,
        payload: bytes,
        *,
        qualifier: str | None = None,
        trace_id: str | None = None,
        client_context: bytes | None = None,
    ) -> Invoked:
        """Call a function's handler once with a JSON payload and wait for the end of it.

        `qualifier` names a version or alias. Functions that have no versions have one code for all of them; the handler
        finds it in the ARN that it was called by.

        What goes wrong within the function is in the answer; raised is only what keeps it from being called: a
        FunctionError. When cancelled, the handler is stopped as far as that is possible.
        """
        ...

    def names(self) -> Collection[str]:
        """The functions there are."""
        ...

    async def close(self) -> None:
        """Stop everything that runs; calls under way raise FunctionsClosed."""
        ...


@runtime_checkable
class Asynchronous(Protocol):
    """Functions that also take an invocation to be made later."""

    async def submit(
        self, name: str, payload: bytes, *, qualifier: str | None = None, client_context: bytes | None = None
    ) -> str:
        """Keep an invocation, durably, and give its request id. Raises FunctionError."""
        ...


def qualified(name: str, qualifier: str | None) -> str:
    """A function's name with its version or alias, where one is asked for."""
    return name if qualifier is None else f"{name}:{qualifier}"


class FunctionError(TreadleError):
    """A function that was not called. `code` is what Lambda's API calls it, `status` the one of HTTP."""

    code = "ServiceException"
    status = 500


class FunctionNotFound(FunctionError):
    """There is no function of this name."""

    code = "ResourceNotFoundException"
    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"Function not found: {name}")
        self.name = name


class FunctionBusy(FunctionError):
    """As many invocations are under way as there may be."""

    code = "TooManyRequestsException"
    status = 429

    def __init__(self, name: str) -> None:
        super().__init__("Rate Exceeded.")
        self.name = name


class RequestTooLarge(FunctionError):
    """A payload of more than 6 MB."""

    code = "RequestTooLargeException"
    status = 413

    def __init__(self, size: int) -> None:
        super().__init__(
            f"{size} byte payload is too large for the RequestResponse invocation type (limit {REQUEST_LIMIT} bytes)"
        )


class InvalidRequest(FunctionError):
    """A client context that is no JSON object, or a trace id that is no header value."""

    code = "InvalidRequestContentException"
    status = 400


class CannotStart(FunctionError):
    """No process can be started for the function: the program for its language or its folder is missing."""

    code = "InvalidRuntimeException"
    status = 502


class FunctionsClosed(FunctionError):
    """The functions were closed before the answer came; whether the handler acted is unknown."""

    def __init__(self) -> None:
        super().__init__("the functions are closed")

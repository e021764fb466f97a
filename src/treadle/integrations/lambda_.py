"""Lambda functions: `arn:aws:lambda:...` as a resource, and the optimised `lambda:invoke`.

A call that was under way when the process died is made again: Lambda itself promises at least once, and a handler that
must not run twice finds the same `clientContext`-free payload and can tell by its own key.
"""

from __future__ import annotations

from typing import Final

import msgspec

from treadle.errors import StatesError
from treadle.functions import FunctionBusy, FunctionNotFound, Functions, Invoked
from treadle.integrations.arguments import expect_action, members, one_of, required_text
from treadle.language.scope import Json
from treadle.language.values import is_object, json_text
from treadle.runtime.ports import Call, Redelivery

_STATUS: Final = {"RequestResponse": 200, "Event": 202, "DryRun": 204}


class LambdaIntegration:
    """Invokes functions of this machine."""

    redelivery: Redelivery = "again"

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def call(self, call: Call) -> Json:
        """Invoke the function and give its result, or raise what it raised."""
        if call.resource.split(":")[2] == "lambda":
            invoked = await self._invoke(function_name(call.resource), call.arguments)
            return _payload(invoked)
        expect_action(call, ("invoke",))
        given = members(call.arguments)
        kind = one_of(given, "InvocationType", _STATUS, "RequestResponse")
        invoked = await self._invoke(function_name(required_text(given, "FunctionName")), given.get("Payload", {}))
        return _answer(invoked, kind)

    async def poll(self, call: Call) -> Json:
        """Functions have no jobs."""
        raise AssertionError(f"{call.resource} has no .sync pattern")

    async def cancel(self, call: Call) -> None:
        """A function that runs cannot be recalled."""

    async def _invoke(self, name: str, payload: Json) -> Invoked:
        try:
            return await self._functions.invoke(name, json_text(payload).encode("utf-8", "surrogatepass"))
        except FunctionNotFound:
            # AWS 'Lambda errors': the SDK's own words, less the request that never was.
            raise StatesError(
                "Lambda.ResourceNotFoundException",
                f"Function not found: {name} (Service: Lambda, Status Code: 404)",
            ) from None
        except FunctionBusy:
            raise StatesError(
                "Lambda.TooManyRequestsException", "Rate Exceeded. (Service: Lambda, Status Code: 429)"
            ) from None


def function_name(named: str) -> str:
    """The plain name in a function's ARN, partial ARN or name, without version or alias."""
    return named.rpartition(":function:")[2].partition(":")[0]


def _payload(invoked: Invoked) -> Json:
    text = invoked.payload.decode("utf-8", "replace")
    if invoked.error is not None:
        raise StatesError(_error_type(invoked.payload), text)
    try:
        return msgspec.json.decode(invoked.payload) if invoked.payload else None
    except msgspec.DecodeError:
        raise StatesError("Lambda.Unknown", f"The function's result is not JSON: {text[:200]}") from None


def _error_type(payload: bytes) -> str:
    """ASL errors of functions carry their errorType as their name."""
    try:
        told: Json = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return "Lambda.Unknown"
    name = told.get("errorType") if is_object(told) else None
    return name if isinstance(name, str) else "Lambda.Unknown"


def _answer(invoked: Invoked, kind: str) -> dict[str, Json]:
    """What the optimised integration gives. Observed on AWS: Payload parsed, and the SDK's metadata beside it."""
    payload: Json = _payload(invoked) if kind == "RequestResponse" else ""
    headers = {
        "Content-Type": "application/json",
        "X-Amz-Executed-Version": invoked.version,
        "x-amzn-RequestId": invoked.request_id,
        "Content-Length": str(len(invoked.payload)),
    }
    return {
        "ExecutedVersion": invoked.version,
        "Payload": payload,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": _STATUS.get(kind, 200),
        },
        "SdkResponseMetadata": {"RequestId": invoked.request_id},
        "StatusCode": _STATUS.get(kind, 200),
    }

"""Lambda functions: `arn:aws:lambda:...` as a resource, and the optimised `lambda:invoke`.

Owns what a task sends and what becomes of the answer: the payload alone for a function's own ARN, the whole answer of
the API for `lambda:invoke`, and the error names that Retry and Catch see. Functions of this machine come first;
whichever it does not have is asked for elsewhere (`lambda_endpoint`), where there is an elsewhere.

Redelivery: a call that was under way when the process died is made again, as Lambda itself promises no more than at
least once. A handler that must not act twice compares a key from its event: `$$.Execution.Id` with `$$.State.Name`.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from treadle.errors import StatesError
from treadle.functions import Asynchronous, FunctionError, FunctionNotFound, Functions, Invoked
from treadle.integrations.arguments import expect_action, members, one_of, optional_text, required_text
from treadle.language.scope import Json
from treadle.language.values import is_object, json_text
from treadle.runtime.ports import Call, Redelivery

# Lambda 'Invoke', HTTP status codes.
_STATUS: Final = {"RequestResponse": 200, "Event": 202, "DryRun": 204}
_ERROR: Final = "X-Amz-Function-Error"


class Invocation(msgspec.Struct, frozen=True, gc=False):
    """One call of Lambda's Invoke. `arn` is the function's, without qualifier; an empty payload is none.

    Without `told`, nobody wants to know more of the answer than what the function gave.
    """

    arn: str
    qualifier: str | None
    payload: bytes
    kind: str = "RequestResponse"
    with_log: bool = False
    client_context: bytes | None = None
    told: bool = True
    trace: str | None = None

    @property
    def name(self) -> str:
        """The function's plain name."""
        return self.arn.rpartition(":")[2]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What Lambda's Invoke answered: the status and headers of HTTP, and the payload."""

    status: int
    headers: Mapping[str, str]
    payload: bytes

    def header(self, name: str) -> str | None:
        """A header, whatever the case of its name."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)


class Endpoint(Protocol):
    """Where functions are invoked that are not of this machine."""

    async def invoke(self, invocation: Invocation) -> Answer:
        """Call Invoke. Raises StatesError."""
        ...


class LambdaIntegration:
    """Invokes functions: those of this machine, else those of an endpoint."""

    redelivery: Redelivery = "again"

    def __init__(self, functions: Functions | None = None, endpoint: Endpoint | None = None) -> None:
        self._functions, self._endpoint = functions, endpoint

    async def call(self, call: Call) -> Json:
        """Invoke the function and give its result, or raise what it raised."""
        if call.resource.split(":", 3)[2] == "lambda":
            named = called(call.resource, None, call)
            payload = json_text(call.arguments).encode("utf-8", "surrogatepass")
            invocation = Invocation(*named, payload=payload, told=False, trace=call.trace)
            return _payload(await self._invoke(invocation), rewritten=False)
        expect_action(call, ("invoke",))
        invocation = _asked(call)
        answer = await self._invoke(invocation)
        return _told(answer, _payload(answer, rewritten=True) if invocation.kind == "RequestResponse" else "")

    async def poll(self, call: Call) -> Json:
        """Functions have no jobs."""
        raise AssertionError(f"{call.resource} has no .sync pattern")

    async def cancel(self, call: Call) -> None:
        """A function that runs cannot be recalled."""

    async def _invoke(self, invocation: Invocation) -> Answer:
        functions, endpoint = self._functions, self._endpoint
        if endpoint is not None and (functions is None or invocation.name not in functions.names()):
            return await endpoint.invoke(invocation)
        try:
            if functions is None:
                raise FunctionNotFound(invocation.name)
            return _as_answered(invocation, await _run(functions, invocation))
        except FunctionError as error:
            message = not_found(invocation) if isinstance(error, FunctionNotFound) else str(error)
            raise refusal(error.status, error.code, message, str(uuid.uuid4())) from None


def function_name(named: str) -> str:
    """The plain name in a function's ARN, partial ARN or name, without version or alias."""
    return named.rpartition(":function:")[2].partition(":")[0]


def called(named: str, qualifier: str | None, call: Call) -> tuple[str, str | None]:
    """The ARN and the qualifier of the function that a task names, in any of the ways that Lambda knows.

    A name without region or account is one of the execution's own.
    """
    head, _, tail = named.rpartition(":function:" if ":function:" in named else "function:")
    name, _, suffix = tail.partition(":")
    if head.startswith("arn:"):
        arn = f"{head}:function:{name}"
    else:
        _, partition, _, region, account = call.execution_arn.split(":", 5)[:5]
        arn = f"arn:{partition}:lambda:{region}:{head.strip(':') or account}:function:{name}"
    if suffix and qualifier and suffix != qualifier:
        # Lambda 'Invoke', in its own words.
        message = "The derived qualifier from the function name does not match the specified qualifier."
        raise refusal(400, "InvalidParameterValueException", message, str(uuid.uuid4()))
    return arn, suffix or qualifier


def not_found(invocation: Invocation) -> str:
    """Observed on AWS: the version is named, even where nobody asked for one."""
    return f"Function not found: {invocation.arn}:{invocation.qualifier or '$LATEST'}"


def refusal(
    status: int, code: str | None, message: str | None, request_id: str | None, known: bool = True
) -> StatesError:
    """An error of Lambda's API, named and worded as the optimised integrations do. Observed on AWS.

    An error without a code, or with one that is not `known` to Lambda's model, has the name of the SDK's base class.
    """
    name = code if code and known else "AWSLambdaException"
    return StatesError(
        f"Lambda.{name if name.endswith('Exception') else f'{name}Exception'}",
        f"{message or 'null'} (Service: AWSLambda; Status Code: {status}; Error Code: {code or 'null'}; "
        f"Request ID: {request_id or 'null'}; Proxy: null)",
    )


# ---- what a task sends -------------------------------------------------------------------------------------------


def _asked(call: Call) -> Invocation:
    """The parameters of `lambda:invoke`. AWS does not list LogType, and yet it works."""
    given = members(call.arguments)
    kind = one_of(given, "InvocationType", _STATUS, "RequestResponse")
    context = optional_text(given, "ClientContext")
    return Invocation(
        *called(required_text(given, "FunctionName"), optional_text(given, "Qualifier"), call),
        payload=_written(given.get("Payload")).encode("utf-8", "surrogatepass"),
        kind=kind,
        with_log=(optional_text(given, "LogType") or "").lower() == "tail",
        client_context=None if context is None else _decoded(context),
        trace=call.trace,
    )


def _written(payload: Json) -> str:
    """The payload as it is sent. Observed on AWS: null is no payload at all, for which a function gets {}, and a text
    that is JSON is sent as it is."""
    if payload is None:
        return ""
    if isinstance(payload, str):
        try:
            msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
        else:
            return payload
    return json_text(payload)


def _decoded(context: str) -> bytes:
    try:
        return base64.b64decode(context, validate=True)
    except ValueError:
        message = "Client context must be a valid Base64-encoded JSON object."
        raise refusal(400, "InvalidRequestContentException", message, str(uuid.uuid4())) from None


# ---- functions of this machine -----------------------------------------------------------------------------------


async def _run(functions: Functions, invocation: Invocation) -> Invoked | None:
    """Invoke a function here; None where nothing but an acknowledgement comes back: for DryRun, and for Event.

    Functions that cannot keep an `Event` run it before it is acknowledged, so that nothing can lose it; what the
    function gives is nobody's business in both cases.
    """
    if invocation.kind == "DryRun":
        if invocation.name not in functions.names():
            raise FunctionNotFound(invocation.name)
        return None
    if invocation.kind == "Event" and isinstance(functions, Asynchronous):
        await functions.submit(
            invocation.name,
            invocation.payload,
            qualifier=invocation.qualifier,
            client_context=invocation.client_context,
        )
        return None
    return await functions.invoke(
        invocation.name,
        invocation.payload,
        qualifier=invocation.qualifier,
        trace_id=invocation.trace,
        client_context=invocation.client_context,
    )


def _as_answered(invocation: Invocation, invoked: Invoked | None) -> Answer:
    """What Lambda's API would have answered. Observed on AWS: these headers, in this order."""
    payload = invoked.payload if invoked is not None and invocation.kind == "RequestResponse" else b""
    if not invocation.told:
        error = None if invoked is None else invoked.error
        return Answer(_STATUS[invocation.kind], {} if error is None else {_ERROR: error}, payload)
    request_id = invoked.request_id if invoked is not None else str(uuid.uuid4())
    headers: dict[str, str] = {}
    if invoked is not None and invocation.kind == "RequestResponse":
        if invoked.error is not None:
            headers[_ERROR] = invoked.error
        if invocation.with_log:
            headers["X-Amz-Log-Result"] = invoked.log_result
        headers["X-Amz-Executed-Version"] = invoked.version
    headers |= {
        "x-amzn-Remapped-Content-Length": "0",
        "Connection": "keep-alive",
        "x-amzn-RequestId": request_id,
        "Content-Length": str(len(payload)),
        "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
        "X-Amzn-Trace-Id": f"root=1-{int(time.time()):08x}-{request_id.replace('-', '')[:24]};sampled=0",
        "Content-Type": "application/json",
    }
    return Answer(_STATUS[invocation.kind], headers, payload)


# ---- what becomes of the answer ----------------------------------------------------------------------------------


def _payload(answer: Answer, rewritten: bool) -> Json:
    """The function's result. What it raised is raised: its errorType is the error's name, the payload is the cause.

    `rewritten`: observed on AWS, the cause from `lambda:invoke` is that JSON without blanks, from a function's own ARN
    it stands as the function's runtime wrote it.
    """
    value: Json = None
    readable = True
    try:
        value = msgspec.json.decode(answer.payload) if answer.payload else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        readable = False
    failed = answer.header(_ERROR) is not None
    if readable and not failed:
        return value
    text = answer.payload.decode("utf-8", "replace")
    if not failed:
        raise StatesError("Lambda.Unknown", f"The function's result is not JSON: {text[:200]}")
    name = value.get("errorType") if is_object(value) else None
    if not isinstance(name, str) or not name:
        # Seen on AWS where a runtime reports no type.
        why = "The cause could not be determined because Lambda did not return an error type. Returned payload: "
        raise StatesError("Lambda.Unknown", why + text)
    raise StatesError(name, json_text(value) if rewritten else text)


def _told(answer: Answer, payload: Json) -> dict[str, Json]:
    """What `lambda:invoke` gives. Observed on AWS: the Payload parsed, and the SDK's metadata beside it."""
    told: dict[str, Json] = {}
    for field, header in (("ExecutedVersion", "X-Amz-Executed-Version"), ("LogResult", "X-Amz-Log-Result")):
        value = answer.header(header)
        if value is not None:
            told[field] = value
    headers = answer.headers
    return {
        **told,
        "Payload": payload,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": {name: headers[name] for name in sorted(headers, key=str.lower)},
            "HttpStatusCode": answer.status,
        },
        "SdkResponseMetadata": {"RequestId": answer.header("x-amzn-RequestId")},
        "StatusCode": answer.status,
    }

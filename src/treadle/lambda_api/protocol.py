"""AWS's REST-JSON protocol for Lambda, driven by botocore's model: a request's members, and an answer's bytes.

Owns where each member travels (path, query, header, body) and what the model says of it. Never decides anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from treadle.api.constraints import Check, check_of, validate
from treadle.api.model import read_model
from treadle.errors import ApiError
from treadle.language.values import is_object

_SERVICE: Final = "lambda/2015-03-31"
_PARAMETER: Final = re.compile(r"\{(\w+)\+?\}")
# What a call with a path of our own may not contain: names have no slash but in ARNs, where it is escaped.
_SEGMENT: Final = "[^/]+"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `payload` is the member that is the whole body, if one is."""

    name: str
    method: str
    path: re.Pattern[str]
    status: int
    check: Check
    members: Mapping[str, Any]
    payload: str | None
    answer: Mapping[str, Any]
    answer_payload: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: the status, headers and body of HTTP."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@cache
def operation(name: str) -> Operation:
    """An operation of the model, compiled the first time."""
    model = read_model(_SERVICE)
    shapes = model["shapes"]
    found = model["operations"][name]
    given = shapes[found["input"]["shape"]]
    nothing: Mapping[str, Any] = {"members": {}}
    told: Mapping[str, Any] = shapes[found["output"]["shape"]] if "output" in found else nothing
    uri = found["http"]["requestUri"].partition("?")[0].rstrip("/")
    pattern = _PARAMETER.sub(lambda match: f"(?P<{match[1]}>{_SEGMENT})", uri)
    return Operation(
        name=name,
        method=found["http"]["method"],
        path=re.compile(pattern + "/?"),
        status=found["http"].get("responseCode", 200),
        check=check_of(found["input"]["shape"], shapes),
        members={key: {**member, "type": shapes[member["shape"]]["type"]} for key, member in given["members"].items()},
        payload=given.get("payload"),
        answer=told["members"],
        answer_payload=told.get("payload"),
    )


def members(found: Operation, path: str, query: bytes, headers: Mapping[bytes, bytes], body: bytes) -> dict[str, Any]:
    """The members of a request, checked against the model. Raises ApiError."""
    match = found.path.fullmatch(path)
    assert match is not None, "the path led here"
    asked = {key: values[0] for key, values in parse_qs(query.decode("latin-1"), keep_blank_values=True).items()}
    given: dict[str, Any] = {} if found.payload else _object(body)
    lists = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    for name, member in found.members.items():
        named = member.get("locationName", name)
        match member.get("location"):
            case "uri":
                given[name] = unquote(match[named])
            case "querystring" if named in asked:
                given[name] = lists[named] if member["type"] == "list" else _typed(named, asked[named], member["type"])
            case "header":
                value = headers.get(named.lower().encode())
                if value is not None:
                    given[name] = value.decode("latin-1")
            case _:
                pass
    checked = dict(validate(found.check, given))
    if found.payload:
        checked[found.payload] = body
    return checked


def reply(found: Operation, answer: Mapping[str, Any]) -> Reply:
    """An answer on its way out; members that are None are left out."""
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    status = found.status
    for name, value in answer.items():
        member = found.answer.get(name, {})
        if value is None or name == found.answer_payload:
            continue
        match member.get("location"):
            case "header":
                headers[member["locationName"]] = str(value)
            case "statusCode":
                status = value
            case _:
                body[name] = value
    if found.answer_payload:
        payload: bytes = answer.get(found.answer_payload) or b""
        return Reply(status, payload, {"Content-Type": "application/json", **headers})
    if status == 204:
        return Reply(status, headers=headers)
    return Reply(status, msgspec.json.encode(body), {"Content-Type": "application/json", **headers})


def refusal(error: ApiError) -> Reply:
    """An error on its way out."""
    fault = "Service" if status_of(error.code) >= 500 else "User"
    body = {"Type": fault, "Message": error.message, "message": error.message}
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
    return Reply(status_of(error.code), msgspec.json.encode(body), headers)


@cache
def status_of(code: str) -> int:
    """The HTTP status of an error, as the model has it."""
    shape = read_model(_SERVICE)["shapes"].get(code, {})
    return shape.get("error", {}).get("httpStatusCode", _STATUSES.get(code, 400))


_STATUSES: Final = {
    "AccessDeniedException": 403,
    "UnknownOperationException": 404,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
}


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError("InvalidRequestContentException", f"Could not parse request body into json: {error}") from None
    if not is_object(value):
        raise ApiError("InvalidRequestContentException", "Could not parse request body into json: no object")
    return dict(value)


def _typed(name: str, text: str, kind: str) -> Any:
    match kind:
        case "integer" | "long":
            if not re.fullmatch(r"-?\d{1,18}", text):
                raise ApiError("InvalidParameterValueException", f"{name} must be a number, not '{text[:100]}'")
            return int(text)
        case "boolean":
            return text == "true"
        case _:
            return text

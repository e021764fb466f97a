"""What a function behind an API is given, and what its answer means: payload formats 1.0 and 2.0.

Pure. Source: API Gateway 'Working with AWS Lambda proxy integrations'.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

from treadle.language.scope import Json
from treadle.local.routes.reading import Route
from treadle.local.shapes import fields, items


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to an API, as it came. Header names are lower case."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    api: str
    stage: str
    request_id: str
    address: str = "127.0.0.1"
    at: float = 0.0
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    variables: Mapping[str, Json] = field(default_factory=dict[str, Json])
    authorized: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def header(self, name: str) -> str:
        """A header's value; empty where there is none."""
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True, slots=True)
class Answered:
    """What goes back."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def event_of(asked: Asked, route: Route, version: str) -> dict[str, Json]:
    """The event for a function."""
    return _first(asked, route) if version == "1.0" else _second(asked, route)


def answer_of(payload: bytes, version: str) -> Answered | None:
    """What a function's result means; None when it means nothing."""
    try:
        result = json.loads(payload)
    except ValueError:
        return None
    if version == "1.0" or (isinstance(result, dict) and "statusCode" in result):
        return _told(result)
    text = result if isinstance(result, str) else json.dumps(result)
    return Answered(200, [("content-type", "application/json")], text.encode())


def _told(result: Json) -> Answered | None:
    said = fields(result)
    if not isinstance(said.get("statusCode"), int | str):
        return None
    headers = [(str(name).lower(), str(value)) for name, value in fields(said.get("headers")).items()]
    headers += [
        (name.lower(), str(each))
        for name, values in fields(said.get("multiValueHeaders")).items()
        for each in items(values)
    ]
    headers += [("set-cookie", str(each)) for each in items(said.get("cookies"))]
    body = said.get("body")
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    try:
        raw = base64.b64decode(text, validate=True) if said.get("isBase64Encoded") else text.encode()
        status = int(said["statusCode"])
    except ValueError:
        return None
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    return Answered(status, headers, raw) if 100 <= status < 600 else None


def _body(asked: Asked) -> tuple[str | None, bool]:
    if not asked.body:
        return None, False
    kind = asked.header("content-type").partition(";")[0]
    textual = (
        kind.startswith("text/") or kind.endswith(("json", "xml", "javascript", "x-www-form-urlencoded")) or not kind
    )
    if textual:
        try:
            return asked.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(asked.body).decode("ascii"), True


def _joined(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, value in pairs:
        made[name] = f"{made[name]},{value}" if name in made else value
    return made


def _listed(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for name, value in pairs:
        made.setdefault(name, []).append(value)
    return made


def _second(asked: Asked, route: Route) -> dict[str, Json]:
    body, encoded = _body(asked)
    query = parse_qsl(asked.query, keep_blank_values=True)
    moment = datetime.fromtimestamp(asked.at, UTC)
    path = asked.path if asked.stage == "$default" else f"/{asked.stage}{asked.path}"
    context: dict[str, Json] = {
        "accountId": "123456789012",
        "apiId": asked.api,
        "domainName": asked.header("host"),
        "domainPrefix": asked.api,
        "http": {
            "method": asked.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": asked.address,
            "userAgent": asked.header("user-agent"),
        },
        "requestId": asked.request_id,
        "routeKey": route.key,
        "stage": asked.stage,
        "time": f"{moment:%d/%b/%Y:%H:%M:%S +0000}",
        "timeEpoch": int(asked.at * 1000),
    }
    if asked.authorized:
        context["authorizer"] = {"lambda": dict(asked.authorized)}
    event: dict[str, Json] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": asked.query,
        "headers": _joined([pair for pair in asked.headers if pair[0] != "cookie"]),
        "requestContext": context,
        "isBase64Encoded": encoded,
    }
    cookies = [part.strip() for name, value in asked.headers if name == "cookie" for part in value.split(";")]
    return event | {
        name: value
        for name, value in (
            ("cookies", cookies),
            ("queryStringParameters", _joined(query)),
            ("pathParameters", dict(asked.parameters)),
            ("stageVariables", dict(asked.variables)),
            ("body", body),
        )
        if value
    }


def _first(asked: Asked, route: Route) -> dict[str, Json]:
    body, encoded = _body(asked)
    query = parse_qsl(asked.query, keep_blank_values=True)
    moment = datetime.fromtimestamp(asked.at, UTC)
    return {
        "version": "1.0",
        "resource": route.path,
        "path": unquote(asked.path),
        "httpMethod": asked.method,
        "headers": dict(asked.headers),
        "multiValueHeaders": _listed(asked.headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _listed(query) or None,
        "pathParameters": dict(asked.parameters) or None,
        "stageVariables": dict(asked.variables) or None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": asked.api,
            "authorizer": dict(asked.authorized) or None,
            "domainName": asked.header("host"),
            "extendedRequestId": asked.request_id,
            "httpMethod": asked.method,
            "identity": {"sourceIp": asked.address, "userAgent": asked.header("user-agent")},
            "path": f"/{asked.stage}{asked.path}",
            "protocol": "HTTP/1.1",
            "requestId": asked.request_id,
            "requestTime": f"{moment:%d/%b/%Y:%H:%M:%S +0000}",
            "requestTimeEpoch": int(asked.at * 1000),
            "resourcePath": route.path,
            "stage": asked.stage,
        },
        "body": body,
        "isBase64Encoded": encoded,
    }

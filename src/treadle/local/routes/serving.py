"""Serves the APIs of a template below `/_api/ID`.

Owns the way of a request: find the API and the route, answer what CORS asks, ask the authorizer, call the function or
start the execution, give its answer. What cannot be checked here is refused, never let through.
"""

from __future__ import annotations

import fnmatch
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from treadle.api.asgi import BodyTooLarge, ClientGone, Receive, Scope, Send, answer, read_body
from treadle.errors import ApiError, TreadleError
from treadle.functions import Functions
from treadle.language.scope import Json
from treadle.local.register import LocalRegister
from treadle.local.routes.payload import Answered, Asked, answer_of, event_of
from treadle.local.routes.reading import Authorizer, Route, find_route, read_routes
from treadle.local.shapes import dig, fields, items

log = logging.getLogger("treadle.local")

Operate: TypeAlias = Callable[[str, Mapping[str, Json]], Awaitable[Mapping[str, Json]]]
"""Calls an operation of Step Functions. Raises ApiError."""

BODY_LIMIT: Final = 10 * 1024 * 1024
"""Bytes. API Gateway 'Quotas': 10 MB."""

PREFIX: Final = "/_api"


class Apis:
    """The ASGI application below `/_api`."""

    def __init__(self, register: LocalRegister, functions: Functions, operate: Operate) -> None:
        self._register, self._functions, self._operate = register, functions, operate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            body = await read_body(receive, BODY_LIMIT)
        except BodyTooLarge:
            await _give(send, _message(413, "Request Too Long"))
            return
        except ClientGone:
            return
        given = await self._answered(scope, body)
        log.info("%s %s: %s", scope["method"], scope["path"], given.status)
        await _give(send, given)

    def admits(self, path: str, origin: str) -> bool:
        """Whether the API of a path lets web pages of an origin ask: what its CORS names, and no other."""
        found = self._api(path.removeprefix(f"{PREFIX}/").partition("/")[0]) if path.startswith(f"{PREFIX}/") else None
        return found is not None and _names(_cors(found[0]), origin)

    async def _answered(self, scope: Scope, body: bytes) -> Answered:
        raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        id, _, rest = raw.removeprefix(f"{PREFIX}/").partition("/")
        found = self._api(id)
        if found is None:
            return _message(404, "Not Found")
        api, kind = found
        stage, path = self._stage(id, kind, f"/{rest}")
        asked = Asked(
            method=scope["method"],
            path=path,
            query=scope["query_string"].decode("latin-1"),
            headers=[(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]],
            body=body,
            api=id,
            stage=str(stage.get("StageName") or "$default"),
            request_id=str(uuid.uuid4()),
            address=(scope.get("client") or ("127.0.0.1", 0))[0],
            at=time.time(),
            variables=fields(stage.get("StageVariables") or stage.get("Variables")),
        )
        cors = _cors(api)
        origin = asked.header("origin")
        if cors and asked.method == "OPTIONS" and asked.header("access-control-request-method"):
            return Answered(204, _cors_headers(cors, origin, preflight=True), b"")
        given = await self._routed(api, asked)
        return replace(given, headers=[*given.headers, *_cors_headers(cors, origin)]) if cors and origin else given

    async def _routed(self, api: Mapping[str, Json], asked: Asked) -> Answered:
        lists = {
            kind: list(self._register.all(kind).values())
            for kind in ("http-route", "http-integration", "http-authorizer")
        }
        found = find_route(read_routes(api, lists), asked.method, asked.path)
        if found is None:
            return _message(404, "Not Found")
        route, parameters = found
        asked = replace(asked, parameters=parameters)
        if route.fault:
            return _message(501, f"{route.key}: {route.fault}")
        if route.authorizer is not None:
            allowed = await self._authorized(route.authorizer, route, asked)
            if isinstance(allowed, Answered):
                return allowed
            asked = replace(asked, authorized=allowed)
        return await (self._acted(route, asked) if route.action else self._called(route, asked))

    async def _called(self, route: Route, asked: Asked) -> Answered:
        event = event_of(asked, route, route.version)
        try:
            invoked = await self._functions.invoke(route.function, json.dumps(event).encode())
        except TreadleError as error:
            log.warning("%s: the function %s was not called: %s", route.key, route.function, error)
            return _message(500, "Internal Server Error")
        given = None if invoked.error else answer_of(invoked.payload, route.version)
        if given is None:
            log.warning("%s: the function %s gave no answer: %s", route.key, route.function, invoked.payload[:200])
            return _message(502 if route.version == "1.0" else 500, "Internal Server Error")
        return given

    async def _acted(self, route: Route, asked: Asked) -> Answered:
        operation = str(route.action["operation"])
        if operation == "mock":
            return Answered(200, [("content-type", "application/json")], b"{}")
        try:
            request = _request(route.action, asked)
            told = await self._operate(operation, request)
        except (ApiError, ValueError) as error:
            return _message(400, str(error))
        text = json.dumps(told, default=str).encode()
        return Answered(200, [("content-type", "application/json")], text)

    async def _authorized(self, authorizer: Authorizer, route: Route, asked: Asked) -> Answered | Mapping[str, Json]:
        """What the authorizer has to say of the caller, or the answer that sends the caller away."""
        for source in authorizer.sources:
            name = source.lower().removeprefix("$request.header.").removeprefix("method.request.header.")
            if not asked.header(name) and "querystring" not in source:
                return _message(401, "Unauthorized")
        event = event_of(asked, route, authorizer.version) | {"type": "REQUEST"}
        arn = f"arn:aws:execute-api:us-east-1:123456789012:{asked.api}/{asked.stage}/{asked.method}{asked.path}"
        event |= {"routeArn" if authorizer.version == "2.0" else "methodArn": arn}
        event["identitySource"] = [asked.header(each.lower().rpartition(".")[2]) for each in authorizer.sources]
        try:
            invoked = await self._functions.invoke(authorizer.function, json.dumps(event).encode())
            said = fields(json.loads(invoked.payload))
        except (TreadleError, ValueError) as error:
            log.warning("%s: the authorizer %s did not answer: %s", route.key, authorizer.name, error)
            return _message(500, "Internal Server Error")
        if invoked.error:
            refused = said.get("errorMessage") == "Unauthorized"
            return _message(401, "Unauthorized") if refused else _message(500, "Internal Server Error")
        allowed = said.get("isAuthorized") is True if authorizer.simple else _allows(said, arn)
        return fields(said.get("context")) if allowed else _message(403, "Forbidden")

    def _api(self, id: str) -> tuple[Mapping[str, Json], str] | None:
        for kind in ("http-api", "rest-api"):
            for each in self._register.all(kind).values():
                if each["__id__"] == id:
                    return each, kind
        return None

    def _stage(self, id: str, kind: str, path: str) -> tuple[Mapping[str, Json], str]:
        """The stage that a path names, and the path within it. `$default` has no name in the path."""
        stages = [
            each
            for each in self._register.all("http-stage" if kind == "http-api" else "rest-stage").values()
            if each.get("ApiId", each.get("RestApiId")) == id
        ]
        first, _, rest = path[1:].partition("/")
        for each in stages:
            if each.get("StageName") == first:
                return each, f"/{rest}"
        default = next((each for each in stages if each.get("StageName") == "$default"), None)
        return default or (stages[0] if stages else {}), path


def _allows(said: Mapping[str, Json], arn: str) -> bool:
    """Whether a policy allows the call; a statement that denies it wins."""
    statements = [fields(each) for each in items(dig(said, "policyDocument", "Statement"))]
    meant = [each for each in statements if any(fnmatch.fnmatchcase(arn, one) for one in _texts(each.get("Resource")))]
    effects = {each.get("Effect") for each in meant}
    return "Allow" in effects and "Deny" not in effects


def _texts(value: Json) -> list[str]:
    return [str(each) for each in (items(value) if isinstance(value, list) else [value])]


def _request(action: Mapping[str, Json], asked: Asked) -> dict[str, Json]:
    """The request that an integration with Step Functions makes. Templates other than SAM's own are refused."""
    parameters = fields(action.get("parameters"))
    if parameters:
        machine, name = parameters.get("StateMachineArn"), parameters.get("Name")
        text = str(parameters.get("Input", "$request.body")).replace("$request.body", asked.body.decode() or "{}")
        return {"stateMachineArn": machine, "input": text} | ({"name": name} if name else {})
    templates = [str(each) for each in fields(action.get("requestTemplates")).values()]
    found = re.search(r'"stateMachineArn"\s*:\s*"([^"$]+)"', templates[0]) if templates else None
    if found is None or "$input.json('$')" not in templates[0]:
        raise ValueError("only the request template that SAM writes for a state machine is known here")
    return {"stateMachineArn": found[1], "input": asked.body.decode() or "{}"}


def _cors(api: Mapping[str, Json]) -> dict[str, Json]:
    given = fields(api.get("CorsConfiguration"))
    named = fields(dig(api, "Body", "x-amazon-apigateway-cors"))
    return {key[:1].lower() + key[1:]: value for key, value in given.items()} or named


def _origins(cors: Mapping[str, Json]) -> list[str]:
    return _texts(cors.get("allowOrigins") or [])


def _names(cors: Mapping[str, Json], origin: str) -> bool:
    return any(fnmatch.fnmatchcase(origin, each) for each in _origins(cors))


def _cors_headers(cors: Mapping[str, Json], origin: str, *, preflight: bool = False) -> list[tuple[str, str]]:
    if not _names(cors, origin):
        return []
    headers = [("access-control-allow-origin", "*" if "*" in _origins(cors) else origin)]
    if str(cors.get("allowCredentials")).lower() == "true":
        headers.append(("access-control-allow-credentials", "true"))
    if cors.get("exposeHeaders"):
        headers.append(("access-control-expose-headers", ",".join(_texts(cors["exposeHeaders"]))))
    if preflight:
        headers.append(("access-control-allow-methods", ",".join(_texts(cors.get("allowMethods") or []))))
        headers.append(("access-control-allow-headers", ",".join(_texts(cors.get("allowHeaders") or []))))
        if cors.get("maxAge") is not None:
            headers.append(("access-control-max-age", str(cors["maxAge"])))
    return headers


def _message(status: int, text: str) -> Answered:
    return Answered(status, [("content-type", "application/json")], json.dumps({"message": text}).encode())


async def _give(send: Send, given: Answered) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in given.headers]
    await answer(send, given.status, [each for each in headers if each[0] != b"content-length"], given.body)

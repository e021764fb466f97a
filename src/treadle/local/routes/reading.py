"""The routes of an API: from its OpenAPI document, as SAM writes it, or from Route and Integration resources.

Owns which request leads to which integration, and how paths are matched. Pure. Source: API Gateway 'Create routes for
HTTP APIs'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from treadle.language.scope import Json
from treadle.local.shapes import dig, fields, items, listed

_FUNCTION: Final = re.compile(r"function:([A-Za-z0-9_-]+)(?::[^/]+)?(?:/invocations)?")
_METHODS: Final = frozenset(
    ["get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"]
)
_INTEGRATION: Final = "x-amazon-apigateway-integration"


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A function that is asked first. `sources` name the headers and the like that must be there."""

    name: str
    function: str
    sources: tuple[str, ...] = ()
    simple: bool = False
    version: str = "2.0"


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `function` serves it, or the API's own call in `action`; `fault` says why neither can."""

    method: str
    path: str
    function: str = ""
    action: Mapping[str, Json] = field(default_factory=dict[str, Json])
    version: str = "2.0"
    authorizer: Authorizer | None = None
    fault: str = ""

    @property
    def key(self) -> str:
        """As a RouteKey is written."""
        return self.path if self.path == "$default" else f"{self.method} {self.path}"

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a path that leads here; None for any other path."""
        if self.path == "$default":
            return {}
        names: list[str] = []

        def put(found: re.Match[str]) -> str:
            names.append(found[1].removesuffix("+"))
            return "(.+)" if found[1].endswith("+") else "([^/]+)"

        pattern = "".join(
            put(part) if (part := re.fullmatch(r"\{([^}]+)\}", piece)) else re.escape(piece)
            for piece in re.split(r"(\{[^}]+\})", self.path)
        )
        found = re.fullmatch(pattern, path)
        return None if found is None else dict(zip(names, map(unquote, found.groups()), strict=True))


def find_route(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route for a request: full matches first, greedy ones then, `$default` last; a method before ANY."""
    found = [
        (route, parameters)
        for route in routes
        if route.method in (method, "ANY") and (parameters := route.match(path)) is not None
    ]
    return min(found, key=lambda each: _rank(each[0]), default=None)


def _rank(route: Route) -> tuple[bool, int, int, bool]:
    return (route.path == "$default", "+}" in route.path, route.path.count("{"), route.method == "ANY")


def read_routes(api: Mapping[str, Json], register: Mapping[str, Sequence[Mapping[str, Json]]]) -> list[Route]:
    """The routes of an API. `register` has the Route, Integration and Authorizer resources, by kind."""
    version = "2.0" if "ProtocolType" in api or dig(api, "Body", "openapi") else "1.0"
    body = fields(api.get("Body"))
    known = _authorizers(body, version)
    routes = [
        route for path, paths in fields(body.get("paths")).items() for route in _paths(path, paths, known, version)
    ]
    id = str(api.get("__id__"))
    integrations = {each["__id__"]: each for each in register.get("http-integration", ()) if each.get("ApiId") == id}
    for each in register.get("http-route", ()):
        if each.get("ApiId") == id:
            routes.append(_native(each, integrations, register.get("http-authorizer", ())))
    return routes


def _paths(path: str, value: Json, known: Mapping[str, Authorizer | str], version: str) -> Iterator[Route]:
    for method, operation in fields(value).items():
        if method in _METHODS:
            integration = fields(fields(operation).get(_INTEGRATION))
            named = "ANY" if method.startswith("x-") else method.upper()
            path = "$default" if path == "/$default" else path
            payload = str(integration.get("payloadFormatVersion") or "1.0")
            route = _integrated(named, path, integration, payload)
            security = [name for each in items(fields(operation).get("security")) for name in fields(each)]
            yield _secured(route, [known[name] for name in security if name in known])


def _integrated(method: str, path: str, integration: Mapping[str, Json], version: str) -> Route:
    uri = str(integration.get("uri") or "")
    kind = str(integration.get("type") or "").lower()
    if found := _FUNCTION.search(uri):
        return Route(method, path, found[1], version=version)
    if uri.endswith(("states:action/StartExecution", "states:action/StartSyncExecution")):
        return Route(method, path, action={"operation": uri.rpartition("/")[2], **integration}, version=version)
    if kind == "mock":
        return Route(method, path, action={"operation": "mock"}, version=version)
    return Route(method, path, version=version, fault=f"an integration of type '{kind}' is not served here")


def _secured(route: Route, authorizers: Sequence[Authorizer | str]) -> Route:
    from dataclasses import replace

    for each in authorizers:
        if isinstance(each, str):
            return replace(route, fault=each)
        return replace(route, authorizer=each)
    return route


def _authorizers(body: Mapping[str, Json], version: str) -> dict[str, Authorizer | str]:
    schemes = fields(dig(body, "components", "securitySchemes")) or fields(body.get("securityDefinitions"))
    known: dict[str, Authorizer | str] = {}
    for name, scheme in schemes.items():
        given = fields(fields(scheme).get("x-amazon-apigateway-authorizer"))
        found = _FUNCTION.search(str(given.get("authorizerUri") or ""))
        if found is None:
            known[name] = (
                f"the authorizer '{name}' of type '{given.get('type') or scheme.get('type')}' cannot be checked here"
            )
            continue
        sources = [part for each in listed(given.get("identitySource")) for part in str(each).split(",")]
        known[name] = Authorizer(
            name,
            found[1],
            tuple(each.strip() for each in sources if each.strip()),
            simple=str(given.get("enableSimpleResponses")).lower() == "true",
            version=str(given.get("authorizerPayloadFormatVersion") or version),
        )
    return known


def _native(
    route: Mapping[str, Json],
    integrations: Mapping[Json, Mapping[str, Json]],
    authorizers: Sequence[Mapping[str, Json]],
) -> Route:
    method, _, path = str(route.get("RouteKey")).partition(" ")
    given = integrations.get(str(route.get("Target")).rpartition("/")[2], {})
    integration = {"uri": given.get("IntegrationUri"), "type": given.get("IntegrationType")}
    subtype = str(given.get("IntegrationSubtype") or "")
    if subtype.startswith("StepFunctions-"):
        operation = subtype.partition("-")[2]
        made = Route(method, path, action={"operation": operation, "parameters": given.get("RequestParameters")})
    else:
        version = str(given.get("PayloadFormatVersion") or "2.0")
        made = _integrated("ANY" if not path else method, path or "$default", integration, version)
    kind = route.get("AuthorizationType") or "NONE"
    for each in authorizers:
        if each["__id__"] == route.get("AuthorizerId") and kind == "CUSTOM":
            found = _FUNCTION.search(str(each.get("AuthorizerUri")))
            sources = tuple(str(source) for source in items(each.get("IdentitySource")))
            simple = str(each.get("EnableSimpleResponses")).lower() == "true"
            name = str(each["__name__"])
            return _secured(made, [Authorizer(name, found[1] if found else "", sources, simple)])
    return made if kind == "NONE" else _secured(made, [f"authorization of type {kind} cannot be checked here"])

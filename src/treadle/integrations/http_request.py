"""From the Arguments of an HTTP task to the request that is sent.

Owns the rules of AWS 'Call HTTPS APIs': which fields there are, which headers nobody may set, how a body is written,
and that what the connection says wins. Pure: sends nothing. Neighbour: http.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from treadle.integrations.arguments import members, one_of, required_text, unusable
from treadle.integrations.connections import Additions
from treadle.integrations.http_client import Request
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object, json_text

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")

# RFC 9110, 9.2.2: a request of these may be repeated when nobody knows what became of the first.
IDEMPOTENT: Final = frozenset(("GET", "PUT", "DELETE", "OPTIONS", "HEAD"))
_IDEMPOTENCY: Final = "idempotency-key"

_ARRAYS: Final = ("INDICES", "REPEAT", "COMMAS", "BRACKETS")
_ENCODINGS: Final = ("NONE", "URL_ENCODED")

_BANNED: Final = frozenset(
    (
        *("a-im", "accept-charset", "accept-datetime", "accept-encoding", "authorization", "cache-control"),
        *("connection", "content-encoding", "content-md5", "date", "expect", "forwarded", "from", "host"),
        *("http2-settings", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
        *("max-forwards", "origin", "pragma", "proxy-authorization", "referer", "server", "te", "trailer"),
        *("transfer-encoding", "upgrade", "via", "warning"),
    )
)
_BANNED_PREFIXES: Final = ("x-forwarded-", "x-amz-", "x-amzn-")

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An HTTP task as its definition wants it, checked; `headers` by name in small letters."""

    endpoint: str
    method: str
    connection: str
    headers: Mapping[str, str]
    query: Mapping[str, Json]
    body: Json
    encoding: str
    arrays: str

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent again when nobody knows what became of the first."""
        return self.method in IDEMPOTENT or _IDEMPOTENCY in self.headers


def wanted_of(given: Mapping[str, Json]) -> Wanted:
    """Read the Arguments. Raises StatesError States.Runtime."""
    transform = members(given.get("Transform", {}), "Transform")
    options = members(transform.get("RequestEncodingOptions", {}), "RequestEncodingOptions")
    return Wanted(
        endpoint=required_text(given, "ApiEndpoint"),
        method=one_of(given, "Method", METHODS),
        connection=_connection(given),
        headers=dict(_headers(members(given.get("Headers", {}), "Headers"))),
        query=members(given.get("QueryParameters", {}), "QueryParameters"),
        body=given.get("RequestBody"),
        encoding=one_of(transform, "RequestBodyEncoding", _ENCODINGS, "NONE"),
        arrays=one_of(options, "ArrayFormat", _ARRAYS, "INDICES"),
    )


def _connection(given: Mapping[str, Json]) -> str:
    named = [
        required_text(members(given[place], place), "ConnectionArn")
        for place in ("Authentication", "InvocationConfig")
        if place in given
    ]
    if not named:
        raise unusable(
            "The field 'ConnectionArn' of 'InvocationConfig' or 'Authentication' is required but was missing"
        )
    if len(set(named)) > 1:
        raise unusable("'InvocationConfig' and 'Authentication' name different connections")
    return named[0]


def _headers(given: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for name, value in given.items():
        low = name.lower()
        if low in _BANNED or low.startswith(_BANNED_PREFIXES):
            raise unusable(f"The header '{name}' must not be set by an HTTP task")
        if not _HEADER_NAME.fullmatch(name):
            raise unusable(f"'{name[:80]}' is not the name of a header")
        text = ", ".join(_scalar(each, name) for each in value) if is_array(value) else _scalar(value, name)
        if not _HEADER_VALUE.fullmatch(text):
            raise unusable(f"The header '{name}' has a value with control characters")
        yield low, text


def request_of(wanted: Wanted, additions: Additions, region: str) -> Request:
    """The request with what the connection adds. Raises StatesError States.Runtime."""
    # AWS 'HTTP Task': sent unless the definition says otherwise.
    headers = {"user-agent": f"Amazon|StepFunctions|HttpInvoke|{region}", "range": "bytes=0-262144"}
    body, content_type = _body(wanted, additions.body)
    if content_type:
        headers["content-type"] = content_type
    headers |= wanted.headers
    # AWS 'Merging EventBridge connection and HTTP Task definition data': the connection wins.
    headers |= {name.lower(): value for name, value in additions.headers.items()}
    query: dict[str, Json] = {**wanted.query, **additions.query}
    pairs = [(name, text) for name, value in query.items() for text in _query(name, value)]
    try:
        return Request(wanted.method, wanted.endpoint, headers, pairs, None if body is None else body.encode())
    except UnicodeEncodeError:
        raise unusable("RequestBody holds half of a surrogate pair, which UTF-8 cannot write") from None


def _query(name: str, value: Json) -> Iterator[str]:
    yield from (_scalar(each, name) for each in value) if is_array(value) else (_scalar(value, name),)


def _body(wanted: Wanted, added: Mapping[str, str]) -> tuple[str | None, str]:
    """The body as text, and the content type that it has unless somebody says otherwise."""
    body = wanted.body
    if added:
        if body is not None and not is_object(body):
            raise unusable("RequestBody must be an object, since the connection adds to the body")
        body = {**(body or {}), **added}
    if body is None:
        return None, ""
    if wanted.encoding == "URL_ENCODED":
        if not is_object(body):
            raise unusable("RequestBody must be an object to be URL encoded")
        return "&".join(_encoded(body, wanted.arrays)), "application/x-www-form-urlencoded; charset=utf-8"
    if isinstance(body, str):
        return body, "text/plain; charset=utf-8"
    return json_text(body), "application/json; charset=utf-8"


def _encoded(body: Mapping[str, Json], arrays: str) -> Iterator[str]:
    """Pairs of a form; what is nested is written `outer[inner]`."""
    todo: list[tuple[str, Json]] = list(body.items())[::-1]
    while todo:
        name, value = todo.pop()
        if is_object(value):
            todo += [(f"{name}[{inner}]", each) for inner, each in value.items()][::-1]
        elif not is_array(value):
            yield f"{_quoted(name)}={_quoted(_scalar(value, name))}"
        elif arrays == "COMMAS":
            yield f"{_quoted(name)}={','.join(_quoted(_scalar(each, name)) for each in value)}"
        else:
            names = {"INDICES": f"{name}[{{}}]", "BRACKETS": f"{name}[]", "REPEAT": name}[arrays]
            todo += [(names.replace("{}", str(n)) if arrays == "INDICES" else names, v) for n, v in enumerate(value)][
                ::-1
            ]


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _scalar(value: Json, name: str) -> str:
    """A text, number, truth value or null as it stands in a header, a query or a form."""
    if is_object(value) or is_array(value):
        raise unusable(f"'{name[:80]}' must be a text, a number or a truth value")
    text = "" if value is None else value if isinstance(value, str) else json_text(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise unusable(f"'{name[:80]}' holds half of a surrogate pair, which UTF-8 cannot write") from None
    return text

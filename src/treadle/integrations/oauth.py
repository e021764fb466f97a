"""OAuth tokens of connections: fetched with client credentials, kept until shortly before they expire.

Owns the request for a token (RFC 6749, 4.4) and the reading of its answer. Must never keep a token anywhere but in
memory. Many tasks that need a token at once fetch one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

import msgspec

from treadle.errors import StatesError
from treadle.integrations.http_client import SOCKET, Answer, Exchange, Request
from treadle.runtime.ports import Clock

_MARGIN: Final = 30.0
"""Seconds before its end from which a token is not used any more. EventBridge refreshes before the end as well."""

_UNKNOWN_LIFE: Final = 300.0
"""Seconds for which a token is used whose server does not say."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Where a token comes from, and what the request for it has. The body is a form, as in RFC 6749."""

    endpoint: str
    method: str
    client_id: str
    client_secret: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: Mapping[str, str] = field(repr=False)


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    credentials: ClientCredentials
    token: str
    until: float


class Tokens:
    """The tokens in use, by connection."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def token(
        self, arn: str, credentials: ClientCredentials, exchange: Exchange, refused: str | None = None
    ) -> str:
        """A token that should be accepted, another one than the `refused`. Raises StatesError."""
        async with self._turns[arn]:
            kept = self._kept.get(arn)
            if (
                kept is not None
                and kept.token != refused
                and kept.credentials == credentials
                and self._clock.now() < kept.until
            ):
                return kept.token
            granted = _granted(await _ask(exchange, _request(credentials)))
            life = _seconds(granted.expires_in)
            self._kept[arn] = _Kept(credentials, granted.access_token, self._clock.now() + max(life - _MARGIN, 0.0))
            return granted.access_token

    def forget(self, arn: str) -> None:
        """The connection has changed."""
        self._kept.pop(arn, None)


async def _ask(exchange: Exchange, request: Request) -> Answer:
    try:
        return await exchange(request)
    except StatesError as error:
        if error.name != SOCKET:
            raise
        # Not the API itself is out of reach, so its error name would mislead; a retry may help all the same.
        cause = f"The authorization endpoint cannot be reached: {error.cause}"
        raise StatesError("Events.ConnectionResource.InternalError", cause) from None


def _request(credentials: ClientCredentials) -> Request:
    asked = {
        "grant_type": "client_credentials",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }
    headers = {"Accept": "application/json", **credentials.headers}
    if credentials.method == "GET":
        query = {**asked, **credentials.query, **credentials.body}
        return Request("GET", credentials.endpoint, headers, list(query.items()))
    headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
    body = urlencode({**asked, **credentials.body}).encode()
    return Request(credentials.method, credentials.endpoint, headers, list(credentials.query.items()), body)


def _granted(answer: Answer) -> _Granted:
    if answer.status >= 500 or answer.status == 429:
        cause = f"The authorization endpoint answered {answer.status} {answer.reason}"
        raise StatesError("Events.ConnectionResource.InternalError", cause)
    if not 200 <= answer.status < 300:
        cause = f"The authorization endpoint refused the client: {answer.status} {answer.reason}"
        raise StatesError("Events.ConnectionResource.InvalidConnectionState", cause)
    try:
        granted = msgspec.json.decode(answer.body, type=_Granted)
    except (msgspec.DecodeError, RecursionError):
        granted = None
    if granted is None or not _is_token(granted.access_token):
        cause = "The authorization endpoint answered without an access_token"
        raise StatesError("Events.ConnectionResource.InvalidConnectionState", cause)
    return granted


def _is_token(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()


def _seconds(told: float | str | None) -> float:
    """Some servers write the number as a text."""
    try:
        return float(told) if told is not None else _UNKNOWN_LIFE
    except ValueError:
        return _UNKNOWN_LIFE

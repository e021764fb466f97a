"""The one HTTP client of integrations: a request in, an answer out.

Owns the pool of connections, TLS, the size of answers, how many calls run at once and how long each may take, and the
error names of what goes wrong before there is an answer. Follows no redirect: AWS does not say that it does, and a
secret must not go where nobody sent it. Keeps no cookie: what one execution is told is nobody else's. Must never log a
header, a body or a query.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from treadle.errors import StatesError
from treadle.integrations.arguments import unusable

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

SOCKET: Final = "States.Http.Socket"
LARGEST: Final = 262_144
"""Bytes of an answer that a state can hold. AWS 'Service quotas'."""

_CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """A request, ready to be sent. `query` is added to what the URL has.

    `context` verifies the server's certificate; None leaves that to the client.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    query: Sequence[tuple[str, str]] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are as the server wrote them."""

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: bytes = field(repr=False)
    content_type: str = ""
    charset: str = "utf-8"


Exchange: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""Sends a request. Raises StatesError States.Http.Socket, States.DataLimitExceeded, States.Runtime."""


class HttpClient:
    """Sends requests over connections that it keeps open for the next one.

    `context` verifies the certificates of servers; None trusts what this machine trusts. `plain` allows http:// to
    other hosts than this one.
    """

    def __init__(self, *, context: ssl.SSLContext | None = None, plain: bool = False) -> None:
        self._context, self._plain = context, plain
        self._session: ClientSession | None = None

    async def exchange(self, request: Request) -> Answer:
        """Send a request and read the whole answer, however long it takes. See `Exchange`."""
        import aiohttp
        from yarl import URL

        if fault := address_fault(request.url, self._plain):
            raise unusable(fault)
        try:
            url = URL(request.url).extend_query(request.query)
            async with self._open().request(
                request.method,
                url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                ssl=request.context or self._context or True,
                # A compressed answer would make no sense together with Range.
                skip_auto_headers=("Accept-Encoding", "Content-Type"),
            ) as response:
                return await _answer(response)
        except aiohttp.ClientSSLError as error:
            raise StatesError(SOCKET, f"The connection is not secure: {error}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise StatesError(SOCKET, _told(error)) from None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> ClientSession:
        if self._session is None:
            import aiohttp

            # How many calls run at once is for `Turns` to say.
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=True,
            )
        return self._session


class Turns:
    """Lets so many calls be under way at once, each for so many seconds; who waits for a turn loses none of them."""

    def __init__(self, at_once: int) -> None:
        self._places = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self, seconds: float) -> AsyncGenerator[None]:
        """Take a turn. Raises TimeoutError when its time is over."""
        async with self._places, asyncio.timeout(seconds):
            yield


def address_fault(url: str, plain: bool) -> str:
    """Why nothing may be sent to a URL, "" where it may. `plain` allows http:// to other machines than this one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "The address is not a URL"
    if not host or parts.scheme not in ("https", "http"):
        return "The address must be a URL that begins with https://"
    if parts.username is not None or parts.password is not None:
        return "The address must not hold a user or a password"
    if parts.scheme == "http" and not plain and not _is_here(host):
        return f"The address must begin with https://: plain HTTP is for this machine alone, not for {host}"
    return ""


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _answer(response: ClientResponse) -> Answer:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > LARGEST:
            response.close()
            raise StatesError("States.DataLimitExceeded", f"The response has more than {LARGEST} bytes.")
    return Answer(
        response.status,
        response.reason or "",
        [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in response.raw_headers],
        bytes(body),
        response.content_type if "Content-Type" in response.headers else "",
        response.charset or "utf-8",
    )


def _told(error: Exception) -> str:
    """What went wrong, in a sentence that is never empty."""
    if isinstance(error, asyncio.TimeoutError):
        return "The connection timed out."
    return str(error) or type(error).__name__

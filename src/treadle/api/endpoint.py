"""One endpoint for all of AWS: which backend answers a request.

A request says which service it is for by the scope of its signature (AWS Signature Version 4) or by X-Amz-Target; the
JSON protocol of Step Functions is ours, and whoever builds a server adds backends for other services and one for the
rest. Owns that choice, and who may ask at all: no web page of another origin, but where `admits` says so, and with
`guard` only who signs.

    app = Endpoint({"states": StatesApp(host), "lambda": ...}, rest=...)
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from treadle.api.app import SERVICES, error_answer, respond, scope_of
from treadle.api.asgi import ClientGone, Headers, Receive, Send
from treadle.api.refusals import Codes, Refused, refusal
from treadle.errors import ApiError

Backend: TypeAlias = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
"""An ASGI application that answers HTTP requests."""
Admits: TypeAlias = Callable[[str, str], bool]
"""Whether a web page of an origin (the second) may ask for a path."""
Guard: TypeAlias = Callable[[Mapping[str, Any], Receive], Awaitable[Receive]]
"""Lets a request pass, giving what its body is read from, or raises Refused or ClientGone."""

_REMEDY: Final = "Start treadle with a local cloud, or give this client the endpoint of another one."
_UNKNOWN: Final = Codes("UnknownServiceException", "UnknownService", "UnknownService")
_LOCAL: Final = re.compile(r"localhost|127(\.\d+){3}|::1|.*\.localhost")


class Endpoint:
    """Routes requests to backends by the service that they are for.

    `backends` are found by the name that a signature has for a service (`states`, `lambda`, `s3`); `rest` answers for
    every other one. `paths` are pages of our own, found by the beginning of their path, before all else; `pages`
    are found by their whole path, for who reads them and signs nothing: a bucket may have such a name. `admits` knows
    what web pages of other origins may ask for. `remedy` is what to do about a service that is not served.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        rest: Backend | None = None,
        paths: Mapping[str, Backend] | None = None,
        pages: Mapping[str, Backend] | None = None,
        guard: Guard | None = None,
        admits: Admits | None = None,
        remedy: str | None = None,
    ) -> None:
        self._backends, self._rest, self._paths, self._guard = backends, rest, paths or {}, guard
        self._pages, self._admits, self._remedy = pages or {}, admits, remedy or _REMEDY

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            # uvicorn asks for nothing else; a WebSocket is refused by closing it.
            await send({"type": "websocket.close"})
            return
        headers: Headers = dict(scope["headers"])
        try:
            self._refuse_strangers(scope["path"], headers)
            if self._guard is not None:
                receive = await self._guard(scope, receive)
            backend = self._backend(scope["method"], scope["path"], headers)
        except ClientGone:
            return
        except Refused as refused:
            await respond(send, refused.status, refused.body, refused.type)
        except ApiError as error:
            await respond(send, *error_answer(error))
        else:
            await backend(scope, receive, send)

    def _refuse_strangers(self, path: str, headers: Headers) -> None:
        """A browser tells the origin of the page that asks: one of some other site may not, whatever name it uses."""
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or is_local(origin) or (self._admits is not None and self._admits(path, origin)):
            return
        raise ApiError("AccessDeniedException", "Web pages of other sites may not use this endpoint.")

    def _backend(self, method: str, path: str, headers: Headers) -> Backend:
        for beginning, backend in self._paths.items():
            if path == beginning or path.startswith(f"{beginning}/"):
                return backend
        service = service_of(headers)
        if service is None and method == "GET" and path in self._pages:
            return self._pages[path]
        backend = self._backends.get(service) if service else None
        backend = backend or self._rest
        if backend is None:
            named = f"The service {service!r}" if service else "A request without signature and X-Amz-Target"
            message = f"{named} is not served here: {', '.join(sorted(self._backends))} are. {self._remedy}"

            def header(name: str) -> str | None:
                value = headers.get(name.encode())
                return None if value is None else value.decode("latin-1")

            raise refusal(service, method, header, 400, _UNKNOWN, message)
        return backend


def service_of(headers: Headers) -> str | None:
    """The service that a request is for, by the name that a signature has for it."""
    target = headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")[0]
    return SERVICES.get(target) or scope_of(headers)[1]


def is_local(url: str) -> bool:
    """Whether the name in a URL is one of this machine."""
    return _LOCAL.fullmatch(urlsplit(url).hostname or "") is not None

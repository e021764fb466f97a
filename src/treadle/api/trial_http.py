"""What TestState tells of an HTTP task at the level TRACE: the request and the response.

Owns how they are written, and that what a connection adds is told only to who asks for it (AWS 'TestState',
revealSecrets). Keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode, urlsplit

from treadle.integrations.http_client import Answer, Request
from treadle.language.scope import Json


class HttpTrace:
    """Sees the exchanges of one trial; the last one is told."""

    def __init__(self, reveal: bool) -> None:
        self._reveal = reveal
        self.told: dict[str, Json] = {}
        """`request` and `response` as `inspectionData` has them."""

    def __call__(self, bare: Request, sent: Request, answer: Answer | None) -> None:
        """Take note of an exchange: without what the connection added, as it was sent, and the answer."""
        shown = sent if self._reveal else bare
        protocol = urlsplit(shown.url).scheme
        self.told = {
            "request": {
                "protocol": protocol,
                "method": shown.method,
                "url": _url(shown),
                "headers": _headers(shown.headers.items()),
            }
        }
        if shown.body is not None:
            self.told["request"]["body"] = shown.body.decode()
        if answer is not None:
            self.told["response"] = {
                "protocol": protocol,
                "statusCode": str(answer.status),
                "statusMessage": answer.reason,
                "headers": _headers(answer.headers),
                "body": _text(answer),
            }


def _url(request: Request) -> str:
    query = urlencode(list(request.query))
    return request.url if not query else f"{request.url}{'&' if '?' in request.url else '?'}{query}"


def _headers(headers: Iterable[tuple[str, str]]) -> str:
    return f"[{', '.join(f'{name}: {value}' for name, value in headers)}]"


def _text(answer: Answer) -> str:
    try:
        return answer.body.decode(answer.charset, "replace")
    except LookupError:
        return answer.body.decode("utf-8", "replace")

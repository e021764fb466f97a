"""Pages and their tokens.

A token tells where the next page begins. It is sealed with the store's key, so nobody can make one up, and it belongs
to one operation, one set of arguments and one day. AWS 'ListExecutions', nextToken.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from treadle.errors import ApiError

_DEFAULT: Final = 100
_VALID_SECONDS: Final = 24 * 3600.0
_MAC: Final = 16
# What may differ from page to page.
_FREE: Final = ("nextToken", "maxResults")


class Pages:
    """Makes and reads page tokens. `now` gives seconds since the epoch."""

    def __init__(self, key: bytes, now: Callable[[], float]) -> None:
        self._key, self._now = key, now

    def token(self, given: Mapping[str, Any], operation: str, position: str) -> str:
        """The token of the page that begins after `position`."""
        content = msgspec.json.encode((self._now() + _VALID_SECONDS, _scope(given, operation), position))
        return base64.urlsafe_b64encode(self._mac(content) + content).decode()

    def position(self, given: Mapping[str, Any], operation: str) -> str | None:
        """Where the page begins that a request asks for; None for the first. Raises ApiError InvalidToken."""
        token: str | None = given.get("nextToken")
        if token is None:
            return None
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise _invalid() from None
        mac, content = raw[:_MAC], raw[_MAC:]
        if not hmac.compare_digest(mac, self._mac(content)):
            raise _invalid()
        until, scope, position = msgspec.json.decode(content)
        if scope != _scope(given, operation) or until < self._now():
            raise _invalid()
        return position

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)[:_MAC]


def size(given: Mapping[str, Any]) -> int:
    """How many results a page has. AWS: 0 stands for the default."""
    return given.get("maxResults") or _DEFAULT


def _scope(given: Mapping[str, Any], operation: str) -> str:
    arguments = sorted((key, value) for key, value in given.items() if key not in _FREE)
    return hashlib.sha256(msgspec.json.encode((operation, arguments))).hexdigest()[:16]


def _invalid() -> ApiError:
    return ApiError("InvalidToken", "Invalid Token: 'Invalid token'")

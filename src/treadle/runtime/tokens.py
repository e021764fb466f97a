"""Task tokens: who may end a task from outside.

A token is the name of a wait and a MAC over it. So no secret is stored for it, a token of a wait that is long over is
recognised as such, and none can be made up. Never logged, never put into a URL.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from treadle.errors import ApiError

_MAC_BYTES = 32


class Tokens:
    """Makes and reads the task tokens of one store."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, arn: str, wait: int) -> str:
        """The token of a wait."""
        name = f"{wait}:{arn}".encode()
        return base64.urlsafe_b64encode(self._mac(name) + name).decode()

    def read(self, token: str) -> tuple[str, int]:
        """The execution and wait of a token. Raises ApiError InvalidToken."""
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise _invalid() from None
        mac, name = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(name)):
            raise _invalid()
        wait, _, arn = name.decode().partition(":")
        return arn, int(wait)

    def _mac(self, name: bytes) -> bytes:
        return hmac.digest(self._key, name, hashlib.sha256)


def _invalid() -> ApiError:
    return ApiError("InvalidToken", "Invalid Token: 'Invalid token'")

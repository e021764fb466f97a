"""Who is let in: a request that is signed with a key of a file, with the key that this start made for itself, or with
one that STS has given since.

Owns the keys, and reading a body to know its hash. Signatures are checked in `signatures`, `chunks` and `old_urls`.
Secrets are never logged, and no error tells one.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from treadle.api import old_urls, signatures
from treadle.api.app import SERVICES
from treadle.api.asgi import BodyTooLarge, Message, Receive, parts_of
from treadle.api.chunks import KINDS, Chunks
from treadle.api.refusals import Codes, Refused, refusal
from treadle.api.signatures import Asked, BadSignature, Signature
from treadle.errors import TreadleError

_MOST: Final = 128 * 1024 * 1024
"""Bytes of a request; S3's have their own limit."""
_MOST_OF_S3: Final = 5 * 1024**3
_KEPT: Final = 3600
"""Seconds that a key is remembered after its end, to tell why it is refused."""
_IN_MEMORY: Final = 1024 * 1024
_PIECE: Final = 256 * 1024

# By reason: code of JSON services, code of XML services, code of S3.
_CODES: Final = {
    "missing": ("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied"),
    "unknown": ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"),
    "incomplete": ("IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"),
    "mismatch": ("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
    "unsigned": ("InvalidSignatureException", "SignatureDoesNotMatch", "AccessDenied"),
    "skewed": ("InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"),
    "expired": ("InvalidSignatureException", "SignatureDoesNotMatch", "AccessDenied"),
    "payload": ("InvalidSignatureException", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch"),
    "token": ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidToken"),
    "ended": ("ExpiredTokenException", "ExpiredToken", "ExpiredToken"),
    "chunks": ("InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteBody"),
    "checksum": ("InvalidSignatureException", "SignatureDoesNotMatch", "BadDigest"),
    "large": ("RequestEntityTooLargeException", "RequestEntityTooLarge", "EntityTooLarge"),
}
_BAD_REQUEST: Final = ("incomplete", "payload", "large", "token", "ended", "chunks", "checksum")
# Words of S3 where they differ.
_SAID_BY_S3: Final = {"skewed": "The difference between the request time and the current time is too large."}
_INVALID: Final = "The security token included in the request is invalid."


class KeysError(TreadleError):
    """A file of keys that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A key: its secret, and for that of a session its token and the moment at which it ends, in seconds."""

    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    until: float | None = None


class SignedOnly:
    """A guard for `Endpoint`. `open_paths` need no signature, `own_paths` and `own_pages`, which are whole
    paths that are read, none from this machine."""

    def __init__(
        self,
        keys: Mapping[str, str],
        *,
        open_paths: tuple[str, ...] = (),
        own_paths: tuple[str, ...] = (),
        own_pages: tuple[str, ...] = (),
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key, self.secret = f"TREADLE{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30)
        """What this process and its functions sign with; new with every start."""
        self._keys = {key: _Known(secret) for key, secret in {**keys, self.key: self.secret}.items()}
        self._open, self._own, self._pages, self._now = open_paths, own_paths, own_pages, now

    def accept(self, key: str, secret: str, token: str | None = None, until: float | None = None) -> None:
        """Take one more key, such as that of a session: with its token alone, and not after `until`, in seconds."""
        now = self._now()
        ended = [each for each, known in self._keys.items() if known.until is not None and known.until < now - _KEPT]
        for each in ended:
            del self._keys[each]
        self._keys[key] = _Known(secret, token, until)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive) -> Receive:
        """Let a request pass; gives what its body is read from. Raises Refused, ClientGone."""
        path = scope["path"]
        own = _below(path, self._own) or (path in self._pages and _only_reads(scope))
        if _below(path, self._open) or (own and _from_here(scope)):
            return receive
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        asked = Asked(scope["method"], scope["raw_path"], scope["query_string"], headers)
        signature: Signature | None = None
        try:
            old = old_urls.read(asked)
            if old is not None:
                old_urls.check(asked, old, self._secret(old.key, old.token), self._now())
                return receive
            signature = signatures.read(asked)
            return await self._checked(asked, signature, receive)
        except BadSignature as bad:
            raise _refused(bad, asked, signature) from None

    async def _checked(self, asked: Asked, signature: Signature, receive: Receive) -> Receive:
        secret = self._secret(signature.key, signature.token)
        signatures.check_time(signature, self._now())
        meant = SERVICES.get((asked.header("x-amz-target") or "").partition(".")[0])
        if meant is not None and signature.service != meant:
            raise BadSignature("mismatch", f"Credential should be scoped to correct service: '{meant}'.")
        told = signatures.announced(asked, signature)
        if told is not None:
            # Nobody sends gigabytes here before it is known that the rest of the request is signed.
            signatures.check(asked, signature, secret, told)
            if told == signatures.UNSIGNED:
                return receive
        chunks = None
        if told in KINDS:
            length, trailers = asked.header("x-amz-decoded-content-length"), asked.header("x-amz-trailer")
            chunks = Chunks(told, signature, secret, length=length, trailers=trailers)
        body = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - whoever reads it to its end closes it
        try:
            hashed = await _hashed(receive, body, _MOST if told is None else _MOST_OF_S3, chunks)
            if told is None:
                signatures.check(asked, signature, secret, hashed)
            elif chunks is None and not hmac.compare_digest(told, hashed):
                raise BadSignature(
                    "payload", "The provided 'x-amz-content-sha256' header does not match what was computed."
                )
        except BaseException:
            body.close()
            raise
        return _again(body, receive)

    def _secret(self, key: str, token: str | None) -> str:
        known = self._keys.get(key)
        if known is None:
            raise BadSignature("unknown", _INVALID)
        if known.token is not None and not hmac.compare_digest(known.token.encode(), (token or "").encode()):
            raise BadSignature("token", _INVALID)
        if known.until is not None and self._now() > known.until:
            raise BadSignature("ended", "The security token included in the request is expired")
        return known.secret


def read_keys(path: Path) -> dict[str, str]:
    """Access key ids and secrets of a file in YAML or JSON. Raises KeysError."""
    import yaml

    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeysError(f"{path}: other users may read these secrets. Run: chmod 600 {path}")
        given: Any = yaml.safe_load(path.read_text())
        keys = msgspec.convert(given, dict[str, str])
    except OSError as error:
        raise KeysError(f"{path}: {error.strerror}. Name a file with access key ids and their secrets.") from None
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError):
        # What the parser says may have a secret in it.
        raise KeysError(f"{path}: must be a mapping of access key ids to secrets, all texts (quote them).") from None
    wrong = next((key for key in keys if not key or "/" in key or any(each.isspace() for each in key)), None)
    if not keys or wrong is not None or not all(keys.values()):
        raise KeysError(f"{path}: must have one key or more, ids without slash and space, no empty secret.")
    return keys


def _below(path: str, beginnings: tuple[str, ...]) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in beginnings)


def _only_reads(scope: Mapping[str, Any]) -> bool:
    """Whether a request is for a page: what names a service goes to that service, whatever its path."""
    names = {name.lower() for name, _ in scope["headers"]}
    return scope["method"] == "GET" and not names & {b"authorization", b"x-amz-target"}


def _from_here(scope: Mapping[str, Any]) -> bool:
    """Whether a connection comes from this machine: by loopback, or from the address that it goes to."""
    client, server = scope.get("client"), scope.get("server")
    if not client or not server:
        return False
    return ipaddress.ip_address(client[0]).is_loopback or client[0] == server[0]


async def _hashed(receive: Receive, into: IO[bytes], most: int, chunks: Chunks | None) -> str:
    hashing = hashlib.sha256()
    try:
        async for part in parts_of(receive, most):
            if chunks is not None:
                chunks.feed(part)
            hashing.update(part)
            into.write(part)
    except BodyTooLarge:
        raise BadSignature("large", f"A request has {most} bytes at the most.") from None
    if chunks is not None:
        chunks.end()
    into.seek(0)
    return hashing.hexdigest()


def _again(body: IO[bytes], receive: Receive) -> Receive:
    """The body once more, then whatever comes after it."""

    async def read() -> Message:
        if body.closed:
            return await receive()
        part = body.read(_PIECE)
        more = len(part) == _PIECE
        if not more:
            body.close()
        return {"type": "http.request", "body": part, "more_body": more}

    return read


def _refused(bad: BadSignature, asked: Asked, signature: Signature | None) -> Refused:
    service = signature.service if signature else None
    status = 400 if bad.reason in _BAD_REQUEST else 403
    s3 = service == "s3" or (service is None and asked.method != "POST")
    message = _SAID_BY_S3.get(bad.reason, bad.message) if s3 else bad.message
    return refusal(service, asked.method, asked.header, status, Codes(*_CODES[bad.reason]), message)

"""AWS Signature Version 4: whether a request was signed with a secret that is known.

Owns reading a signature (Authorization header, or query of a presigned URL), the canonical form of what was signed and
its check. It knows no ASGI and reads no body: `guard` does, and `chunks` checks those that are signed chunk by chunk.
Never tells a secret, nor what a right signature were.
Source: IAM User Guide 'Create a signed AWS API request'; S3 'Authenticating Requests (AWS Signature Version 4)'.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote_to_bytes

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
SKEW: Final = 15 * 60
"""Seconds that the clocks of client and server may differ."""
LONGEST: Final = 7 * 24 * 3600
"""Seconds that a presigned URL may be valid."""

SIGNED_CHUNKS: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER: Final = f"{SIGNED_CHUNKS}-TRAILER"
UNSIGNED_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_WORDS: Final = (UNSIGNED, SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER)
_KEPT: Final = "-_.~"
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_CREDENTIAL: Final = re.compile(r"([^/\s]{1,128})/(\d{8})/([a-z0-9-]{1,32})/([a-z0-9-]{1,64})/aws4_request")
_DATE: Final = re.compile(r"\d{8}T\d{6}Z")
# SDKs sign all of their x-amz- headers but this one.
_NEVER_SIGNED: Final = "x-amz-user-agent"


class BadSignature(Exception):
    """A request that is not let in. `reason` is one of the keys of `guard`'s table of codes."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class Asked:
    """A request without its body: the path and query as they were on the wire, names of headers in lower case."""

    method: str
    path: bytes
    query: bytes
    headers: Sequence[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """The values of a header, joined as they are signed; None without one."""
        values = [" ".join(value.split()) for each, value in self.headers if each == name]
        return ",".join(values) if values else None


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request says of its signature. `expires` is set for a presigned URL, in seconds; `token` is that of the
    session that the key belongs to."""

    key: str
    day: str
    region: str
    service: str
    date: str
    signed: tuple[str, ...]
    value: str
    expires: int | None = None
    token: str | None = None


def read(asked: Asked) -> Signature:
    """The signature that a request brings. Raises BadSignature: missing, incomplete."""
    found = [value for name, value in asked.headers if name == "authorization"]
    query = dict(pairs_of(asked.query))
    presigned = "X-Amz-Signature" in query or "X-Amz-Algorithm" in query
    if not found and not presigned:
        raise BadSignature("missing", "Missing Authentication Token")
    if len(found) + presigned > 1:
        raise _incomplete("a request is signed once, by its Authorization header or by its query")
    if not presigned:
        algorithm, _, rest = found[0].partition(" ")
        parts = {name.strip(): value for name, _, value in (each.partition("=") for each in rest.split(","))}
        date, token = asked.header("x-amz-date") or "", asked.header("x-amz-security-token")
        names = ("Credential", "SignedHeaders", "Signature")
    else:
        algorithm, parts, date = query.get("X-Amz-Algorithm", ""), query, query.get("X-Amz-Date", "")
        token = query.get("X-Amz-Security-Token")
        names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature")
    if algorithm != ALGORITHM:
        raise _incomplete(f"the algorithm must be {ALGORITHM}")
    lacking = [name for name in names if not parts.get(name, "").strip()]
    if lacking:
        raise _incomplete(f"it requires {', '.join(lacking)}")
    credential, signed, value = (parts[name].strip() for name in names)
    scope = _CREDENTIAL.fullmatch(credential)
    if scope is None:
        raise _incomplete("Credential must be <key>/<date>/<region>/<service>/aws4_request")
    if not _DATE.fullmatch(date):
        raise _incomplete("it requires X-Amz-Date as YYYYMMDDTHHMMSSZ")
    expires = None
    if presigned:
        told = query.get("X-Amz-Expires", "")
        if not (told.isascii() and told.isdigit() and len(told) < 8 and 0 < int(told) <= LONGEST):
            raise _incomplete(f"X-Amz-Expires must be from 1 to {LONGEST}")
        expires = int(told)
    return Signature(scope[1], scope[2], scope[3], scope[4], date, tuple(signed.split(";")), value, expires, token)


def check_time(signature: Signature, now: float) -> None:
    """Raises BadSignature (incomplete, skewed, expired, mismatch) unless it is valid at a time, in seconds."""
    try:
        signed = datetime.strptime(signature.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _incomplete("X-Amz-Date is no date") from None
    if signature.day != signature.date[:8]:
        raise BadSignature("mismatch", "The date of the credential scope is not the date of the request.")
    # The words are observed on AWS; S3 has its own for both.
    if signed > now + SKEW:
        raise BadSignature(
            "skewed",
            f"Signature not yet current: {signature.date} is still later than {_date(now + SKEW)} "
            f"({_date(now)} + 15 min.)",
        )
    if signature.expires is not None:
        if now > signed + signature.expires:
            raise BadSignature("expired", "Request has expired")
    elif now > signed + SKEW:
        raise BadSignature(
            "skewed",
            f"Signature expired: {signature.date} is now earlier than {_date(now - SKEW)} ({_date(now)} - 15 min.)",
        )


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def check(asked: Asked, signature: Signature, secret: str, payload: str) -> None:
    """Raises BadSignature (unsigned, mismatch) unless a request was signed with a secret. `payload` is what stands for
    its body: a SHA-256 in hexadecimal, or a word of S3's."""
    signed = set(signature.signed)
    if lacking := sorted(
        {name for name, _ in asked.headers if name.startswith("x-amz-") and name != _NEVER_SIGNED} - signed
        | ({"host"} - signed)
    ):
        raise BadSignature("unsigned", f"There were headers present which were not signed: {', '.join(lacking)}")
    right = _signature(signature, secret, _canonical(asked, signature, payload))
    if not hmac.compare_digest(right.encode(), signature.value.encode()):
        raise BadSignature(
            "mismatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method.",
        )


def announced(asked: Asked, signature: Signature) -> str | None:
    """What a request says of its body where this counts: S3 takes a hash, or one of the words `_WORDS`; else None.

    Raises BadSignature (payload).
    """
    if signature.service != "s3":
        return None
    told = asked.header("x-amz-content-sha256")
    if told is None:
        if signature.expires is not None:
            return UNSIGNED
        raise BadSignature("payload", "Missing required header for this request: x-amz-content-sha256")
    if told not in _WORDS and not _HASH.fullmatch(told):
        raise BadSignature("payload", f"x-amz-content-sha256 must be a SHA-256 or one of {', '.join(_WORDS)}.")
    return told


def scope_of(signature: Signature) -> str:
    """The credential scope: day, region and service."""
    return f"{signature.day}/{signature.region}/{signature.service}/aws4_request"


def signing_key(signature: Signature, secret: str) -> bytes:
    """The key that a secret gives for one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in scope_of(signature).split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _signature(signature: Signature, secret: str, canonical: str) -> str:
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join((ALGORITHM, signature.date, scope_of(signature), hashed))
    return hmac.new(signing_key(signature, secret), text.encode(), "sha256").hexdigest()


def _canonical(asked: Asked, signature: Signature, payload: str) -> str:
    path = _path_of_s3(asked.path) if signature.service == "s3" else _path_of_others(asked.path)
    presigned = signature.expires is not None
    pairs = [pair for pair in pairs_of(asked.query) if not (presigned and pair[0] == "X-Amz-Signature")]
    query = "&".join(
        f"{name}={value}" for name, value in sorted((_quoted(name), _quoted(value)) for name, value in pairs)
    )
    headers = "".join(f"{name}:{asked.header(name) or ''}\n" for name in signature.signed)
    return "\n".join((asked.method, path, query, headers, ";".join(signature.signed), payload))


def _path_of_s3(path: bytes) -> str:
    """A key may have dots and slashes in a row: they stay. It is encoded once."""
    return "/".join(quote(unquote_to_bytes(part), safe=_KEPT) for part in path.split(b"/")) or "/"


def _path_of_others(path: bytes) -> str:
    """Without dots and empty parts, and what is encoded on the wire is encoded once more."""
    kept: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del kept[-1:]
        elif part not in (b"", b"."):
            kept.append(part)
    normal = b"/" + b"/".join(kept) + (b"/" if kept and path.endswith(b"/") else b"")
    return quote(normal, safe=f"/{_KEPT}")


def pairs_of(query: bytes) -> list[tuple[str, str]]:
    """The names and values of a query, decoded."""
    parts = (each.partition(b"=") for each in query.split(b"&") if each)
    return [(_text(name), _text(value)) for name, _, value in parts]


def _text(wire: bytes) -> str:
    return unquote_to_bytes(wire).decode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe=_KEPT)


def _incomplete(why: str) -> BadSignature:
    return BadSignature("incomplete", f"The signature is incomplete: {why}.")

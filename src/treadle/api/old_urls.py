"""Presigned URLs of Signature Version 2: what boto3 makes for S3 where no other version is asked for.

Owns reading and checking them. Only URLs, and only S3's: a request that is signed by its header is signed with version
4 (`signatures`). Source: S3 'Signing and authenticating REST requests (AWS signature version 2)'.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from typing import Final

from treadle.api.signatures import Asked, BadSignature, pairs_of

_SIGNED: Final = re.compile(
    "accelerate|acl|analytics|cors|defaultObjectAcl|delete|inventory|lifecycle|location|logging|metrics|notification|"
    "object-lock|partNumber|policy|replication|requestPayment|restore|select|select-type|storageClass|tagging|torrent|"
    "uploadId|uploads|versionId|versioning|versions|website|response-[a-z-]+"
)
"""Parts of a query that say what is asked for, and are signed."""
_FREE: Final = re.compile(
    "(?i:AWSAccessKeyId|Signature|Expires|x-amz-.*|content-.*|prefix|delimiter|max-keys|list-type|continuation-token|"
    "start-after|encoding-type|.*marker|x-id)"
)
"""Those that are signed otherwise, or that only page through a list. With any other one somebody might ask for more."""


@dataclass(frozen=True, slots=True)
class OldSignature:
    """What a URL says of its signature. `expires` is a moment, in seconds."""

    key: str
    value: str
    expires: str
    token: str | None


def read(asked: Asked) -> OldSignature | None:
    """The signature of a URL; None where it has none of this version."""
    query = dict(pairs_of(asked.query))
    if not {"AWSAccessKeyId", "Signature", "Expires"} <= query.keys():
        return None
    return OldSignature(
        query["AWSAccessKeyId"], query["Signature"], query["Expires"], query.get("x-amz-security-token")
    )


def check(asked: Asked, signature: OldSignature, secret: str, now: float) -> None:
    """Raises BadSignature (incomplete, expired, mismatch) unless it was made with a secret and is valid now."""
    if not (signature.expires.isascii() and signature.expires.isdigit() and len(signature.expires) < 12):
        raise BadSignature("incomplete", "Expires must be a number of seconds since the epoch.")
    if now > int(signature.expires):
        raise BadSignature("expired", "Request has expired")
    right = base64.b64encode(hmac.digest(secret.encode(), _canonical(asked, signature).encode(), "sha1"))
    if not hmac.compare_digest(right, signature.value.encode("utf-8", "surrogateescape")):
        raise BadSignature(
            "mismatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
            "method.",
        )


def _canonical(asked: Asked, signature: OldSignature) -> str:
    query = pairs_of(asked.query)
    if unsigned := [name for name, _ in query if not _SIGNED.fullmatch(name) and not _FREE.fullmatch(name)]:
        raise BadSignature("unsigned", f"The query has what was not signed: {', '.join(unsigned)}")
    # What a browser cannot send as a header stands in the query.
    said = {name.lower(): value for name, value in query} | {
        name: asked.header(name) or "" for name, _ in asked.headers
    }
    amazon = "".join(f"{name}:{said[name]}\n" for name in sorted(said) if name.startswith("x-amz-"))
    named = sorted((name, value) for name, value in query if _SIGNED.fullmatch(name))
    resource = asked.path.decode("latin-1")
    if named:
        resource += "?" + "&".join(f"{name}={value}" if value else name for name, value in named)
    first = (asked.method, said.get("content-md5", ""), said.get("content-type", ""), signature.expires)
    return "\n".join((*first, f"{amazon}{resource}"))

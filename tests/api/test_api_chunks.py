"""Bodies in signed chunks: AWS's own example, and what is changed in one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.api import signatures
from treadle.api.chunks import Chunks
from treadle.api.signatures import SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER, Asked, BadSignature, Signature

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
# S3 'Transferring payload in multiple chunks', the example: 65 KiB of the letter a.
EXAMPLE = (
    ("10000", "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", 65536),
    ("400", "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497", 1024),
    ("0", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9", 0),
)
HEADERS = [
    ("host", "s3.amazonaws.com"),
    ("x-amz-date", "20130524T000000Z"),
    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("x-amz-content-sha256", SIGNED_CHUNKS),
    ("content-encoding", "aws-chunked"),
    ("x-amz-decoded-content-length", "66560"),
    ("content-length", "66824"),
    (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;"
        f"x-amz-decoded-content-length;x-amz-storage-class,Signature={SEED}",
    ),
]
SIGNATURE = Signature("k", "20260101", "us-east-1", "s3", "20260101T000000Z", ("host",), "5eed" * 16)


def fed(kind: str, signature: Signature, body: bytes, piece: int, **settings: Any) -> None:
    chunks = Chunks(kind, signature, SECRET, **{"length": None, "trailers": None, **settings})
    for start in range(0, len(body), piece):
        chunks.feed(body[start : start + piece])
    chunks.end()


def test_the_example_of_aws_is_right() -> None:
    asked = Asked("PUT", b"/examplebucket/chunkObject.txt", b"", HEADERS)
    signature = signatures.read(asked)
    assert signatures.announced(asked, signature) == SIGNED_CHUNKS
    signatures.check(asked, signature, SECRET, SIGNED_CHUNKS)
    body = b"".join(
        f"{size};chunk-signature={told}\r\n".encode() + b"a" * length + b"\r\n" for size, told, length in EXAMPLE
    )
    assert len(body) == 66824
    fed(SIGNED_CHUNKS, signature, body, 7000, length="66560")
    with pytest.raises(BadSignature, match="signature of a chunk"):
        fed(SIGNED_CHUNKS, signature, body.replace(b"aa\r\n", b"ab\r\n", 1), 7000, length="66560")


def signed(parts: list[bytes], trailer: dict[str, str], kind: str = SIGNED_TRAILER) -> bytes:
    """A body as an SDK makes it."""
    key = b"AWS4" + SECRET.encode()
    scope = "20260101/us-east-1/s3/aws4_request"
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    previous, body = SIGNATURE.value, bytearray()

    def sign(what: str, *hashes: str) -> str:
        nonlocal previous
        text = "\n".join((f"AWS4-HMAC-SHA256-{what}", SIGNATURE.date, scope, previous, *hashes))
        previous = hmac.new(key, text.encode(), "sha256").hexdigest()
        return previous

    for part in (*parts, b""):
        body += f"{len(part):x}".encode()
        if kind != UNSIGNED_TRAILER:
            told = sign("PAYLOAD", hashlib.sha256().hexdigest(), hashlib.sha256(part).hexdigest())
            body += f";chunk-signature={told}".encode()
        body += b"\r\n" + part + (b"\r\n" if part or kind == SIGNED_CHUNKS else b"")
    if kind != SIGNED_CHUNKS:
        body += b"".join(f"{name}:{value}\r\n".encode() for name, value in trailer.items())
    if kind == SIGNED_TRAILER:
        canonical = "".join(f"{name}:{value}\n" for name, value in sorted(trailer.items()))
        told = sign("TRAILER", hashlib.sha256(canonical.encode()).hexdigest())
        body += f"x-amz-trailer-signature:{told}\r\n".encode()
    return bytes(body) + (b"" if kind == SIGNED_CHUNKS else b"\r\n")


def crc32(content: bytes) -> dict[str, str]:
    return {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()}


KINDS = (SIGNED_CHUNKS, SIGNED_TRAILER, UNSIGNED_TRAILER)


@given(st.sampled_from(KINDS), st.lists(st.binary(min_size=1, max_size=50), max_size=4), st.integers(1, 60))
def test_a_body_is_taken_however_it_is_cut(kind: str, parts: list[bytes], piece: int) -> None:
    content = b"".join(parts)
    trailers = None if kind == SIGNED_CHUNKS else "x-amz-checksum-crc32"
    body = signed(parts, crc32(content), kind)
    fed(kind, SIGNATURE, body, piece, length=str(len(content)), trailers=trailers)


@given(st.sampled_from((SIGNED_CHUNKS, SIGNED_TRAILER)), st.data())
def test_a_byte_that_is_changed_is_refused(kind: str, data: st.DataObject) -> None:
    parts = [b"one", b"and another"]
    body = bytearray(signed(parts, crc32(b"".join(parts)), kind))
    trailers = None if kind == SIGNED_CHUNKS else "x-amz-checksum-crc32"
    at = data.draw(st.integers(0, len(body) - 1))
    # Names of headers and numbers may be written in capital letters: the change must be more than that.
    body[at] = data.draw(st.integers(0, 255).filter(lambda new: chr(new).lower() != chr(body[at]).lower()))
    with pytest.raises(BadSignature):
        fed(kind, SIGNATURE, bytes(body), 16, length="14", trailers=trailers)


@pytest.mark.parametrize(
    ("body", "settings", "reason"),
    [
        (signed([b"abc"], crc32(b"abd"), UNSIGNED_TRAILER), {}, "checksum"),
        (signed([b"abc"], {}, UNSIGNED_TRAILER), {}, "chunks"),
        (signed([b"abc"], crc32(b"abc"), UNSIGNED_TRAILER)[:-2], {}, "chunks"),
        (signed([b"abc"], crc32(b"abc"), UNSIGNED_TRAILER) + b"x", {}, "chunks"),
        (signed([b"abc"], crc32(b"abc"), UNSIGNED_TRAILER), {"length": "4"}, "chunks"),
        (signed([b"abc"], crc32(b"abc"), UNSIGNED_TRAILER), {"length": "2"}, "chunks"),
        (signed([b"abc"], crc32(b"abc"), UNSIGNED_TRAILER), {"length": None}, "chunks"),
        (b"f" * 5000, {}, "chunks"),
        (b"-1\r\n", {}, "chunks"),
    ],
)
def test_a_body_that_is_not_whole_is_refused(body: bytes, settings: dict[str, Any], reason: str) -> None:
    settings = {"length": "3", "trailers": "x-amz-checksum-crc32", **settings}
    with pytest.raises(BadSignature) as refused:
        fed(UNSIGNED_TRAILER, SIGNATURE, body, 10, **settings)
    assert refused.value.reason == reason


def test_a_chunk_without_its_signature_is_refused() -> None:
    body = signed([b"abc"], {}, UNSIGNED_TRAILER)
    with pytest.raises(BadSignature):
        fed(SIGNED_TRAILER, replace(SIGNATURE), body, 10, length="3")

"""Objects through the port without `--auth`: presigned URLs, checksums, aws-chunked bodies, uploads in parts."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from served_up import Up

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    up = Up(tmp_path_factory.mktemp("data"))
    s3(up.endpoint).create_bucket(Bucket="papers")
    yield up.endpoint
    assert up.end() == 0


def s3(endpoint: str, **settings: Any) -> Any:
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client("s3", "us-east-1", endpoint_url=endpoint, config=Config(**settings), **keys)


def content(endpoint: str, key: str) -> bytes:
    return s3(endpoint).get_object(Bucket="papers", Key=key)["Body"].read()


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_put_and_get(endpoint: str, version: str) -> None:
    client = s3(endpoint, signature_version=version)
    named = {"Bucket": "papers", "Key": f"by {version}"}
    # urllib says of all data that it is a form.
    with urlopen(Request(client.generate_presigned_url("put_object", Params=named), b"a=1", method="PUT")) as answer:
        assert answer.status == 200
    with urlopen(client.generate_presigned_url("get_object", Params=named)) as answer:
        assert answer.read() == b"a=1"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_are_kept_with_an_object(endpoint: str, algorithm: str) -> None:
    client, key = s3(endpoint), f"checked by {algorithm}"
    client.put_object(Bucket="papers", Key=key, Body=io.BytesIO(b"x" * 100_000), ChecksumAlgorithm=algorithm)
    got = client.get_object(Bucket="papers", Key=key, ChecksumMode="ENABLED")
    assert got["Body"].read() == b"x" * 100_000


def test_a_file_is_uploaded_in_parts(endpoint: str, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"".join(bytes([number]) * MIB for number in range(12)))
    parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3(endpoint).upload_file(str(file), "papers", "large", Config=parts)
    head = s3(endpoint).head_object(Bucket="papers", Key="large")
    assert (head["ContentLength"], head["ETag"].endswith('-3"')) == (12 * MIB, True)
    assert hashlib.sha256(content(endpoint, "large")).digest() == hashlib.sha256(file.read_bytes()).digest()


@pytest.mark.parametrize("framed", ["content-length", "transfer-encoding"])
def test_a_body_in_chunks_with_a_trailing_checksum_is_kept_without_its_frame(endpoint: str, framed: str) -> None:
    parts = [b"one" * 30_000, b"two"]
    whole = b"".join(parts)
    checksum = base64.b64encode(zlib.crc32(whole).to_bytes(4, "big")).decode()
    body = b"".join(f"{len(each):x}\r\n".encode() + each + b"\r\n" for each in parts)
    body += f"0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(whole)),
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
    pieces = iter([body[:50_000], body[50_000:]]) if framed == "transfer-encoding" else body
    connection.request("PUT", f"/papers/{framed}", pieces, headers, encode_chunked=framed == "transfer-encoding")
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()
    assert content(endpoint, framed) == whole

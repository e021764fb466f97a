"""A bucket of S3, or of anything that speaks S3.

Objects are read in ranges of a few megabytes: no connection stays open while a map run works on a page, for hours
perhaps, and a range that fails is asked for again. Every range is of the same object: If-Match refuses one that was
replaced meanwhile.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from treadle.items.objects import Fault, Listed

STRIDE: Final = 4 * 1024 * 1024
"""How much one request reads."""

KEYS: Final = 1000
"""How many objects one request lists: the most that S3 gives."""

ATTEMPTS: Final = 3
"""How often a range is asked for whose body broke off. Requests that fail as a whole are repeated by botocore."""


class S3Client(Protocol):
    """What is used of a boto3 S3 client. It is called from several threads at once, as boto3's may be."""

    def get_object(self, **request: Any) -> Mapping[str, Any]: ...
    def list_objects_v2(self, **request: Any) -> Mapping[str, Any]: ...
    def put_object(self, **request: Any) -> Mapping[str, Any]: ...
    def create_multipart_upload(self, **request: Any) -> Mapping[str, Any]: ...
    def upload_part(self, **request: Any) -> Mapping[str, Any]: ...
    def complete_multipart_upload(self, **request: Any) -> Mapping[str, Any]: ...
    def abort_multipart_upload(self, **request: Any) -> Mapping[str, Any]: ...
    def close(self) -> None: ...


def client_from_environment(connections: int) -> S3Client:
    """A client with the region, the credentials and the endpoint (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL) of the
    environment and of AWS's configuration files."""
    import os

    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # Endpoints of this machine have no name per bucket.
    elsewhere = any(os.environ.get(name) for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=connections,
        s3={"addressing_style": "path" if elsewhere else "auto"},
    )
    try:
        session: Any = boto3.session.Session()
        return session.client("s3", config=config)
    except BotoCoreError as error:
        raise Fault(f"S3 cannot be reached: {error}") from None


def unasked() -> S3Client:
    """The client of a host that was not told to call AWS. Raises Fault."""
    raise Fault("AWS itself is never called unasked: set AWS_ENDPOINT_URL, or use `treadle run --aws`")


class S3Bucket:
    """A bucket; `owner` is the account that must own it, where one is expected."""

    def __init__(self, client: S3Client, name: str, owner: str | None = None) -> None:
        self._client = client
        self._name = name
        self._where = {"Bucket": name, **({} if owner is None else {"ExpectedBucketOwner": owner})}
        # AWS 'Map.Item.Source' has the scheme in capitals.
        self.source = f"S3://{name}"

    @contextmanager
    def open(self, key: str, version: str | None = None) -> Generator[_S3Object]:
        """The object at `key`, or a version of it. Raises Fault."""
        where = {**self._where, "Key": key, **({} if version is None else {"VersionId": version})}
        yield _S3Object(self._client, where, f"{self.source}/{key}")

    def listing(self, prefix: str) -> Iterator[Sequence[Listed]]:
        """All objects whose key begins with `prefix`, by pages of up to 1,000. Raises Fault."""
        request: dict[str, Any] = {**self._where, "Prefix": prefix, "MaxKeys": KEYS}
        while True:
            answer = _ask(f"{self.source}/{prefix}", self._client.list_objects_v2, request)
            yield [
                Listed(
                    each["Key"],
                    each["ETag"],
                    each["LastModified"].timestamp(),
                    each["Size"],
                    each.get("StorageClass", "STANDARD"),
                )
                for each in answer.get("Contents", ())
            ]
            if not answer.get("IsTruncated"):
                return
            request["ContinuationToken"] = answer["NextContinuationToken"]

    def create(self, key: str, content_type: str) -> _S3Upload:
        """An object to write. Raises Fault."""
        return _S3Upload(self._client, {**self._where, "Key": key}, content_type, f"{self.source}/{key}")


class _S3Object:
    """The first request learns the size and which object it is, and keeps the first stride for whoever reads it."""

    def __init__(self, client: S3Client, where: Mapping[str, Any], source: str) -> None:
        self._client = client
        self._where = dict(where)
        self.source = source
        self.size = 0
        self.stride = STRIDE
        self._first = self._get(0, STRIDE)

    def read(self, start: int, length: int) -> bytes:
        first = self._first[start : start + length]
        if len(first) == length:
            return first
        # Who reads on does not come back, apart from the few who read here and there: they may ask again.
        self._first = b""
        return self._get(start, length)

    def _get(self, start: int, length: int) -> bytes:
        request = {**self._where, "Range": f"bytes={start}-{start + length - 1}"}
        for attempt in range(ATTEMPTS):
            try:
                return self._body(start, length, _ask(self.source, self._client.get_object, request, empty=start == 0))
            except _BrokeOff as error:
                if attempt == ATTEMPTS - 1:
                    raise Fault(f"{self.source}: {error}") from None
        raise AssertionError("unreachable")

    def _body(self, start: int, length: int, answer: Mapping[str, Any] | None) -> bytes:
        if answer is None:
            return b""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        try:
            with answer["Body"] as body:
                data: bytes = body.read()
        except (HTTPClientError, IncompleteReadError, OSError) as error:
            raise _BrokeOff(f"the answer broke off: {error}") from None
        if start == 0 and not self.size:
            # `bytes 0-99/1234`; a server without ranges sends all of it and no such header.
            told = str(answer.get("ContentRange", "")).rpartition("/")[2]
            self.size = int(told) if told.isdigit() else len(data)
            self._where["IfMatch"] = answer["ETag"]
        if len(data) != min(length, self.size - start):
            raise _BrokeOff(f"{len(data)} bytes came for {min(length, self.size - start)}")
        return data


class _BrokeOff(Exception):
    """A range came incomplete."""


class _S3Upload:
    """One put for what fits one part, a multipart upload for more.

    Written again under the same key it replaces what is there. What a killed process left of a multipart upload is
    never seen under the key; S3's lifecycle rule AbortIncompleteMultipartUpload clears it away.
    """

    def __init__(self, client: S3Client, where: Mapping[str, Any], content_type: str, source: str) -> None:
        self._client = client
        self._where = where
        self._type = {"ContentType": content_type}
        self._source = source
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []

    def write(self, part: bytes) -> None:
        if self._upload is None:
            self._upload = self._ask(self._client.create_multipart_upload, self._type)["UploadId"]
        number = len(self._parts) + 1
        answer = self._ask(self._client.upload_part, {"UploadId": self._upload, "PartNumber": number, "Body": part})
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def finish(self, last: bytes) -> None:
        if self._upload is None:
            self._ask(self._client.put_object, {"Body": last, **self._type})
            return
        self.write(last)
        done = {"UploadId": self._upload, "MultipartUpload": {"Parts": self._parts}}
        self._ask(self._client.complete_multipart_upload, done)
        self._upload = None

    def abort(self) -> None:
        if self._upload is not None:
            self._ask(self._client.abort_multipart_upload, {"UploadId": self._upload})
            self._upload = None

    def _ask(self, call: Any, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return _ask(self._source, call, {**self._where, **request})


def _ask(source: str, call: Any, request: Mapping[str, Any], *, empty: bool = False) -> Any:
    """A call's answer; None where `empty` allows it and the object has no bytes. Raises Fault as the SDK words it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(**request)
    except ClientError as error:
        told: Mapping[str, Any] = error.response.get("Error", {})
        code, status = told.get("Code", ""), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if empty and code == "InvalidRange":
            return None
        if code == "PreconditionFailed":
            raise Fault(f"{source}: was replaced while it was read") from None
        message = told.get("Message") or code
        raise Fault(f"{source}: {message} (Service: S3, Status Code: {status}, Error Code: {code})") from None
    except BotoCoreError as error:
        raise Fault(f"{source}: {error}") from None

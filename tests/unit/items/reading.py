"""What the tests of this folder share: buckets of both kinds, filled, and their items read through the port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from local_cloud import LocalCloud
from treadle.errors import StatesError
from treadle.items import Access, DataSets
from treadle.runtime.ports import ItemPage

GET, LIST = "arn:aws:states:::s3:getObject", "arn:aws:states:::s3:listObjectsV2"


class Text:
    """An object in memory."""

    stride = 256 * 1024

    def __init__(self, content: bytes, source: str = "S3://bucket/file") -> None:
        self.content = content
        self.source = source
        self.size = len(content)

    def read(self, start: int, length: int) -> bytes:
        return self.content[start : start + length]


def folder(path: Path, files: Mapping[str, bytes | str]) -> str:
    """A folder with these files, as the name of a bucket."""
    for name, content in files.items():
        target = path / name
        (target if name.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            target.write_bytes(content.encode() if isinstance(content, str) else content)
    return path.as_uri()


def bucket(cloud: LocalCloud, files: Mapping[str, bytes | str]) -> str:
    """A new bucket with these objects."""
    name = cloud.unique("bucket")
    client = cloud.client("s3")
    client.create_bucket(Bucket=name)
    for key, content in files.items():
        client.put_object(Bucket=name, Key=key, Body=content)
    client.close()
    return name


def access(cloud: LocalCloud | None = None) -> Access:
    """Access to S3 on this machine, or to folders alone."""
    return Access((lambda: cloud.client("s3")) if cloud else None)


def pages(
    where: str,
    arguments: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    cloud: LocalCloud | None = None,
    resource: str = GET,
    skip: int = 0,
    most: int | None = None,
) -> list[ItemPage]:
    """All pages of a data set, read as a host reads them."""

    async def read() -> list[ItemPage]:
        door = access(cloud)
        reader = {
            "resource": resource,
            "arguments": {"Bucket": where, **arguments},
            "config": dict(config),
            "maxItems": most,
        }
        try:
            return [page async for page in DataSets(door).pages(reader, skip)]
        finally:
            await door.close()

    return asyncio.run(read())


def items(*given: Any, **settings: Any) -> list[Any]:
    """All items of a data set."""
    return [item for page in pages(*given, **settings) for item in page.items]


def cause(work: Callable[[], object], name: str = "States.ItemReaderFailed") -> str:
    """Why reading fails, or writing, with that error name."""
    with pytest.raises(StatesError) as caught:
        work()
    assert caught.value.name == name
    return caught.value.cause or ""

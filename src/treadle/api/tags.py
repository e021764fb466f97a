"""Operations on tags."""

from __future__ import annotations

from treadle.api.host import Host
from treadle.api.request import Answer, Request


async def add(host: Host, request: Request) -> Answer:
    """TagResource."""
    tags = {each["key"]: each.get("value", "") for each in request.given["tags"] if "key" in each}
    await host.tags.add(request.given["resourceArn"], tags)
    return {}


async def remove(host: Host, request: Request) -> Answer:
    """UntagResource."""
    await host.tags.remove(request.given["resourceArn"], request.given["tagKeys"])
    return {}


async def list_all(host: Host, request: Request) -> Answer:
    """ListTagsForResource."""
    tags = await host.tags.of(request.given["resourceArn"])
    return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

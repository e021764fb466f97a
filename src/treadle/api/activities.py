"""Operations on activities, and the long poll of their workers."""

from __future__ import annotations

import asyncio
from typing import Final

from treadle.api import pages
from treadle.api.configurations import AWS_OWNED, encryption_of
from treadle.api.host import Host
from treadle.api.request import Answer, Request, seconds
from treadle.catalog import Activity, parse_arn
from treadle.catalog.arns import check_name
from treadle.catalog.tags import checked
from treadle.machine.journal import json_text

PATIENCE_SECONDS: Final = 60.0
"""AWS 'GetActivityTask': how long a worker waits for a task."""


async def create(host: Host, request: Request) -> Answer:
    """CreateActivity."""
    given = request.given
    check_name(given["name"])
    arn = request.arn("activity", given["name"])
    tags = checked({each["key"]: each.get("value", "") for each in given.get("tags", ())}, arn)
    encryption = encryption_of(given.get("encryptionConfiguration")) or AWS_OWNED
    if await host.activities.find(arn) is None:
        host.census.room_for_activity()
    activity = await host.activities.create(arn, given["name"], encryption, tags)
    return {"activityArn": activity.arn, "creationDate": seconds(activity.created_at)}


async def describe(host: Host, request: Request) -> Answer:
    """DescribeActivity."""
    activity = await host.activities.get(parse_arn(request.given["activityArn"], "activity").text)
    return {**_listed(activity), "encryptionConfiguration": activity.encryption}


async def delete(host: Host, request: Request) -> Answer:
    """DeleteActivity."""
    await host.activities.delete(parse_arn(request.given["activityArn"], "activity").text)
    return {}


async def list_all(host: Host, request: Request) -> Answer:
    """ListActivities."""
    position, limit = host.pages.position(request.given, request.operation), pages.size(request.given)
    found = await host.activities.listed(request.arn("activity"), position or "", limit + 1)
    return {
        "activities": [_listed(each) for each in found[:limit]],
        "nextToken": host.next_page(request, found[limit - 1].arn if len(found) > limit else None),
    }


async def get_task(host: Host, request: Request) -> Answer:
    """GetActivityTask. When the server is about to stop, the poll ends early, as if no task had come."""
    arn = parse_arn(request.given["activityArn"], "activity").text
    await host.activities.get(arn)
    with host.polls.waiting(arn):
        taking = asyncio.ensure_future(
            host.engine.take_activity(arn, request.given.get("workerName"), PATIENCE_SECONDS)
        )
        closing = asyncio.ensure_future(host.closing.wait())
        try:
            await asyncio.wait((taking, closing), return_when=asyncio.FIRST_COMPLETED)
            task = taking.result() if taking.done() else None
        finally:
            closing.cancel()
            taking.cancel()
    return {} if task is None else {"taskToken": task.token, "input": json_text(task.input)}


def _listed(activity: Activity) -> Answer:
    return {
        "activityArn": activity.arn,
        "name": activity.name,
        "creationDate": seconds(activity.created_at),
    }

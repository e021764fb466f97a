"""Operations on the versions of a state machine."""

from __future__ import annotations

from treadle.api import pages
from treadle.api.host import Host
from treadle.api.request import Answer, Request, seconds
from treadle.api.state_machines import machine_arn
from treadle.catalog import parse_arn
from treadle.errors import ApiError


async def publish(host: Host, request: Request) -> Answer:
    """PublishStateMachineVersion."""
    given = request.given
    arn = machine_arn(given["stateMachineArn"])
    version = await host.machines.publish(arn.text, given.get("revisionId"), given.get("description"))
    return {"creationDate": seconds(version.created_at), "stateMachineVersionArn": version.arn}


async def delete(host: Host, request: Request) -> Answer:
    """DeleteStateMachineVersion."""
    text = request.given["stateMachineVersionArn"]
    arn = parse_arn(text, "stateMachine")
    number = arn.qualifier or ""
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise ApiError("ValidationException", f"The ARN is not that of a state machine version: '{text}'")
    await host.machines.delete_version(arn.unqualified, int(number))
    return {}


async def list_all(host: Host, request: Request) -> Answer:
    """ListStateMachineVersions, the newest first."""
    arn = machine_arn(request.given["stateMachineArn"])
    position, limit = host.pages.position(request.given, request.operation), pages.size(request.given)
    await host.machines.get(arn.text)
    found = [each for each in await host.machines.versions(arn.text) if position is None or each.number < int(position)]
    return {
        "stateMachineVersions": [
            {"stateMachineVersionArn": each.arn, "creationDate": seconds(each.created_at)} for each in found[:limit]
        ],
        "nextToken": host.next_page(request, str(found[limit - 1].number) if len(found) > limit else None),
    }

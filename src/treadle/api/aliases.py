"""Operations on the aliases of a state machine."""

from __future__ import annotations

from typing import Any

from treadle.api import pages
from treadle.api.host import Host
from treadle.api.request import Answer, Request, seconds
from treadle.catalog import Alias, Arn, Route, parse_arn
from treadle.errors import ApiError


async def create(host: Host, request: Request) -> Answer:
    """CreateStateMachineAlias."""
    given = request.given
    alias = await host.aliases.create(given["name"], given.get("description"), _routes(given["routingConfiguration"]))
    return {"stateMachineAliasArn": alias.arn, "creationDate": seconds(alias.created_at)}


async def describe(host: Host, request: Request) -> Answer:
    """DescribeStateMachineAlias."""
    alias = await host.aliases.get(_arn(request))
    return {
        "stateMachineAliasArn": alias.arn,
        "name": alias.name,
        "description": alias.description,
        "routingConfiguration": [
            {"stateMachineVersionArn": each.version_arn, "weight": each.weight} for each in alias.routes
        ],
        "creationDate": seconds(alias.created_at),
        "updateDate": seconds(alias.updated_at),
    }


async def update(host: Host, request: Request) -> Answer:
    """UpdateStateMachineAlias."""
    description, routing = request.given.get("description"), request.given.get("routingConfiguration")
    if description is None and routing is None:
        raise ApiError(
            "ValidationException",
            "Either the description or the routing configuration must be specified",
            reason="MISSING_REQUIRED_PARAMETER",
        )
    routes = None if routing is None else _routes(routing)
    alias = await host.aliases.update(_arn(request), description, routes)
    return {"updateDate": seconds(alias.updated_at)}


async def delete(host: Host, request: Request) -> Answer:
    """DeleteStateMachineAlias."""
    await host.aliases.delete(_arn(request))
    return {}


async def list_all(host: Host, request: Request) -> Answer:
    """ListStateMachineAliases."""
    arn = parse_arn(request.given["stateMachineArn"], "stateMachine")
    position, limit = host.pages.position(request.given, request.operation), pages.size(request.given)
    found = await host.aliases.listed(arn)
    begin = 0 if position is None else int(position)
    shown = found[begin : begin + limit]
    return {
        "stateMachineAliases": [_listed(each) for each in shown],
        "nextToken": host.next_page(request, str(begin + limit) if len(found) > begin + limit else None),
    }


def _arn(request: Request) -> Arn:
    return parse_arn(request.given["stateMachineAliasArn"], "stateMachine")


def _routes(given: list[dict[str, Any]]) -> list[Route]:
    return [Route(each["stateMachineVersionArn"], int(each["weight"])) for each in given]


def _listed(alias: Alias) -> Answer:
    return {"stateMachineAliasArn": alias.arn, "creationDate": seconds(alias.created_at)}

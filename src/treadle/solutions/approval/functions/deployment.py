"""The deployment API: which version of each package an environment has.

A release is deployed as a whole or not at all, by one transaction. Deploying what is there already changes nothing, so
a retry is safe. An older version than the deployed one is refused unless the caller asks for a rollback.
"""

from __future__ import annotations

import os
import time
from typing import Any

from aws import client, code_of
from botocore.exceptions import ClientError
from credentials import require_bearer, secret_of
from packages import read_packages, version_of
from web import Refusal, Request, log, serve

_secret = secret_of("API_SECRET")
_client = client("dynamodb")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """POST /deployment {"story", "environment", "packages", "execution", "rollback"?}."""
    return serve(event, _deploy)


def _deploy(request: Request) -> dict[str, Any]:
    require_bearer(request, _secret)
    body = request.json()
    environment, known = body.get("environment"), os.environ["ENVIRONMENTS"].split(",")
    if environment not in known:
        raise Refusal(422, "UnknownEnvironment", f"environment must be one of {', '.join(known)}.")
    packages = read_packages(body.get("packages"))
    if len({each.id for each in packages}) < len(packages):
        raise Refusal(422, "RepeatedPackage", "Each package may be deployed in one version only.")
    there = _deployed(environment)
    older = [
        f"{each.id} {each.version} is older than {there[each.id]}"
        for each in packages
        if (version_of(each.version) or (0, 0, 0)) < (version_of(there.get(each.id)) or (0, 0, 0))
    ]
    if older and body.get("rollback") is not True:
        raise Refusal(409, "OlderVersion", "Send rollback: true to deploy older versions.", faults=older)
    changed = [each for each in packages if there.get(each.id) != each.version]
    if changed:
        by = {"story": str(body.get("story", "")), "execution": str(body.get("execution", ""))}
        _write(str(environment), [(each.id, each.version) for each in changed], there, by)
    log.info('{"deployed": %d, "unchanged": %d}', len(changed), len(packages) - len(changed))
    return {
        "environment": environment,
        "deployed": {each.id: each.version for each in changed},
        "replaced": {each.id: there[each.id] for each in changed if each.id in there},
        "unchanged": [each.id for each in packages if each not in changed],
    }


def _deployed(environment: str) -> dict[str, str]:
    found: dict[str, str] = {}
    pages = _client.get_paginator("query").paginate(
        TableName=os.environ["DEPLOYMENTS"],
        KeyConditionExpression="environment = :environment",
        ExpressionAttributeValues={":environment": {"S": environment}},
        ConsistentRead=True,
    )
    for page in pages:
        found |= {each["package"]["S"]: each["version"]["S"] for each in page["Items"]}
    return found


def _write(environment: str, packages: list[tuple[str, str]], there: dict[str, str], by: dict[str, str]) -> None:
    puts: list[dict[str, Any]] = []
    for package, version in packages:
        item = {"environment": environment, "package": package, "version": version, "at": str(int(time.time())), **by}
        put: dict[str, Any] = {
            "TableName": os.environ["DEPLOYMENTS"],
            "Item": {name: {"S": value} for name, value in item.items()},
            "ExpressionAttributeNames": {"#version": "version"},
            "ConditionExpression": "attribute_not_exists(#version)",
        }
        if package in there:
            put["ConditionExpression"] = "#version = :there"
            put["ExpressionAttributeValues"] = {":there": {"S": there[package]}}
        puts.append({"Put": put})
    try:
        _client.transact_write_items(TransactItems=puts)
    except ClientError as error:
        if code_of(error) != "TransactionCanceledException":
            raise
        # Another deployment came between reading and writing: what it left must be looked at anew.
        raise Refusal(503, "Busy", f"Something else is deployed to {environment}: try again.", retry_after=1) from None

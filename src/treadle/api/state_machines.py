"""Operations on state machines."""

from __future__ import annotations

from typing import Any

from treadle.api import pages
from treadle.api.configurations import encryption_of, logging_of, shown, tracing_of
from treadle.api.definitions import check_definition, variable_references
from treadle.api.host import Host
from treadle.api.request import Answer, Request, seconds
from treadle.catalog import Arn, Machine, Settings, parse_arn
from treadle.catalog.arns import check_name, check_role
from treadle.catalog.machines import Found, missing
from treadle.catalog.records import version_arn
from treadle.catalog.tags import checked
from treadle.errors import ApiError


async def create(host: Host, request: Request) -> Answer:
    """CreateStateMachine."""
    given = request.given
    name: str = given["name"]
    type = given.get("type", "STANDARD")
    check_name(name)
    publish = _publishing(given)
    arn = request.arn("stateMachine", name)
    tags = checked({each["key"]: each.get("value", "") for each in given.get("tags", ())}, arn)
    settings = await _settings(host, given)
    await check_definition(given["definition"], type)
    if await host.machines.find(arn) is None:
        host.census.room_for_machine()
    machine = await host.machines.create(
        arn, name, type, settings, publish=publish, description=given.get("versionDescription"), tags=tags
    )
    return {
        "stateMachineArn": machine.arn,
        "creationDate": seconds(machine.created_at),
        "stateMachineVersionArn": version_arn(machine.arn, 1) if publish else None,
    }


async def update(host: Host, request: Request) -> Answer:
    """UpdateStateMachine."""
    given = request.given
    arn = machine_arn(given["stateMachineArn"])
    publish = _publishing(given)
    settings = await _settings(host, given)
    if settings == Settings() and not publish:
        raise ApiError(
            "MissingRequiredParameter",
            "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be "
            "specified",
        )
    machine = await host.machines.get(arn.text)
    if settings.definition is not None:
        await check_definition(settings.definition, machine.type)
    machine, version = await host.machines.update(
        arn.text, settings, publish=publish, description=given.get("versionDescription")
    )
    return {
        "updateDate": seconds(host.now()),
        "revisionId": machine.revision.shown_id,
        "stateMachineVersionArn": version.arn if version else None,
    }


async def describe(host: Host, request: Request) -> Answer:
    """DescribeStateMachine."""
    given = request.given
    arn = parse_arn(given["stateMachineArn"], "stateMachine")
    if arn.label is not None and arn.qualifier is not None:
        raise missing(arn.text)
    found = await host.machines.resolve(arn)
    machine, version = found.machine, found.version
    answer = {
        "stateMachineArn": version.arn if version else arn.text,
        "name": machine.name,
        "status": "DELETING" if machine.deleting else "ACTIVE",
        "type": machine.type,
        "creationDate": seconds(version.created_at if version else machine.created_at),
        "description": version.description if version else None,
        "label": arn.label,
        **shown(found.revision),
    }
    return answer | await described_definition(host, request, found, arn.label)


async def delete(host: Host, request: Request) -> Answer:
    """DeleteStateMachine. It is over when the last execution has ended."""
    arn = machine_arn(request.given["stateMachineArn"])
    if arn.qualifier is None:
        await host.deletions.begin(arn.text)
    return {}


async def list_all(host: Host, request: Request) -> Answer:
    """ListStateMachines."""
    position, limit = host.pages.position(request.given, request.operation), pages.size(request.given)
    found = await host.machines.listed(request.arn("stateMachine"), position or "", limit + 1)
    return {
        "stateMachines": [_listed(each) for each in found[:limit]],
        "nextToken": host.next_page(request, found[limit - 1].arn if len(found) > limit else None),
    }


async def described_definition(host: Host, request: Request, found: Found, label: str | None = None) -> Answer:
    """The definition of a revision, and which variables its states read."""
    # AWS 'DescribeStateMachine', includedData: ignored for a labelled ARN.
    if request.given.get("includedData") == "METADATA_ONLY" and label is None:
        return {"definition": "{}"}
    text = await host.machines.definition(found.revision)
    return {"definition": text, "variableReferences": variable_references(text, found.machine.type)}


def machine_arn(text: str) -> Arn:
    """The ARN of a state machine in a request that takes no labelled one. Raises ApiError."""
    arn = parse_arn(text, "stateMachine")
    if arn.label is not None:
        raise ApiError(
            "ValidationException",
            f"The operation does not support the ARN of a distributed Map state: '{text}'",
            reason="API_DOES_NOT_SUPPORT_LABELED_ARNS",
        )
    return arn


async def _settings(host: Host, given: Any) -> Settings:
    role: str | None = given.get("roleArn")
    if role is not None:
        check_role(role)
    return Settings(
        definition=given.get("definition"),
        role_arn=role,
        logging=await logging_of(host, given.get("loggingConfiguration")),
        tracing=tracing_of(given.get("tracingConfiguration")),
        encryption=encryption_of(given.get("encryptionConfiguration")),
    )


def _publishing(given: Any) -> bool:
    publish: bool = given.get("publish", False)
    if not publish and "versionDescription" in given:
        raise ApiError("ValidationException", "Version description can only be set when publish is true")
    return publish


def _listed(machine: Machine) -> Answer:
    return {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "type": machine.type,
        "creationDate": seconds(machine.created_at),
    }

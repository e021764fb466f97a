"""Versions and aliases of functions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from treadle.errors import ApiError
from treadle.functions.records import LATEST, Alias, Function
from treadle.lambda_api.functions import changed, configuration, page, published
from treadle.lambda_api.request import Answer, Lambda, Request, function_of, no_function


async def publish(host: Lambda, request: Request) -> Answer:
    """PublishVersion. What has not changed since the last version is not published again."""
    given = request.given

    def change(function: Function) -> Function:
        if given.get("CodeSha256") not in (None, "", function.latest.code.sha256):
            raise ApiError(
                "InvalidParameterValueException",
                f"CodeSHA256 ({given['CodeSha256']}) is different from current CodeSHA256 in $LATEST "
                f"({function.latest.code.sha256}). Please try again with the CodeSHA256 in $LATEST.",
            )
        return published(function, given.get("Description") or None)

    function = await changed(host, request, change)
    return configuration(function, function.versions[str(function.published)])


async def list_versions(host: Lambda, request: Request) -> Answer:
    """ListVersionsByFunction."""
    function = function_of(host, request)
    shown = {
        f"{number:09}": configuration(function, version, key)
        for number, (key, version) in enumerate(function.every_version().items())
    }
    return page("Versions", shown, request.given)


async def create_alias(host: Lambda, request: Request) -> Answer:
    """CreateAlias."""
    given = request.given
    name: str = given["Name"]

    def change(function: Function) -> Function:
        if name in function.aliases:
            raise ApiError("ResourceConflictException", f"Alias already exists: {function.arn}:{name}")
        alias = Alias(
            name=name,
            version=given["FunctionVersion"],
            description=given.get("Description", ""),
            weights=_weights(given),
            revision=str(uuid.uuid4()),
        )
        _check(function, alias, request)
        return replace(function, aliases={**function.aliases, name: alias})

    return _shown(await changed(host, request, change), name)


async def update_alias(host: Lambda, request: Request) -> Answer:
    """UpdateAlias."""
    given = request.given
    name: str = given["Name"]
    # The revision is that of the alias, not of the function.
    wanted = given.get("RevisionId")

    def change(function: Function) -> Function:
        alias = _alias(function, name)
        if wanted is not None and wanted != alias.revision:
            raise ApiError(
                "PreconditionFailedException",
                "The Revision Id provided does not match the latest Revision Id. "
                "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
            )
        alias = Alias(
            name=name,
            version=given.get("FunctionVersion", alias.version),
            description=given.get("Description", alias.description),
            weights=_weights(given) if "RoutingConfig" in given else alias.weights,
            revision=str(uuid.uuid4()),
        )
        _check(function, alias, request)
        return replace(function, aliases={**function.aliases, name: alias})

    bare = replace_given(request, {key: value for key, value in given.items() if key != "RevisionId"})
    return _shown(await changed(host, bare, change), name)


async def get_alias(host: Lambda, request: Request) -> Answer:
    """GetAlias."""
    function = function_of(host, request)
    _alias(function, request.given["Name"])
    return _shown(function, request.given["Name"])


async def delete_alias(host: Lambda, request: Request) -> Answer:
    """DeleteAlias. One that is not there is no error, as on Lambda."""
    name = request.given["Name"]

    def change(function: Function) -> Function:
        return replace(function, aliases={key: each for key, each in function.aliases.items() if key != name})

    await changed(host, request, change)
    return {}


async def list_aliases(host: Lambda, request: Request) -> Answer:
    """ListAliases, of one version where one is asked for."""
    function = function_of(host, request)
    version = request.given.get("FunctionVersion")
    names = sorted(name for name, alias in function.aliases.items() if version in (None, alias.version))
    return page("Aliases", {name: _shown(function, name) for name in names}, request.given)


def replace_given(request: Request, given: Mapping[str, Any]) -> Request:
    """The request with other members."""
    return Request(given, request.region, request.account)


def _weights(given: Mapping[str, Any]) -> dict[str, float]:
    return dict(given.get("RoutingConfig", {}).get("AdditionalVersionWeights", {}))


def _check(function: Function, alias: Alias, request: Request) -> None:
    if alias.name.isdigit() or alias.name == LATEST:
        raise ApiError("ValidationException", f"An alias cannot be called '{alias.name}': that names a version.")
    for version in (alias.version, *alias.weights):
        if version != LATEST and version not in function.versions:
            raise no_function(request, function.name, version)
    if not alias.weights:
        return
    if LATEST in (alias.version, *alias.weights):
        raise _invalid("$LATEST is not supported for an alias pointing to more than 1 version")
    if len(alias.weights) > 1:
        raise _invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if alias.version in alias.weights:
        raise _invalid(
            f"Invalid function version {alias.version}. Function version {alias.version} is already included in "
            "routing configuration."
        )


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValueException", message)


def _alias(function: Function, name: str) -> Alias:
    alias = function.aliases.get(name)
    if alias is None:
        raise ApiError("ResourceNotFoundException", f"Cannot find alias arn: {function.arn}:{name}")
    return alias


def _shown(function: Function, name: str) -> Answer:
    alias = function.aliases[name]
    answer: Answer = {
        "AliasArn": f"{function.arn}:{name}",
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    }
    if alias.weights:
        answer["RoutingConfig"] = {"AdditionalVersionWeights": alias.weights}
    return answer

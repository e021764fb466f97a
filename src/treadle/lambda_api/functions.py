"""Functions themselves: create, change, look at, remove. AWS Lambda 'CreateFunction' and its neighbours.

Owns which settings work here and what Lambda says of those that do not, and where code comes from: a zip in the
request, a zip in S3, or a folder of this machine (S3Bucket `local-folder`, S3Key its path), which is run as it is.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from treadle.errors import ApiError
from treadle.functions.code import STORED_ZIP_LIMIT, ZIP_LIMIT, BadCode
from treadle.functions.environment import RESERVED
from treadle.functions.records import LATEST, Code, Function, Settings, Version
from treadle.functions.spec import RUNTIMES, FunctionSpec
from treadle.lambda_api.request import Answer, Lambda, Request, function_of, in_folder, no_function

LOCAL_FOLDER: Final = "local-folder"
"""The S3Bucket that stands for this machine's files."""

_ENVIRONMENT_LIMIT: Final = 4096
_ECHOED: Final = (
    "Architectures",
    "DeadLetterConfig",
    "EphemeralStorage",
    "FileSystemConfigs",
    "KMSKeyArn",
    "Layers",
    "LoggingConfig",
    "SnapStart",
    "TracingConfig",
    "VpcConfig",
)
"""Settings that are kept and shown and have no effect here."""


async def create(host: Lambda, request: Request) -> Answer:
    """CreateFunction."""
    given = request.given
    name, _ = request.function
    if host.registry.found(name) is not None:
        raise in_folder(name)
    if given.get("PackageType", "Zip") != "Zip" or "ImageUri" in given["Code"]:
        raise _invalid("Functions in container images cannot be run here: use PackageType Zip.")
    for needed in ("Runtime", "Handler"):
        if needed not in given:
            raise _invalid(f"{needed} is mandatory for functions created with deployment packages.")
    if host.registry.get(name) is not None:
        raise _exists(name)
    settings = _settings(given, Settings(runtime="", handler="", role=given["Role"]))
    code = await _code(host, given["Code"])
    function = Function(
        name=name, arn=request.arn(name), latest=_version(LATEST, settings, code), tags=given.get("Tags", {})
    )
    if given.get("Publish"):
        function = published(function, None)

    def created(there: Function | None) -> Function:
        if there is not None:
            raise _exists(name)
        return function

    await host.registry.change(name, created)
    shown = function.versions[str(function.published)] if given.get("Publish") else function.latest
    return configuration(function, shown)


async def update_code(host: Lambda, request: Request) -> Answer:
    """UpdateFunctionCode."""
    given = request.given
    function_of(host, request)
    if "ImageUri" in given:
        raise _invalid("Functions in container images cannot be run here: use a zip.")
    code = await _code(host, given)

    def change(function: Function) -> Function:
        if given.get("DryRun"):
            return function
        settings = function.latest.settings
        if "Architectures" in given:
            settings = replace(settings, more={**settings.more, "Architectures": given["Architectures"]})
        changed = replace(function, latest=_version(LATEST, settings, code))
        return published(changed, None) if given.get("Publish") else changed

    function = await changed(host, request, change)
    shown = function.versions[str(function.published)] if given.get("Publish") else function.latest
    return configuration(function, shown)


async def update_configuration(host: Lambda, request: Request) -> Answer:
    """UpdateFunctionConfiguration."""

    def change(function: Function) -> Function:
        latest = function.latest
        return replace(function, latest=_version(LATEST, _settings(request.given, latest.settings), latest.code))

    function = await changed(host, request, change)
    return configuration(function, function.latest)


async def get(host: Lambda, request: Request) -> Answer:
    """GetFunction."""
    answer = await get_configuration(host, request)
    function = host.registry.get(request.function[0])
    location = "file://"
    if function is not None:
        code = resolved(function, request)[0].code
        location += code.folder or str(host.registry.code.archive(code.digest).absolute())
    told: Answer = {"Configuration": answer, "Code": {"RepositoryType": "S3", "Location": location}}
    if function is not None and function.tags:
        told["Tags"] = function.tags
    if function is not None and function.reserved is not None:
        told["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
    return told


async def get_configuration(host: Lambda, request: Request) -> Answer:
    """GetFunctionConfiguration."""
    name, qualifier = request.function
    found = host.registry.found(name)
    if found is not None:
        return _of_folder(request, found)
    function = function_of(host, request)
    version, _ = resolved(function, request)
    return configuration(function, version, qualifier)


async def list_all(host: Lambda, request: Request) -> Answer:
    """ListFunctions: by name, those found in a folder too; with FunctionVersion ALL every version of each."""
    given = request.given
    shown: list[tuple[str, Answer]] = []
    for name in host.registry.found_names():
        spec = host.registry.found(name)
        assert spec is not None
        shown.append((f"{name}\0", _of_folder(request, spec)))
    for name, function in host.registry.created().items():
        versions = function.every_version() if given.get("FunctionVersion") == "ALL" else {LATEST: function.latest}
        for number, (key, version) in enumerate(versions.items()):
            qualifier = key if given.get("FunctionVersion") == "ALL" else None
            shown.append((f"{name}\0{number:09}", configuration(function, version, qualifier)))
    return page("Functions", dict(sorted(shown)), given)


async def delete(host: Lambda, request: Request) -> Answer:
    """DeleteFunction, or one version of it."""
    name, qualifier = request.function
    function_of(host, request)

    def removed(function: Function | None) -> Function | None:
        if function is None:
            raise no_function(request, name)
        if qualifier is None:
            return None
        if qualifier == LATEST:
            raise _invalid("$LATEST version cannot be deleted without deleting the function.")
        if used := [alias.name for alias in function.aliases.values() if qualifier in (alias.version, *alias.weights)]:
            raise ApiError(
                "ResourceConflictException",
                f"Version was not deleted because it is referenced by alias: {', '.join(used)}",
            )
        return replace(function, versions={key: each for key, each in function.versions.items() if key != qualifier})

    await host.registry.change(name, removed)
    return {}


async def put_concurrency(host: Lambda, request: Request) -> Answer:
    """PutFunctionConcurrency."""
    most = request.given["ReservedConcurrentExecutions"]
    await changed(host, request, lambda function: replace(function, reserved=most))
    return {"ReservedConcurrentExecutions": most}


async def get_concurrency(host: Lambda, request: Request) -> Answer:
    """GetFunctionConcurrency."""
    return {"ReservedConcurrentExecutions": function_of(host, request).reserved}


async def delete_concurrency(host: Lambda, request: Request) -> Answer:
    """DeleteFunctionConcurrency."""
    await changed(host, request, lambda function: replace(function, reserved=None))
    return {}


# ---- for the neighbours ------------------------------------------------------------------------------------------


async def changed(host: Lambda, request: Request, change: Callable[[Function], Function]) -> Function:
    """Change a function that must be there, at the revision that the request names, if it names one."""
    name, _ = request.function
    function_of(host, request)
    wanted = request.given.get("RevisionId")

    def checked(function: Function | None) -> Function:
        if function is None:
            raise no_function(request, name)
        if wanted is not None and wanted != function.latest.revision:
            raise ApiError(
                "PreconditionFailedException",
                "The Revision Id provided does not match the latest Revision Id. "
                "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
            )
        return change(function)

    after = await host.registry.change(name, checked)
    assert after is not None
    return after


def resolved(function: Function, request: Request) -> tuple[Version, str | None]:
    """The version that a request is about, and the qualifier that it named."""
    name, qualifier = request.function
    version = function.resolve(qualifier, 1.0)
    if version is None:
        raise no_function(request, name, qualifier)
    return version, qualifier


def published(function: Function, description: str | None) -> Function:
    """The function with its changing version published; as it is where nothing has changed since the last time."""
    last = function.versions.get(str(function.published))
    settings = function.latest.settings
    if description is not None:
        settings = replace(settings, description=description)
    if last is not None and (last.settings, last.code) == (settings, function.latest.code):
        return function
    number = function.published + 1
    version = _version(str(number), settings, function.latest.code)
    return replace(function, published=number, versions={**function.versions, str(number): version})


def configuration(function: Function, version: Version, qualifier: str | None = None) -> Answer:
    """FunctionConfiguration."""
    settings = version.settings
    shown_as = qualifier or (None if version.version == LATEST else version.version)
    answer: Answer = {
        "FunctionName": function.name,
        "FunctionArn": function.arn if shown_as is None else f"{function.arn}:{shown_as}",
        "Runtime": settings.runtime,
        "Role": settings.role,
        "Handler": settings.handler,
        "CodeSize": version.code.size,
        "Description": settings.description,
        "Timeout": settings.timeout,
        "MemorySize": settings.memory,
        "LastModified": version.modified,
        "CodeSha256": version.code.sha256,
        "Version": version.version,
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": version.revision,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"},
    }
    if settings.environment:
        answer["Environment"] = {"Variables": settings.environment}
    for name, value in settings.more.items():
        answer[name] = [{"Arn": arn, "CodeSize": 0} for arn in value] if name == "Layers" else value
    return answer


def page(member: str, shown: Mapping[str, Answer], given: Mapping[str, Any]) -> Answer:
    """A page of what is shown by its keys, which are in order; the marker is the key of its last one."""
    marker = given.get("Marker")
    try:
        after = "" if marker is None else base64.urlsafe_b64decode(marker.encode()).decode()
    except (ValueError, UnicodeError):
        raise _invalid("The marker is not one of a page before.") from None
    keys = [key for key in shown if marker is None or key > after]
    most: int = min(given.get("MaxItems") or 50, 50)
    answer: Answer = {member: [shown[key] for key in keys[:most]]}
    if len(keys) > most:
        answer["NextMarker"] = base64.urlsafe_b64encode(keys[most - 1].encode()).decode()
    return answer


# ---- inside ------------------------------------------------------------------------------------------------------


def _settings(given: Mapping[str, Any], before: Settings) -> Settings:
    """The settings with those of a request in place of the ones before."""
    runtime = given.get("Runtime", before.runtime)
    if not runtime.startswith(RUNTIMES):
        raise _invalid(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: functions in Python and Node.js run here"
        )
    environment = given["Environment"].get("Variables", {}) if "Environment" in given else before.environment
    _check_environment(environment)
    echoed = {name: given[name] for name in _ECHOED if name in given}
    return Settings(
        runtime=runtime,
        handler=given.get("Handler", before.handler),
        role=given.get("Role", before.role),
        description=given.get("Description", before.description),
        timeout=given.get("Timeout", before.timeout),
        memory=given.get("MemorySize", before.memory),
        environment=environment,
        more={**before.more, **echoed},
    )


def _check_environment(variables: Mapping[str, str]) -> None:
    words = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    if taken := sorted(RESERVED.intersection(variables)):
        raise _invalid(
            f"{words} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(taken)}"
        )
    if any("\0" in value for value in variables.values()):
        raise _invalid(f"{words} contain a zero byte.")
    if sum(len(key.encode()) + len(value.encode()) for key, value in variables.items()) > _ENVIRONMENT_LIMIT:
        raise _invalid(f"{words} exceeded the 4KB limit.")


async def _code(host: Lambda, given: Mapping[str, Any]) -> Code:
    """Keep the code that a request names. It is on the disk when this returns."""
    try:
        if "ZipFile" in given:
            content, limit = _decoded(given["ZipFile"]), ZIP_LIMIT
        elif given.get("S3Bucket") == LOCAL_FOLDER:
            return _local(given.get("S3Key", ""))
        elif "S3Bucket" in given and "S3Key" in given:
            limit = STORED_ZIP_LIMIT
            version = given.get("S3ObjectVersion")
            content = await asyncio.to_thread(host.fetch, given["S3Bucket"], given["S3Key"], version, limit)
        else:
            raise _invalid("Please provide a source for function code.")
        package = await asyncio.to_thread(host.registry.code.keep, content, limit)
    except BadCode as error:
        raise _invalid(str(error)) from None
    return Code(digest=package.digest, size=package.size, sha256=package.sha256)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ApiError("SerializationException", "ZipFile must be Base64.") from None


def _local(path: str) -> Code:
    folder = Path(path)
    if not folder.is_absolute() or not folder.is_dir():
        raise _invalid(f"S3Key must be the absolute path of a folder of this machine, and '{path[:200]}' is none.")
    return Code(folder=str(folder), sha256=base64.b64encode(bytes(32)).decode())


def _version(number: str, settings: Settings, code: Code) -> Version:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
    return Version(version=number, settings=settings, code=code, revision=str(uuid.uuid4()), modified=now)


def _of_folder(request: Request, spec: FunctionSpec) -> Answer:
    """A function that was found in a folder, as if it had been created."""
    settings = Settings(
        runtime=spec.runtime,
        handler=spec.handler,
        role=f"arn:aws:iam::{request.account}:role/local",
        timeout=max(1, round(spec.timeout)),
        memory=spec.memory_mb,
        environment=dict(spec.environment),
    )
    changed = datetime.fromtimestamp(spec.folder.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
    version = Version(
        version=LATEST,
        settings=settings,
        code=Code(folder=str(spec.folder), sha256=base64.b64encode(bytes(32)).decode()),
        revision=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{spec.folder}/{spec.name}")),
        modified=changed.replace("+00:00", "+0000"),
    )
    return configuration(Function(name=spec.name, arn=request.arn(spec.name), latest=version), version)


def _exists(name: str) -> ApiError:
    return ApiError("ResourceConflictException", f"Function already exist: {name}")


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterValueException", message)

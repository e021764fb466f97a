"""Permissions and tags: kept and shown. Nothing here is protected by them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from treadle.errors import ApiError
from treadle.functions.records import Function, Permission
from treadle.lambda_api.functions import changed, resolved
from treadle.lambda_api.request import Answer, Lambda, Request, function_of
from treadle.lambda_api.versions import replace_given

_CONDITIONS: Final = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
}
_TAGS_LIMIT: Final = 50


async def add_permission(host: Lambda, request: Request) -> Answer:
    """AddPermission."""
    given = request.given
    sid: str = given["StatementId"]
    resolved(function_of(host, request), request)
    statement = _statement(request)

    def change(function: Function) -> Function:
        if _key(request, sid) in function.permissions:
            raise ApiError(
                "ResourceConflictException",
                f"The statement id ({sid}) provided already exists. Please provide a new statement id, "
                "or remove the existing statement.",
            )
        permission = Permission(request.function[1], statement)
        return replace(function, permissions={**function.permissions, _key(request, sid): permission})

    await changed(host, _without_revision(request), change)
    return {"Statement": msgspec.json.encode(statement).decode()}


async def get_policy(host: Lambda, request: Request) -> Answer:
    """GetPolicy."""
    function = function_of(host, request)
    statements = [each.statement for each in function.permissions.values() if each.qualifier == request.function[1]]
    if not statements:
        raise ApiError("ResourceNotFoundException", "The resource you requested does not exist.")
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return {"Policy": msgspec.json.encode(policy).decode(), "RevisionId": function.latest.revision}


async def remove_permission(host: Lambda, request: Request) -> Answer:
    """RemovePermission."""
    key = _key(request, request.given["StatementId"])

    def change(function: Function) -> Function:
        if key not in function.permissions:
            raise ApiError(
                "ResourceNotFoundException",
                f"Statement {request.given['StatementId']} is not found in resource policy.",
            )
        return replace(function, permissions={name: each for name, each in function.permissions.items() if name != key})

    await changed(host, _without_revision(request), change)
    return {}


async def tag(host: Lambda, request: Request) -> Answer:
    """TagResource."""

    def change(function: Function) -> Function:
        tags = {**function.tags, **request.given["Tags"]}
        if len(tags) > _TAGS_LIMIT:
            raise ApiError("InvalidParameterValueException", f"A function has {_TAGS_LIMIT} tags at the most.")
        return replace(function, tags=tags)

    await changed(host, _of_resource(request), change)
    return {}


async def untag(host: Lambda, request: Request) -> Answer:
    """UntagResource."""
    gone = frozenset(request.given["TagKeys"])

    def change(function: Function) -> Function:
        return replace(function, tags={key: value for key, value in function.tags.items() if key not in gone})

    await changed(host, _of_resource(request), change)
    return {}


async def list_tags(host: Lambda, request: Request) -> Answer:
    """ListTags."""
    return {"Tags": function_of(host, _of_resource(request)).tags}


def _statement(request: Request) -> dict[str, Any]:
    given = request.given
    principal: str = given["Principal"]
    service = principal.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    who: Any = principal if principal == "*" else {"Service" if service else "AWS": principal}
    conditions: dict[str, dict[str, str]] = {}
    for member, (operator, key) in _CONDITIONS.items():
        if member in given:
            conditions.setdefault(operator, {})[key] = given[member]
    statement: dict[str, Any] = {
        "Sid": given["StatementId"],
        "Effect": "Allow",
        "Principal": who,
        "Action": given["Action"],
        "Resource": request.arn(*request.function),
    }
    return {**statement, "Condition": conditions} if conditions else statement


def _key(request: Request, sid: str) -> str:
    return f"{request.function[1] or ''}\0{sid}"


def _of_resource(request: Request) -> Request:
    """The request as one about the function whose ARN it names."""
    resource: str = request.given["Resource"]
    if ":function:" not in resource:
        raise ApiError("InvalidParameterValueException", "Only functions have tags here.")
    return replace_given(request, {**request.given, "FunctionName": resource})


def _without_revision(request: Request) -> Request:
    return replace_given(request, {key: value for key, value in request.given.items() if key != "RevisionId"})

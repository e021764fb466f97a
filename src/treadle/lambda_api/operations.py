"""Every operation and the function that answers it. A new operation is one line here."""

from __future__ import annotations

from typing import Final

from treadle.lambda_api import functions, invocations, policies, versions
from treadle.lambda_api.request import Handler

OPERATIONS: Final[dict[str, Handler]] = {
    "AddPermission": policies.add_permission,
    "CreateAlias": versions.create_alias,
    "CreateFunction": functions.create,
    "DeleteAlias": versions.delete_alias,
    "DeleteFunction": functions.delete,
    "DeleteFunctionConcurrency": functions.delete_concurrency,
    "GetAlias": versions.get_alias,
    "GetFunction": functions.get,
    "GetFunctionConcurrency": functions.get_concurrency,
    "GetFunctionConfiguration": functions.get_configuration,
    "GetPolicy": policies.get_policy,
    "Invoke": invocations.invoke,
    "ListAliases": versions.list_aliases,
    "ListFunctions": functions.list_all,
    "ListTags": policies.list_tags,
    "ListVersionsByFunction": versions.list_versions,
    "PublishVersion": versions.publish,
    "PutFunctionConcurrency": functions.put_concurrency,
    "RemovePermission": policies.remove_permission,
    "TagResource": policies.tag,
    "UntagResource": policies.untag,
    "UpdateAlias": versions.update_alias,
    "UpdateFunctionCode": functions.update_code,
    "UpdateFunctionConfiguration": functions.update_configuration,
}

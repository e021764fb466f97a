"""Logging, tracing and encryption of a state machine: what is valid, and what Describe shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from treadle.api.host import Host
from treadle.catalog.records import Revision
from treadle.errors import ApiError
from treadle.language.scope import Json

OFF: Final[Mapping[str, Json]] = {"level": "OFF", "includeExecutionData": False}
"""What Describe shows where nothing is logged. Observed on AWS."""
NO_TRACING: Final[Mapping[str, Json]] = {"enabled": False}
AWS_OWNED: Final[Mapping[str, Json]] = {"type": "AWS_OWNED_KEY"}


async def logging_of(host: Host, given: Mapping[str, Any] | None) -> Mapping[str, Json] | None:
    """A logging configuration as it is kept. Raises ApiError InvalidLoggingConfiguration."""
    if given is None:
        return None
    level: str = given.get("level", "OFF")
    destinations: list[Any] = given.get("destinations") or []
    groups = [group for each in destinations if (group := group_of(each))]
    if len(groups) > 1 or (level != "OFF" and not groups):
        raise _unusable("Must specify exactly one Log Destination.")
    for group in groups:
        if not (group.startswith("arn:") and ":log-group:" in group and group.endswith(":*")):
            raise _unusable("Log Destination is not valid: give the ARN of a log group that ends with :*.")
        if level != "OFF" and not await host.logs.has_group(group):
            raise _unusable("Log Destination not found.")
    kept = {"destinations": destinations} if destinations else {}
    return {"level": level, "includeExecutionData": given.get("includeExecutionData", False), **kept}


def group_of(destination: Mapping[str, Any]) -> str | None:
    """The ARN of the log group of a destination."""
    group: Mapping[str, str] = destination.get("cloudWatchLogsLogGroup") or {}
    return group.get("logGroupArn")


def tracing_of(given: Mapping[str, Any] | None) -> Mapping[str, Json] | None:
    """A tracing configuration as it is kept. Raises ApiError InvalidTracingConfiguration."""
    if given is None:
        return None
    enabled: bool | None = given.get("enabled")
    if enabled is None:
        raise ApiError(
            "InvalidTracingConfiguration", "Invalid Tracing Configuration: enabled must be set to true or false."
        )
    return {"enabled": enabled}


def encryption_of(given: Mapping[str, Any] | None) -> Mapping[str, Json] | None:
    """An encryption configuration as it is kept. Raises ApiError InvalidEncryptionConfiguration."""
    if given is None:
        return None
    key, period = given.get("kmsKeyId"), given.get("kmsDataKeyReusePeriodSeconds")
    if given["type"] == "AWS_OWNED_KEY":
        if key is not None or period is not None:
            raise _unprotected("kmsKeyId and kmsDataKeyReusePeriodSeconds must be null for AWS_OWNED_KEY")
        return AWS_OWNED
    if key is None:
        raise _unprotected("kmsKeyId must not be null for CUSTOMER_MANAGED_KMS_KEY")
    # AWS 'EncryptionConfiguration': the default is 300.
    return {"type": given["type"], "kmsKeyId": key, "kmsDataKeyReusePeriodSeconds": 300 if period is None else period}


def shown(revision: Revision) -> dict[str, Any]:
    """The configuration of a revision as the Describe operations show it.

    AWS shows its own key since July 2024; here as before, the member is there where encryption was configured.
    """
    return {
        "roleArn": revision.role_arn,
        "loggingConfiguration": revision.logging or OFF,
        "tracingConfiguration": revision.tracing or NO_TRACING,
        "encryptionConfiguration": revision.encryption or None,
        "revisionId": revision.shown_id,
    }


def _unusable(why: str) -> ApiError:
    return ApiError("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {why}")


def _unprotected(why: str) -> ApiError:
    return ApiError("InvalidEncryptionConfiguration", f"Invalid Encryption Configuration: {why}")

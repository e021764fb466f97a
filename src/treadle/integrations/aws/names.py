"""How Step Functions spells the names of AWS: as the AWS SDK for Java does, because that is what it calls with.

Owns the rules, which are those of that SDK's code generator, and the two dialects: AWS SDK integrations speak Java 2,
optimised ones Java 1. Pure; knows no service by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from treadle.language.scope import Json

_SPLITS: Final = (
    (re.compile(r"[^A-Za-z0-9]+"), " "),
    (re.compile(r"([^a-z]{2,})v([0-9]+)"), r"\1 v\2 "),  # SESv2 -> SES v2
    (re.compile(r"([^A-Z]{2,})V([0-9]+)"), r"\1 V\2 "),
    (re.compile(r"(?<=[a-z])(?=[A-Z][a-zA-Z0-9])"), " "),  # DynamoDB -> Dynamo DB
    (re.compile(r"([A-Z]+)([A-Z][a-z])"), r"\1 \2"),  # DBInstance -> DB Instance
    (re.compile(r"([0-9])([a-zA-Z])"), r"\1 \2"),
)
_CAPITALS: Final = re.compile(r"[A-Z]+")
# Java cannot have fields of these names: its keywords, and the methods of every object.
_RESERVED: Final = frozenset(
    """abstract assert boolean break byte case catch char class const continue default do double else enum extends false
    final finally float for goto if implements import instanceof int interface long native new null package private
    protected public return short static strictfp super switch synchronized this throw throws transient true try void
    volatile while builder clone equals finalize getClass hashCode notify notifyAll sdkFields toString wait""".split()  # noqa: SIM905
)

# What the SDK for Java itself calls something else: a null of DynamoDB.
_RENAMED: Final = {"NULL": "Nul"}


def pascal(name: str) -> str:
    """Words with capitals: `DynamoDB` is `DynamoDb`, `CloudWatch Logs` is `CloudWatchLogs`."""
    for pattern, replacement in _SPLITS:
        name = pattern.sub(replacement, name)
    return "".join(word.capitalize() for word in name.split())


def service_name(service_id: str) -> str:
    """The prefix of a service's error names, by its `serviceId`: `SFN` is `Sfn`. In small letters it is the name that
    stands in a resource."""
    return pascal(service_id).removeprefix("Amazon").removeprefix("Aws").removesuffix("Service")


def action_name(operation: str) -> str:
    """An operation as a resource names it: `PutItem` is `putItem`, `DBThing` is `dbThing`."""
    if (leading := _CAPITALS.match(operation)) is None:
        return operation
    capitals = leading.end()
    last = capitals == len(operation) or not operation[capitals].islower()
    small = capitals if last else max(1, capitals - 1)
    return operation[:small].lower() + operation[small:]


def _member_of_java_2(member: str) -> str:
    """`DBInstanceIdentifier` is `DbInstanceIdentifier`, `clusterArn` is `ClusterArn`, `equals` is `EqualsValue`."""
    if member in _RENAMED:
        return _RENAMED[member]
    name = action_name(member)
    return _capital(f"{name}Value" if name in _RESERVED else name)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _exception_of_java_2(error: str) -> str:
    """`DBInstanceNotFoundFault` is `DbInstanceNotFoundException`, `QueueDoesNotExist` has it added."""
    return pascal(error.removesuffix("Fault").removesuffix("Exception")) + "Exception"


def _exception_of_java_1(error: str) -> str:
    return error if error.endswith("Exception") else f"{error}Exception"


def _instant(moment: datetime) -> Json:
    """Java's `Instant.toString`: UTC, with as many groups of three digits as are needed."""
    moment = moment.astimezone(UTC)
    text = moment.isoformat(timespec="seconds").removesuffix("+00:00")
    if moment.microsecond % 1000:
        return f"{text}.{moment.microsecond:06}Z"
    return f"{text}.{moment.microsecond // 1000:03}Z" if moment.microsecond else f"{text}Z"


def _milliseconds(moment: datetime) -> Json:
    """Java's `Date` as Jackson writes it."""
    return round(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one generation of the Java SDK, and so one family of integrations, spells what AWS says."""

    member: Callable[[str], str]
    exception: Callable[[str], str]
    moment: Callable[[datetime], Json]


SDK: Final = Dialect(_member_of_java_2, _exception_of_java_2, _instant)
"""AWS SDK integrations."""

OPTIMISED: Final = Dialect(_capital, _exception_of_java_1, _milliseconds)
"""Optimised integrations. Observed on AWS: `MD5OfMessageBody` of SQS, whole milliseconds for times."""

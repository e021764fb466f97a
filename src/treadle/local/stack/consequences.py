"""What a resource asks for that does not happen here, and what follows from it, as sentences for its user.

Owns the notices of rules, schedules and event sources: nothing that they say is passed over in silence. Pure.
Neighbours: `treadle.local.events` does what is not named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from treadle.language.scope import Json
from treadle.local.events.targets import KINDS, SCHEDULED_KINDS, kind_of
from treadle.local.shapes import dig, fields, items

_TARGET: Final = frozenset(
    ["Arn", "DeadLetterConfig", "Id", "Input", "InputPath", "InputTransformer", "KinesisParameters", "RoleArn"]
)
_TARGET_OF_SCHEDULE: Final = frozenset(["Arn", "DeadLetterConfig", "EventBridgeParameters", "Input", "RoleArn"])
_SOURCE: Final = frozenset(
    ["BatchSize", "Enabled", "EventSourceArn", "FilterCriteria", "FunctionName", "FunctionResponseTypes", "Tags"]
)
_BY_PROPERTY: Final = {
    "MaximumBatchingWindowInSeconds": "a batch is given as soon as there is a message",
    "ScalingConfig": "one batch is worked off at a time",
    "DestinationConfig": "a batch that fails is sent nowhere: it comes again, or goes to the queue's dead letter queue",
}


UNKNOWN: Final[Mapping[str, str]] = {
    "AWS::IoT::TopicRule": "messages to IoT reach nothing here",
    "AWS::Logs::SubscriptionFilter": "log events are kept and passed on to nobody",
    "AWS::Pipes::Pipe": "nothing flows through it",
    "AWS::Cognito::UserPool": "nobody can sign in, and its triggers are not called",
}
"""What follows where nothing stands behind a type."""

_LOST: Final = {
    ("AWS::S3::Bucket", "NotificationConfiguration"): "nothing hears of objects that are put or deleted",
    ("AWS::S3::Bucket", "LifecycleConfiguration"): "objects stay until they are deleted",
    ("AWS::S3::Bucket", "ReplicationConfiguration"): "objects stay in this bucket alone",
    ("AWS::S3::Bucket", "WebsiteConfiguration"): "there is no website",
}
# Services that call functions here, if a template says so.
_CALLERS: Final = re.compile(
    r"(apigateway|events|lambda|s3|scheduler|secretsmanager|sns|sqs|states)\.amazonaws\.com|\d{12}|arn:aws:.*|\*"
)
_OF_STAGE: Final = {
    "AccessLogSetting": "no access log is written",
    "AccessLogSettings": "no access log is written",
    "CacheClusterEnabled": "every request reaches its target",
    "CanarySetting": "all requests go the one way",
    "DefaultRouteSettings": "requests are not throttled",
    "MethodSettings": "requests are neither throttled nor logged",
    "RouteSettings": "requests are not throttled",
    "TracingEnabled": "requests to the API are not traced",
}


def of_property(type: str, name: str) -> str:
    """The notice of a property that nothing heeds."""
    return f"{name} has no effect here{f': {_LOST[type, name]}' if (type, name) in _LOST else ''}"


def of_stage(properties: Mapping[str, Json]) -> Iterator[str]:
    """The notices of a stage of an API."""
    for name in sorted(properties.keys() & _OF_STAGE.keys()):
        if properties[name] not in (False, None, [], {}):
            yield f"{name} has no effect here: {_OF_STAGE[name]}"


def of_permission(properties: Mapping[str, Json]) -> Iterator[str]:
    """The notices of an AWS::Lambda::Permission."""
    principal = str(properties.get("Principal"))
    if not _CALLERS.fullmatch(principal):
        function = str(properties.get("FunctionName")).rpartition("function:")[2]
        yield f"nothing of {principal} is here: it never calls the function {function}"


def of_rule(properties: Mapping[str, Json]) -> Iterator[str]:
    """The notices of an AWS::Events::Rule."""
    for target in items(properties.get("Targets")):
        yield from _of_target(fields(target), KINDS, _TARGET)


def of_rule_away(properties: Mapping[str, Json]) -> Iterator[str]:
    """The notices of an AWS::Events::Rule with `--aws env`."""
    yield from of_rule(properties)
    if "EventPattern" in properties and fields(properties["EventPattern"]).get("source") != ["aws.states"]:
        yield "with --aws env it sees events of executions alone: what is put to EventBridge on AWS does not come here"


def of_schedule(properties: Mapping[str, Json]) -> Iterator[str]:
    """The notices of an AWS::Scheduler::Schedule."""
    yield from _of_target(fields(properties.get("Target")), SCHEDULED_KINDS, _TARGET_OF_SCHEDULE)
    retried = fields(dig(properties, "Target", "RetryPolicy")).keys() - {"MaximumEventAgeInSeconds"}
    if retried:
        yield "RetryPolicy.MaximumRetryAttempts has no effect here: a target that refuses is not tried again"
    if str(properties.get("ActionAfterCompletion")) == "DELETE":
        yield "ActionAfterCompletion has no effect here: the schedule stays, and never fires again"


def of_source(properties: Mapping[str, Json]) -> Iterator[str]:
    """The notices of an AWS::Lambda::EventSourceMapping."""
    function = str(properties.get("FunctionName")).rpartition("function:")[2]
    arn = str(properties.get("EventSourceArn") or "")
    if kind_of(arn) != "sqs":
        what = arn or next((each for each in properties if each.startswith(("SelfManaged", "Amazon"))), "its source")
        yield f"only queues are read here: nothing of {what} reaches the function {function}"
        return
    for name in sorted(properties.keys() - _SOURCE):
        yield f"{name} has no effect here{_because(name)}"


def _of_target(target: Mapping[str, Json], kinds: frozenset[str], known: frozenset[str]) -> Iterator[str]:
    arn = str(target.get("Arn"))
    if kind_of(arn) not in kinds:
        yield f"the target {arn} is of a kind that is not known here: nothing is delivered to it"
        return
    for name in sorted(target.keys() - known - {"SqsParameters", "RetryPolicy"}):
        yield f"the target {arn}: {name} has no effect here"
    if "RetryPolicy" in target and kinds is KINDS:
        yield f"the target {arn}: RetryPolicy has no effect here: what it refuses is not tried again"
    template = str(dig(target, "InputTransformer", "InputTemplate") or "")
    named = {*fields(dig(target, "InputTransformer", "InputPathsMap"))}
    for lost in sorted({*re.findall(r"<([A-Za-z0-9_-]+)>", template)} - named):
        yield f"the target {arn}: InputTemplate names <{lost}>, which InputPathsMap does not have: it stays as it is"


def _because(name: str) -> str:
    return f": {_BY_PROPERTY[name]}" if name in _BY_PROPERTY else ""

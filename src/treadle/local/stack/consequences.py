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

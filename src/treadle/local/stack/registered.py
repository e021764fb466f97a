"""Resources that are kept in this process: rules, schedules, queues that feed functions, APIs.

Owns their names and attributes. What they do is up to `treadle.local.events` and `treadle.local.routes`, which read the
register.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.events.cron import InvalidSchedule
from treadle.local.events.expression import read_expression
from treadle.local.events.pattern import InvalidPattern, check_pattern
from treadle.local.shapes import fields, items
from treadle.local.stack.consequences import of_rule, of_schedule, of_source, of_stage
from treadle.local.stack.made import Made, Wanted
from treadle.local.stack.names import physical_name
from treadle.local.stack.world import World


def _anything(properties: Mapping[str, Json]) -> None:
    return None


def _nothing(properties: Mapping[str, Json]) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True, slots=True)
class Registered:
    """A type that is kept under `kind`. `id` and `attributes` are templates as in `rows`; `check` raises ValueError,
    `notices` tells what has no effect here.

    `{short}` is ten letters and digits, as API Gateway names its APIs.
    """

    kind: str
    id: str
    name: str = "Name"
    attributes: Mapping[str, str] | None = None
    check: Callable[[Mapping[str, Json]], None] = _anything
    notices: Callable[[Mapping[str, Json]], Iterator[str]] = _nothing

    def make(self, wanted: Wanted, world: World) -> Made:
        """Keep it."""
        name = str(wanted.properties.get(self.name) or physical_name(wanted.stack, wanted.name, 64))
        try:
            self.check(wanted.properties)
        except ValueError as error:
            raise TemplateError(f"{error}.") from None
        place = {
            "name": name,
            "key": f"{wanted.stack}/{wanted.name}",
            "short": hashlib.sha256(f"{wanted.stack}/{wanted.name}".encode()).hexdigest()[:10],
            "endpoint": world.endpoint,
            "region": world.surrounding.region,
            "account": world.surrounding.account,
            "group": str(wanted.properties.get("GroupName") or "default"),
        }
        made = Made(
            name=wanted.name,
            type=wanted.type,
            id=self.id.format(**place),
            attributes={key: each.format(**place) for key, each in (self.attributes or {}).items()},
            properties=wanted.properties,
            physical={"key": place["key"], "name": name},
            notices=tuple(self.notices(wanted.properties)),
        )
        self.resume(made, world)
        return made

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Keep the new one in its place."""
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """Keep it again after a restart."""
        properties = {**made.properties, "__id__": made.id, "__name__": made.physical["name"]}
        world.register.put(self.kind, str(made.physical["key"]), properties)

    def remove(self, made: Made, world: World) -> None:
        """Keep it no more."""
        world.register.remove(self.kind, str(made.physical["key"]))


def check_rule(properties: Mapping[str, Json]) -> None:
    """Raises ValueError when a rule's schedule or pattern says nothing."""
    if "ScheduleExpression" in properties:
        read_expression(str(properties["ScheduleExpression"]), one_time=False)
    if "EventPattern" in properties:
        check_pattern(fields(properties["EventPattern"]))
    if not {"ScheduleExpression", "EventPattern"} & properties.keys():
        raise InvalidPattern("a rule has a ScheduleExpression or an EventPattern")


def check_source(properties: Mapping[str, Json]) -> None:
    """Raises ValueError when a filter of an event source says nothing."""
    for each in items(fields(properties.get("FilterCriteria")).get("Filters")):
        pattern = fields(each).get("Pattern")
        check_pattern(fields(json.loads(pattern) if isinstance(pattern, str) else pattern))


def check_schedule(properties: Mapping[str, Json]) -> None:
    """Raises ValueError when a schedule says nothing."""
    if "ScheduleExpression" not in properties:
        raise InvalidSchedule("a schedule has a ScheduleExpression")
    read_expression(str(properties["ScheduleExpression"]), properties.get("ScheduleExpressionTimezone"))


_RULE = "arn:aws:events:{region}:{account}:rule/{name}"

REGISTERED = {
    "AWS::Events::Rule": Registered("rule", "{name}", attributes={"Arn": _RULE}, check=check_rule, notices=of_rule),
    "AWS::Scheduler::Schedule": Registered(
        "schedule",
        "{name}",
        attributes={"Arn": "arn:aws:scheduler:{region}:{account}:schedule/{group}/{name}"},
        check=check_schedule,
        notices=of_schedule,
    ),
    "AWS::Lambda::EventSourceMapping": Registered(
        "source", "{short}", attributes={"Id": "{short}"}, check=check_source, notices=of_source
    ),
    "AWS::ApiGatewayV2::Api": Registered(
        "http-api", "{short}", attributes={"ApiEndpoint": "{endpoint}/_api/{short}", "ApiId": "{short}"}
    ),
    "AWS::ApiGatewayV2::Stage": Registered("http-stage", "{name}", name="StageName", notices=of_stage),
    "AWS::ApiGatewayV2::Route": Registered("http-route", "{short}", attributes={"RouteId": "{short}"}),
    "AWS::ApiGatewayV2::Integration": Registered("http-integration", "{short}"),
    "AWS::ApiGatewayV2::Authorizer": Registered("http-authorizer", "{short}", attributes={"AuthorizerId": "{short}"}),
    "AWS::ApiGateway::RestApi": Registered(
        "rest-api", "{short}", attributes={"RootResourceId": "root", "RestApiId": "{short}"}
    ),
    "AWS::ApiGateway::Deployment": Registered("rest-deployment", "{short}", attributes={"DeploymentId": "{short}"}),
    "AWS::ApiGateway::Stage": Registered("rest-stage", "{name}", name="StageName", notices=of_stage),
}
"""By type of resource."""

"""Which provider makes which type of resource, and what becomes of a type that none makes.

Owns the one list, from which the documentation's table of support is tested: what works, what is accepted without
effect, what moto's own CloudFormation makes, and the rest, which gets a name and a loud notice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from treadle.local.shapes import dig, fields, items
from treadle.local.stack import compute, consequences
from treadle.local.stack.existing import EXISTING, NOT_MADE
from treadle.local.stack.made import Made, Support, Wanted
from treadle.local.stack.names import physical_name
from treadle.local.stack.registered import REGISTERED
from treadle.local.stack.rows import Properties, code_of
from treadle.local.stack.shaping import policy_text
from treadle.local.stack.table import SETTINGS, TABLE, subscribe
from treadle.local.stack.world import World


class Provider(Protocol):
    """Makes, changes and deletes resources of one type. Called in a thread, one resource at a time."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Make a resource; one that is there already under its name is adopted. Raises TemplateError, ClientError."""
        ...

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Make a resource what the template says now."""
        ...

    def resume(self, made: Made, world: World) -> None:
        """Do what a restart of this process asks for; the resource has not changed."""
        ...

    def remove(self, made: Made, world: World) -> None:
        """Delete a resource; one that is gone is no error."""
        ...


class Subscriptions:
    """AWS::SNS::Subscription."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Subscribe."""
        arn = subscribe(world, str(wanted.properties["TopicArn"]), wanted.properties)
        return Made(name=wanted.name, type=wanted.type, id=arn, properties=wanted.properties)

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Subscribe anew."""
        self.remove(made, world)
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """It is in the local cloud."""

    def remove(self, made: Made, world: World) -> None:
        """Unsubscribe."""
        world.client("sns").unsubscribe(SubscriptionArn=made.id)


class Settings:
    """A type that sets something on another resource, and is nothing of its own."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Set it."""
        SETTINGS[wanted.type](world, "", wanted.properties)
        return Made(
            name=wanted.name,
            type=wanted.type,
            id=physical_name(wanted.stack, wanted.name),
            properties=wanted.properties,
        )

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Set it again."""
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """It is set."""

    def remove(self, made: Made, world: World) -> None:
        """It goes with the other resource."""


class Policies:
    """AWS::IAM::Policy: an inline policy of roles."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Put it into its roles."""
        name = str(wanted.properties.get("PolicyName") or wanted.name)
        for role in items(wanted.properties.get("Roles")):
            document = policy_text(wanted.properties["PolicyDocument"])
            world.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)
        return Made(name=wanted.name, type=wanted.type, id=name, properties=wanted.properties)

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Put it again."""
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """It is there."""

    def remove(self, made: Made, world: World) -> None:
        """Take it out of its roles."""
        for role in items(made.properties.get("Roles")):
            try:
                world.client("iam").delete_role_policy(RoleName=role, PolicyName=made.id)
            except Exception as error:
                if code_of(error) != "NoSuchEntity":
                    raise


class Named:
    """A type that gets a name and an ARN, and nothing behind them."""

    def __init__(
        self, support: Support, notice: str = "", notices: Callable[[str, Properties], Iterable[str]] | None = None
    ) -> None:
        self._support: Support = support
        self._notice, self._more = notice, notices

    def make(self, wanted: Wanted, world: World) -> Made:
        """Give the name."""
        kind = wanted.type.rpartition("::")[2]
        service = wanted.type.split("::")[1].lower() if wanted.type.count("::") > 1 else "custom"
        given = wanted.properties.get("Name") or wanted.properties.get(f"{kind}Name")
        name = given if isinstance(given, str) else physical_name(wanted.stack, wanted.name)
        arn = world.arn(service, f"{kind.lower()}/{name}")
        if service == "iam":
            # IAM knows no regions.
            arn = f"arn:aws:iam::{world.surrounding.account}:{kind.lower()}/{name}"
        return Made(
            name=wanted.name,
            type=wanted.type,
            id=name,
            attributes={"Arn": arn},
            properties=wanted.properties,
            support=self._support,
            notices=tuple(self._notices(wanted)),
        )

    def _notices(self, wanted: Wanted) -> Iterable[str]:
        if self._more is not None:
            return self._more(wanted.type, wanted.properties)
        return [self._notice] if self._notice else []

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Give it again."""
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """There is nothing."""

    def remove(self, made: Made, world: World) -> None:
        """There is nothing."""


class Moto:
    """A type that moto's own CloudFormation can make, alone in a stack: its failure touches nothing else."""

    def make(self, wanted: Wanted, world: World) -> Made:
        """Create the stack. What moto cannot make either becomes a stub."""
        client, stack = world.client("cloudformation"), self._stack(wanted.stack, wanted.name)
        body: dict[str, Any] = {"Resources": {wanted.name: {"Type": wanted.type, "Properties": wanted.properties}}}
        asked = {f"A{number}": each for number, each in enumerate(sorted(wanted.asked))}
        outputs = {key: {"Value": {"Fn::GetAtt": [wanted.name, each]}} for key, each in asked.items()}
        try:
            client.create_stack(StackName=stack, TemplateBody=json.dumps({**body, "Outputs": outputs}))
            made = client.describe_stack_resources(StackName=stack)["StackResources"]
            told = client.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
        except Exception as error:
            if code_of(error) == "AlreadyExistsException":
                client.delete_stack(StackName=stack)
                return self.make(wanted, world)
            made, told = [], []
        id = str(dig(fields(made[0]), "PhysicalResourceId") or "") if made else ""
        if not id:
            client.delete_stack(StackName=stack)
            return UNKNOWN.make(wanted, world)
        return Made(
            name=wanted.name,
            type=wanted.type,
            id=id,
            attributes={asked[each["OutputKey"]]: each.get("OutputValue") for each in items(told)},
            properties=wanted.properties,
            physical={"stack": stack},
            support="moto",
            notices=("made by moto's CloudFormation: it is kept, what AWS would do because of it may not happen",),
        )

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Delete it and make it again."""
        self.remove(made, world)
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """It is in the local cloud."""

    def remove(self, made: Made, world: World) -> None:
        """Delete the stack."""
        if "stack" in made.physical:
            world.client("cloudformation").delete_stack(StackName=made.physical["stack"])

    def _stack(self, stack: str, name: str) -> str:
        return physical_name(stack, name, 120)


def _nothing_behind(type: str, properties: Properties) -> Iterable[str]:
    what = consequences.UNKNOWN.get(type, "calls to it will fail")
    yield f"this type is not known here: it has a name and nothing behind it, {what}"


UNKNOWN: Final = Named("stub", notices=_nothing_behind)
_ACCEPTED: Final = Named("accepted")

ACCEPTED: Final = (
    "AWS::ApiGateway::Account",
    "AWS::CDK::Metadata",
    "AWS::CloudFormation::WaitConditionHandle",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::LayerVersion",
    "AWS::Lambda::Permission",
    "AWS::SNS::TopicPolicy",
    "AWS::Scheduler::ScheduleGroup",
)
"""Types that grant or describe something that needs no granting here."""

PROVIDERS: Final[Mapping[str, Provider]] = {
    **TABLE,
    **REGISTERED,
    **dict.fromkeys(SETTINGS, Settings()),
    **dict.fromkeys(ACCEPTED, _ACCEPTED),
    "AWS::Lambda::Permission": Named("accepted", notices=lambda _, given: consequences.of_permission(given)),
    "AWS::IAM::Policy": Policies(),
    "AWS::Lambda::Alias": compute.FunctionVersions(),
    "AWS::Lambda::Function": compute.Functions(),
    "AWS::Lambda::Version": compute.FunctionVersions(),
    "AWS::SNS::Subscription": Subscriptions(),
    "AWS::StepFunctions::Activity": compute.Activities(),
    "AWS::StepFunctions::StateMachine": compute.StateMachines(),
    "AWS::StepFunctions::StateMachineAlias": compute.Aliases(),
    "AWS::StepFunctions::StateMachineVersion": compute.Versions(),
}
"""By type of resource."""

_MOTO: Final = Moto()


_AWAY: Final[Mapping[str, Provider]] = {
    **{
        each: provider
        for each, provider in PROVIDERS.items()
        if each in REGISTERED or each in ACCEPTED or each.startswith(("AWS::Lambda", "AWS::StepFunctions"))
    },
    "AWS::Events::Rule": replace(REGISTERED["AWS::Events::Rule"], notices=consequences.of_rule_away),
    **EXISTING,
    **{each: Named("accepted", f"not made with --aws env: {what}") for each, what in NOT_MADE.items()},
}
_NOT_AWAY: Final = Named(
    "stub", "--aws env makes nothing on AWS: it has a name and nothing behind it, calls to it will fail"
)


def provider_of(type: str, *, away: bool = False) -> Provider:
    """The provider for a type: moto's CloudFormation for those of AWS that have none. `away` is for a stack whose other
    services are on AWS."""
    if away:
        return _AWAY.get(type, _NOT_AWAY)
    if type in PROVIDERS:
        return PROVIDERS[type]
    return _MOTO if type.startswith("AWS::") and type.split("::")[1] != "CloudFormation" else UNKNOWN

"""Resources that are expected to exist on AWS, with `--aws env`: found there, never made, changed or deleted.

Owns how each type is found: by the name that the template gives, else as the resource of the stack of the same name
that was deployed to the account. What treadle does not run and cannot find either is told with its consequence.
Neighbour: `providers` has what is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from treadle.local.errors import TemplateError
from treadle.local.stack.made import Made, Wanted
from treadle.local.stack.rows import code_of, told
from treadle.local.stack.world import World

_REFUSED: Final = frozenset(["AccessDenied", "AccessDeniedException", "403", "AuthorizationError", "Forbidden"])


@dataclass(frozen=True, slots=True)
class Existing:
    """A type of resource. `look` is a method of the client of `service`, which is given `value`, a template over the
    name as `id` and `attributes` are (see `rows`). `name` is the property with the name."""

    service: str
    look: str
    argument: str
    name: str | None = None
    value: str = "{name}"
    id: str = "{name}"
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])

    def make(self, wanted: Wanted, world: World) -> Made:
        """Find the resource. Raises TemplateError where it is not there."""
        given = wanted.properties.get(self.name) if self.name else None
        name = str(given) if given else self._deployed(wanted, world)
        place = {"name": name, "arn": world.arn(self.service, ""), "region": world.surrounding.region}
        place["tail"] = re.split("[/:]", name)[-1]
        try:
            value = self.value.format(**place)
            answer = getattr(world.client(self.service), self.look)(**{self.argument: value})
        except Exception as error:
            if code_of(error) in _REFUSED or not code_of(error):
                raise
            raise TemplateError(
                f"{wanted.type} {name} is not on AWS ({code_of(error)}), and --aws env makes nothing there: deploy it, "
                "correct its name, or use --aws local."
            ) from error
        id = str(told(self.id, answer, wanted.properties, place))
        place |= {"id": id, "tail": re.split("[/:]", id)[-1]}
        return Made(
            name=wanted.name,
            type=wanted.type,
            id=id,
            attributes={key: told(each, answer, wanted.properties, place) for key, each in self.attributes.items()},
            properties=wanted.properties,
            support="existing",
        )

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Find it again; what the template changes of it, a deployment does."""
        return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """It is on AWS."""

    def remove(self, made: Made, world: World) -> None:
        """It stays on AWS."""

    def _deployed(self, wanted: Wanted, world: World) -> str:
        cloud: Any = world.client("cloudformation")
        try:
            found = cloud.describe_stack_resource(StackName=wanted.stack, LogicalResourceId=wanted.name)
            return str(found["StackResourceDetail"]["PhysicalResourceId"])
        except Exception as error:
            if not code_of(error):
                raise
            remedy = f"give its {self.name}" if self.name else "make it a parameter"
            raise TemplateError(
                f"{wanted.type} is not made with --aws env, and no stack {wanted.stack} of the account has it "
                f"({code_of(error)}): deploy the template under that name (--stack names another), {remedy}, or use "
                "--aws local."
            ) from error


_ARN: Final = {"Arn": "{arn}{name}"}

EXISTING: Final[Mapping[str, Existing]] = {
    "AWS::S3::Bucket": Existing(
        "s3", "head_bucket", "Bucket", "BucketName",
        attributes={"Arn": "arn:aws:s3:::{name}", "DomainName": "{name}.s3.amazonaws.com",
                    "RegionalDomainName": "{name}.s3.{region}.amazonaws.com"},
    ),
    "AWS::DynamoDB::Table": Existing(
        "dynamodb", "describe_table", "TableName", "TableName",
        attributes={"Arn": "Table.TableArn", "StreamArn": "Table.LatestStreamArn"},
    ),
    "AWS::SQS::Queue": Existing(
        "sqs", "get_queue_url", "QueueName", "QueueName", value="{tail}", id="QueueUrl",
        attributes={"Arn": "{arn}{tail}", "QueueName": "{tail}", "QueueUrl": "{id}"},
    ),
    "AWS::SNS::Topic": Existing(
        "sns", "get_topic_attributes", "TopicArn", "TopicName", value="{arn}{tail}", id="{arn}{tail}",
        attributes={"TopicName": "{tail}", "TopicArn": "{id}"},
    ),
    "AWS::SecretsManager::Secret": Existing(
        "secretsmanager", "describe_secret", "SecretId", "Name", id="ARN", attributes={"Id": "{id}"},
    ),
    "AWS::SSM::Parameter": Existing(
        "ssm", "get_parameter", "Name", "Name", attributes={"Value": "Parameter.Value", "Type": "Parameter.Type"},
    ),
    "AWS::Logs::LogGroup": Existing(
        "logs", "describe_log_streams", "logGroupName", "LogGroupName",
        attributes={"Arn": "{arn}log-group:{name}:*"},
    ),
    "AWS::Events::EventBus": Existing(
        "events", "describe_event_bus", "Name", "Name", attributes={"Arn": "Arn", "Name": "{name}"},
    ),
    "AWS::Events::Connection": Existing(
        "events", "describe_connection", "Name", "Name",
        attributes={"Arn": "ConnectionArn", "SecretArn": "SecretArn"},
    ),
    "AWS::Kinesis::Stream": Existing(
        "kinesis", "describe_stream_summary", "StreamName", "Name",
        attributes={"Arn": "StreamDescriptionSummary.StreamARN"},
    ),
    "AWS::KMS::Key": Existing(
        "kms", "describe_key", "KeyId", id="KeyMetadata.KeyId",
        attributes={"Arn": "KeyMetadata.Arn", "KeyId": "{id}"},
    ),
}  # fmt: skip
"""By type of resource."""

_CREDENTIALS: Final = "what runs here acts with the environment's credentials"
NOT_MADE: Final[Mapping[str, str]] = {
    "AWS::IAM::Role": _CREDENTIALS,
    "AWS::IAM::Policy": _CREDENTIALS,
    "AWS::IAM::ManagedPolicy": _CREDENTIALS,
    "AWS::CloudWatch::Alarm": "nobody watches the metric",
    "AWS::CloudWatch::Dashboard": "there is none to look at",
    "AWS::KMS::Alias": "the key has no such name, unless it was given before",
    "AWS::S3::BucketPolicy": "the bucket keeps the policy that it has",
    "AWS::SQS::QueuePolicy": "the queue keeps the policy that it has",
    "AWS::SNS::Subscription": "messages of the topic do not reach what runs here",
}
"""Types that are not needed on AWS for what runs here, and what follows from their absence."""

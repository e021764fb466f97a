"""The resources that one operation makes: one row each.

Owns which operation makes which type, and the few properties that need a call of their own. Neighbours: `rows` makes
them, `providers` has the whole list of types.
"""

from __future__ import annotations

import json
import secrets
import string
from typing import Final

from treadle.language.scope import Json
from treadle.local.addresses import address_of
from treadle.local.shapes import dig, fields, items
from treadle.local.stack.rows import Arguments, Properties, Row
from treadle.local.stack.shaping import as_text, policy_text, shaped
from treadle.local.stack.world import World

# ---- S3 ----------------------------------------------------------------------------------------------------------


def _bucket(properties: Properties, name: str) -> Arguments:
    return {"Bucket": name}


def _bucket_settings(world: World, bucket: str, properties: Properties) -> None:
    s3 = world.client("s3")
    if "VersioningConfiguration" in properties:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"])
    rules = [
        {
            key: rule[given]
            for key, given in {"AllowedHeaders": "AllowedHeaders", "AllowedMethods": "AllowedMethods",
                               "AllowedOrigins": "AllowedOrigins", "ExposeHeaders": "ExposedHeaders",
                               "MaxAgeSeconds": "MaxAge"}.items()
            if given in rule
        }
        for rule in items(dig(properties, "CorsConfiguration", "CorsRules"))
    ]  # fmt: skip
    if rules:
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    if "Tags" in properties:
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": properties["Tags"]})


def _empty_bucket(world: World, bucket: str) -> None:
    s3 = world.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for each in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])


# ---- DynamoDB ----------------------------------------------------------------------------------------------------


def _table_settings(world: World, table: str, properties: Properties) -> None:
    dynamodb = world.client("dynamodb")
    wanted = fields(properties.get("TimeToLiveSpecification"))
    if wanted and wanted.get("AttributeName"):
        shape = dynamodb.meta.service_model.shape_for("TimeToLiveSpecification")
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=shaped(wanted, shape))
    if dig(properties, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"):
        dynamodb.update_continuous_backups(
            TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )


def _table(properties: Properties, name: str) -> Arguments:
    from botocore.session import get_session

    from treadle.local.stack.shaping import arguments_of

    shape = get_session().get_service_model("dynamodb").operation_model("CreateTable").input_shape
    made, _ = arguments_of({**properties, "TableName": name}, shape)
    if "StreamSpecification" in made:
        made["StreamSpecification"]["StreamEnabled"] = True
    if "SSESpecification" in made:
        made["SSESpecification"] = {"Enabled": bool(dig(properties, "SSESpecification", "SSEEnabled"))}
    if "BillingMode" not in made and "ProvisionedThroughput" not in made:
        made["BillingMode"] = "PAY_PER_REQUEST"
    return made


# ---- queues and topics -------------------------------------------------------------------------------------------


def _queue(properties: Properties, name: str) -> Arguments:
    attributes = {key: as_text(value) for key, value in properties.items() if key not in ("QueueName", "Tags")}
    if attributes.get("FifoQueue") == "true" and not name.endswith(".fifo"):
        name = f"{name[:75]}.fifo"
    attributes = {key: value for key, value in attributes.items() if (key, value) != ("FifoQueue", "false")}
    return {"QueueName": name, "Attributes": attributes}


def _queue_attributes(world: World, url: str, properties: Properties) -> None:
    changed = _queue(properties, "")["Attributes"]
    changed.pop("FifoQueue", None)
    if changed:
        world.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=changed)


def _queue_policy(world: World, id: str, properties: Properties) -> None:
    for url in items(properties.get("Queues")):
        policy = as_text(properties["PolicyDocument"])
        world.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def _topic(properties: Properties, name: str) -> Arguments:
    if str(properties.get("FifoTopic")).lower() == "true" and not name.endswith(".fifo"):
        name = f"{name[:240]}.fifo"
    kept = ("DisplayName", "FifoTopic", "ContentBasedDeduplication", "KmsMasterKeyId")
    return {"Name": name, "Attributes": {key: as_text(properties[key]) for key in kept if key in properties}}


def _topic_subscriptions(world: World, topic: str, properties: Properties) -> None:
    for each in items(properties.get("Subscription")):
        subscribe(world, topic, {**fields(each), "TopicArn": topic})


def _subscription(properties: Properties, name: str) -> Arguments:
    attributes = ("DeliveryPolicy", "FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy")
    made: Arguments = {
        "TopicArn": properties["TopicArn"],
        "Protocol": properties["Protocol"],
        "Endpoint": as_text(properties.get("Endpoint", "")),
        "Attributes": {key: as_text(properties[key]) for key in attributes if key in properties},
        "ReturnSubscriptionArn": True,
    }
    return made


def subscribe(world: World, topic: str, properties: Properties) -> str:
    """Subscribe to a topic. Gives the subscription's ARN. A function is reached through the endpoint: moto has none of
    ours, and a topic with one could not be published to."""
    if properties.get("Protocol") == "lambda":
        address = address_of(str(properties["Endpoint"]), world.endpoint)
        properties = {**properties, "Protocol": "http", "Endpoint": address}
    return world.client("sns").subscribe(**_subscription(properties, ""))["SubscriptionArn"]


# ---- names and secrets -------------------------------------------------------------------------------------------


def _parameter(properties: Properties, name: str) -> Arguments:
    made: Arguments = {"Name": name, "Value": as_text(properties["Value"]), "Overwrite": True}
    made["Type"] = properties.get("Type", "String")
    return made | {key: properties[key] for key in ("Description", "Tier", "AllowedPattern") if key in properties}


def _secret(properties: Properties, name: str) -> Arguments:
    made: Arguments = {"Name": name} | {key: properties[key] for key in ("Description", "Tags") if key in properties}
    if "GenerateSecretString" in properties:
        made["SecretString"] = _generated(fields(properties["GenerateSecretString"]))
    else:
        made["SecretString"] = as_text(properties.get("SecretString", ""))
    return made


def _secret_value(world: World, arn: str, properties: Properties) -> None:
    if "SecretString" in properties and "GenerateSecretString" not in properties:
        text = as_text(properties["SecretString"])
        secrets_manager = world.client("secretsmanager")
        if secrets_manager.get_secret_value(SecretId=arn).get("SecretString") != text:
            secrets_manager.put_secret_value(SecretId=arn, SecretString=text)


def _generated(wanted: dict[str, Json]) -> str:
    letters = string.ascii_letters + string.digits + "!#$%&()*+,-./:;<=>?@[]^_{|}~"
    if wanted.get("ExcludePunctuation"):
        letters = string.ascii_letters + string.digits
    letters = "".join(each for each in letters if each not in str(wanted.get("ExcludeCharacters", "")))
    password = "".join(secrets.choice(letters) for _ in range(int(wanted.get("PasswordLength", 32))))
    if "SecretStringTemplate" not in wanted:
        return password
    return json.dumps({**json.loads(wanted["SecretStringTemplate"]), str(wanted["GenerateStringKey"]): password})


# ---- IAM ---------------------------------------------------------------------------------------------------------


def _role(properties: Properties, name: str) -> Arguments:
    made: Arguments = {"RoleName": name, "AssumeRolePolicyDocument": as_text(properties["AssumeRolePolicyDocument"])}
    return made | {key: properties[key] for key in ("Path", "Description", "Tags") if key in properties}


def _role_policies(world: World, role: str, properties: Properties) -> None:
    iam = world.client("iam")
    for policy in items(properties.get("Policies")):
        iam.put_role_policy(
            RoleName=role, PolicyName=policy["PolicyName"], PolicyDocument=policy_text(policy["PolicyDocument"])
        )
    trusted = properties["AssumeRolePolicyDocument"]
    if iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] != trusted:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=as_text(trusted))


def _bare_role(world: World, role: str) -> None:
    iam = world.client("iam")
    for each in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=each["PolicyArn"])
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=name)


def _managed_policy(properties: Properties, name: str) -> Arguments:
    return {"PolicyName": name, "PolicyDocument": policy_text(properties["PolicyDocument"])}


# ---- the rest ----------------------------------------------------------------------------------------------------


def _retention(world: World, group: str, properties: Properties) -> None:
    if "RetentionInDays" in properties:
        days = int(properties["RetentionInDays"])
        world.client("logs").put_retention_policy(logGroupName=group, retentionInDays=days)


def _bucket_policy(properties: Properties, name: str) -> Arguments:
    return {"Bucket": properties["Bucket"], "Policy": as_text(properties["PolicyDocument"])}


TABLE: Final[dict[str, Row]] = {
    "AWS::S3::Bucket": Row(
        "s3", "create_bucket", "{name}", "BucketName",
        attributes={"Arn": "arn:aws:s3:::{name}", "DomainName": "{name}.s3.amazonaws.com",
                    "RegionalDomainName": "{name}.s3.{region}.amazonaws.com"},
        delete=("delete_bucket", "Bucket"), arguments=_bucket, after=_bucket_settings, before_delete=_empty_bucket,
        change="after", lower=True,
        known=(
            "BucketName VersioningConfiguration CorsConfiguration Tags BucketEncryption "
            "PublicAccessBlockConfiguration OwnershipControls"
        ),
    ),
    "AWS::S3::BucketPolicy": Row(
        "s3", "put_bucket_policy", "@Bucket", delete=("delete_bucket_policy", "Bucket"), arguments=_bucket_policy,
        known="PolicyDocument",
    ),
    "AWS::DynamoDB::Table": Row(
        "dynamodb", "create_table", "{name}", "TableName", limit=255,
        attributes={"Arn": "{arn}table/{name}", "StreamArn": "TableDescription.LatestStreamArn"},
        delete=("delete_table", "TableName"), arguments=_table, after=_table_settings, change="after",
        known="TimeToLiveSpecification PointInTimeRecoverySpecification DeletionProtectionEnabled",
    ),
    "AWS::SQS::Queue": Row(
        "sqs", "create_queue", "QueueUrl", "QueueName", limit=80,
        attributes={"Arn": "{arn}{tail}", "QueueName": "{tail}", "QueueUrl": "{id}"},
        delete=("delete_queue", "QueueUrl"), arguments=_queue, after=_queue_attributes, change="after",
        known=(
            "ContentBasedDeduplication DeduplicationScope DelaySeconds FifoQueue FifoThroughputLimit "
            "KmsMasterKeyId KmsDataKeyReusePeriodSeconds MaximumMessageSize MessageRetentionPeriod "
            "ReceiveMessageWaitTimeSeconds RedriveAllowPolicy RedrivePolicy SqsManagedSseEnabled Tags "
            "VisibilityTimeout"
        ),
    ),
    "AWS::SNS::Topic": Row(
        "sns", "create_topic", "TopicArn", "TopicName", limit=256,
        attributes={"TopicName": "{tail}", "TopicArn": "{id}"}, delete=("delete_topic", "TopicArn"),
        arguments=_topic, after=_topic_subscriptions, change="after",
        known="ContentBasedDeduplication DisplayName FifoTopic KmsMasterKeyId Subscription Tags",
    ),
    "AWS::Logs::LogGroup": Row(
        "logs", "create_log_group", "{name}", "LogGroupName", limit=512, attributes={"Arn": "{arn}log-group:{name}:*"},
        delete=("delete_log_group", "logGroupName"), after=_retention, change="after",
        known="RetentionInDays",
    ),
    "AWS::SSM::Parameter": Row(
        "ssm", "put_parameter", "{name}", "Name", limit=1011,
        attributes={"Value": "@Value", "Type": "@Type"}, delete=("delete_parameter", "Name"), arguments=_parameter,
        known="Tags",
    ),
    "AWS::SecretsManager::Secret": Row(
        "secretsmanager", "create_secret", "ARN", "Name", limit=512, attributes={"Id": "{id}"},
        delete=("delete_secret", "SecretId"), arguments=_secret, after=_secret_value, change="after",
        known="GenerateSecretString SecretString KmsKeyId",
    ),
    "AWS::IAM::Role": Row(
        "iam", "create_role", "{name}", "RoleName", limit=64,
        attributes={"Arn": "arn:aws:iam::123456789012:role/{name}", "RoleId": "Role.RoleId"},
        delete=("delete_role", "RoleName"), arguments=_role, after=_role_policies, before_delete=_bare_role,
        change="after", known="ManagedPolicyArns MaxSessionDuration PermissionsBoundary Policies",
    ),
    "AWS::IAM::ManagedPolicy": Row(
        "iam", "create_policy", "Policy.Arn", "ManagedPolicyName", limit=128, delete=("delete_policy", "PolicyArn"),
        arguments=_managed_policy, change="replace",
        known="Description Groups ManagedPolicyName Path Roles Users",
    ),
    "AWS::Events::EventBus": Row(
        "events", "create_event_bus", "{name}", "Name", limit=256,
        attributes={"Arn": "{arn}event-bus/{name}", "Name": "{name}"}, delete=("delete_event_bus", "Name"),
        change="replace",
    ),
    "AWS::Events::Connection": Row(
        "events", "create_connection", "{name}", "Name", limit=64,
        attributes={"Arn": "ConnectionArn", "SecretArn": "SecretArn"}, delete=("delete_connection", "Name"),
        change="replace",
    ),
    "AWS::KMS::Key": Row(
        "kms", "create_key", "KeyMetadata.KeyId", attributes={"Arn": "KeyMetadata.Arn", "KeyId": "{id}"},
        change="after", known="EnableKeyRotation KeyPolicy PendingWindowInDays Enabled",
    ),
    "AWS::KMS::Alias": Row(
        "kms", "create_alias", "@AliasName", delete=("delete_alias", "AliasName"), change="replace",
    ),
    "AWS::CloudWatch::Alarm": Row(
        "cloudwatch", "put_metric_alarm", "{name}", "AlarmName", limit=255, attributes={"Arn": "{arn}alarm:{name}"},
        delete=("delete_alarms", "AlarmNames"),
        notice="alarms are kept and never evaluated: nothing happens when the metric crosses the threshold",
    ),
    "AWS::CloudWatch::Dashboard": Row(
        "cloudwatch", "put_dashboard", "{name}", "DashboardName", limit=255,
        delete=("delete_dashboards", "DashboardNames"),
    ),
    "AWS::Kinesis::Stream": Row(
        "kinesis", "create_stream", "{name}", "Name", limit=128, attributes={"Arn": "{arn}stream/{name}"},
        delete=("delete_stream", "StreamName"), change="after",
        arguments=lambda properties, name: {"StreamName": name, "ShardCount": int(properties.get("ShardCount", 1))},
        known="RetentionPeriodHours StreamEncryption StreamModeDetails Tags ShardCount",
    ),
}  # fmt: skip
"""By type of resource."""

SETTINGS: Final = {"AWS::SQS::QueuePolicy": _queue_policy}
"""Resources that only set something on another one."""

"""What the optimised integrations are: which service each calls, how its errors are told, what is sent.

Data, from AWS 'Integrating optimized services with Step Functions', and the little language it is written in:
parameters made of other parameters. Which actions and patterns exist stands in `language.resources`; how jobs end, in
`jobs`; what is done with it all, in `optimised`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from treadle.language.scope import Json
from treadle.language.values import is_array, is_object


@dataclass(frozen=True, slots=True)
class Connector:
    """A service: what botocore calls it, the prefix of its errors, and its names in the Java SDK 1.

    `other` is the class of errors that the service's model does not have.
    """

    module: str
    prefix: str
    v1_service: str
    other: str


CONNECTORS: Final[Mapping[str, Connector]] = {
    "athena": Connector("athena", "Athena", "AmazonAthena", "AmazonAthenaException"),
    "batch": Connector("batch", "Batch", "AWSBatch", "AWSBatchException"),
    "bedrock": Connector("bedrock", "Bedrock", "AmazonBedrock", "AmazonBedrockException"),
    "codebuild": Connector("codebuild", "CodeBuild", "AWSCodeBuild", "AWSCodeBuildException"),
    "databrew": Connector("databrew", "DataBrew", "AWSGlueDataBrew", "AWSGlueDataBrewException"),
    "dynamodb": Connector("dynamodb", "DynamoDB", "AmazonDynamoDBv2", "AmazonDynamoDBException"),
    "ecs": Connector("ecs", "ECS", "AmazonECS", "AmazonECSException"),
    "eks": Connector("eks", "EKS", "AmazonEKS", "AmazonEKSException"),
    "elasticmapreduce": Connector(
        "emr", "ElasticMapReduce", "AmazonElasticMapReduce", "AmazonElasticMapReduceException"
    ),
    "emr-containers": Connector(
        "emr-containers", "EMRContainers", "AmazonEMRContainers", "AmazonEMRContainersException"
    ),
    "emr-serverless": Connector("emr-serverless", "EMRServerless", "AWSEMRServerless", "AWSEMRServerlessException"),
    "events": Connector("events", "EventBridge", "AmazonEventBridge", "AmazonEventBridgeException"),
    "glue": Connector("glue", "Glue", "AWSGlue", "AWSGlueException"),
    "mediaconvert": Connector("mediaconvert", "MediaConvert", "AWSMediaConvert", "AWSMediaConvertException"),
    "sagemaker": Connector("sagemaker", "SageMaker", "AmazonSageMaker", "AmazonSageMakerException"),
    "sns": Connector("sns", "SNS", "AmazonSNS", "AmazonSNSException"),
    "sqs": Connector("sqs", "SQS", "AmazonSQS", "AmazonSQSException"),
}

MODULES: Final[Mapping[str, str]] = {"bedrock:invokeModel": "bedrock-runtime"}
"""Actions that another module of botocore has."""

# ---- parameters made of others -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class In:
    """A parameter of the task, by its path."""

    path: str


@dataclass(frozen=True, slots=True)
class Out:
    """Something in the service's answer to the request, by its path."""

    path: str


Made: TypeAlias = "str | In | Out | list[Made]"
"""What a parameter is made of; text stands for itself."""


def at(value: Json, path: str) -> Json:
    """What stands at a path of names and numbers (`Jobs.0.Status`); None where there is nothing."""
    for step in path.split(".") if path else ():
        if is_object(value):
            value = value.get(step)
        elif is_array(value) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def made(parameters: Mapping[str, Made], given: Json, answer: Json = None) -> dict[str, Json]:
    """Parameters from those of the task and the service's answer; those that come to nothing are left out."""
    found = {name: _made(each, given, answer) for name, each in parameters.items()}
    return {name: value for name, value in found.items() if value is not None}


def _made(part: Made, given: Json, answer: Json) -> Json:
    match part:
        case In(path):
            return at(given, path)
        case Out(path):
            return at(answer, path)
        case list():
            return [_made(each, given, answer) for each in part]
        case str():
            return part


@dataclass(frozen=True, slots=True)
class Request:
    """An operation that an action stands for, and its parameters where they are not those of the task.

    `result` is what of the answer the action gives.
    """

    operation: str
    parameters: Mapping[str, Made] | None = None
    result: Mapping[str, Made] | None = None


# AWS 'Amazon EMR with Step Functions': one cluster or step where the API takes lists.
_CLUSTER: Final[list[Made]] = [In("ClusterId")]
REQUESTS: Final[Mapping[str, Request]] = {
    "elasticmapreduce:createCluster": Request(
        "RunJobFlow", None, {"ClusterArn": Out("ClusterArn"), "ClusterId": Out("JobFlowId")}
    ),
    "elasticmapreduce:terminateCluster": Request("TerminateJobFlows", {"JobFlowIds": _CLUSTER}),
    "elasticmapreduce:addStep": Request(
        "AddJobFlowSteps",
        {"JobFlowId": In("ClusterId"), "Steps": [In("Step")], "ExecutionRoleArn": In("ExecutionRoleArn")},
        {"StepId": Out("StepIds.0")},
    ),
    "elasticmapreduce:cancelStep": Request(
        "CancelSteps",
        {"ClusterId": In("ClusterId"), "StepIds": [In("StepId")]},
        {"CancelStepsInfo": Out("CancelStepsInfoList.0")},
    ),
    "elasticmapreduce:setClusterTerminationProtection": Request(
        "SetTerminationProtection",
        {"JobFlowIds": _CLUSTER, "TerminationProtected": In("TerminationProtected")},
    ),
}


_PARTS: Final[Sequence[tuple[str, str, str, Made]]] = (
    ("InstanceFleet", "ModifyInstanceFleet", "InstanceFleet", In("InstanceFleet")),
    ("InstanceGroup", "ModifyInstanceGroups", "InstanceGroups", [In("InstanceGroup")]),
)


@dataclass(frozen=True, slots=True)
class ByName:
    """An action that names a part of a cluster: `operation` lists the parts, the id is put into the task's parameter
    `part`, and `then` is called."""

    operation: str
    part: str
    then: Request


LOOKED_UP: Final[Mapping[str, ByName]] = {
    f"elasticmapreduce:modify{part}ByName": ByName(
        f"List{part}s", part, Request(operation, {"ClusterId": In("ClusterId"), member: made_of})
    )
    for part, operation, member, made_of in _PARTS
}

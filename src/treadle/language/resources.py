"""What a Task names: the grammar of the `Resource` field and the integrations AWS Step Functions knows.

Owns the parsing of resource ARNs and the table of optimised integrations. Never decides whether a resource may be used
somewhere (that is `lint`) and never calls anything (that is `treadle.integrations`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

Kind = Literal["lambda", "activity", "service", "aws-sdk", "http", "mcp", "unknown"]
"""What serves a resource; "unknown" is an ARN of an integration that Step Functions does not have."""

Pattern = Literal["request-response", "sync", "sync:2", "waitForTaskToken"]
"""The service integration pattern: how long the state waits."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A parsed `Resource` field.

    `service` and `action` are as written in the ARN (`dynamodb`, `putItem`); of a Lambda function or an activity
    `action` is the name, of the function with its version or alias. `region` and `account` are empty where the ARN
    leaves them out.
    """

    arn: str
    kind: Kind
    service: str
    action: str
    pattern: Pattern = "request-response"
    partition: str = "aws"
    region: str = ""
    account: str = ""

    @property
    def resource_type(self) -> str:
        """`resourceType` of the Task events in the history: `sqs`, `aws-sdk:dynamodb`, `http`."""
        return f"aws-sdk:{self.service}" if self.kind == "aws-sdk" else self.service

    @property
    def name(self) -> str:
        """`resource` of the events in the history: the action with its pattern; of a function or activity the ARN."""
        if self.kind in ("lambda", "activity"):
            return self.arn
        return self.action if self.pattern == "request-response" else f"{self.action}.{self.pattern}"


_REQUEST: Final[frozenset[Pattern]] = frozenset(("request-response",))
_SYNC: Final[frozenset[Pattern]] = frozenset(("request-response", "sync"))
_TOKEN: Final[frozenset[Pattern]] = frozenset(("request-response", "waitForTaskToken"))
_SYNC_OR_TOKEN: Final = _SYNC | _TOKEN
_EVERY: Final[frozenset[Pattern]] = frozenset(get_args(Pattern))

# AWS 'Integrating optimized services with Step Functions': the patterns of each API.
OPTIMISED: Final[Mapping[str, Mapping[str, frozenset[Pattern]]]] = {
    "apigateway": {"invoke": _TOKEN},
    "athena": {
        "startQueryExecution": _SYNC,
        "stopQueryExecution": _REQUEST,
        "getQueryExecution": _REQUEST,
        "getQueryResults": _REQUEST,
    },
    "batch": {"submitJob": _SYNC},
    "bedrock": {"invokeModel": _TOKEN, "createModelCustomizationJob": _SYNC},
    "codebuild": {
        "startBuild": _SYNC,
        "stopBuild": _REQUEST,
        "batchDeleteBuilds": _REQUEST,
        "batchGetReports": _REQUEST,
        "startBuildBatch": _SYNC,
        "stopBuildBatch": _REQUEST,
        "retryBuildBatch": _SYNC,
        "deleteBuildBatch": _REQUEST,
    },
    "databrew": {"startJobRun": _SYNC},
    "dynamodb": {"getItem": _REQUEST, "putItem": _REQUEST, "updateItem": _REQUEST, "deleteItem": _REQUEST},
    "ecs": {"runTask": _SYNC_OR_TOKEN},
    "eks": {
        "createCluster": _SYNC,
        "deleteCluster": _SYNC,
        "createNodegroup": _SYNC,
        "deleteNodegroup": _SYNC,
        "createFargateProfile": _SYNC,
        "deleteFargateProfile": _SYNC,
        "call": _TOKEN,
        "runJob": _SYNC_OR_TOKEN,
    },
    "elasticmapreduce": {
        "createCluster": _SYNC,
        "terminateCluster": _SYNC,
        "addStep": _SYNC,
        "cancelStep": _REQUEST,
        "setClusterTerminationProtection": _REQUEST,
        "modifyInstanceFleetByName": _REQUEST,
        "modifyInstanceGroupByName": _REQUEST,
    },
    "emr-containers": {"createVirtualCluster": _REQUEST, "deleteVirtualCluster": _SYNC, "startJobRun": _SYNC},
    "emr-serverless": {
        "createApplication": _SYNC,
        "startApplication": _SYNC,
        "stopApplication": _SYNC,
        "deleteApplication": _SYNC,
        "startJobRun": _SYNC,
        "cancelJobRun": _SYNC,
    },
    "events": {"putEvents": _TOKEN},
    "glue": {"startJobRun": _SYNC},
    "lambda": {"invoke": _TOKEN},
    "mediaconvert": {"createJob": _SYNC},
    "sagemaker": {
        "createTrainingJob": _SYNC,
        "createTransformJob": _SYNC,
        "createHyperParameterTuningJob": _SYNC,
        "createLabelingJob": _SYNC,
        "createProcessingJob": _SYNC,
        "createModel": _REQUEST,
        "createEndpoint": _REQUEST,
        "createEndpointConfig": _REQUEST,
        "updateEndpoint": _REQUEST,
    },
    "sns": {"publish": _TOKEN},
    "sqs": {"sendMessage": _TOKEN},
    "states": {"startExecution": _EVERY},
}

# Tools of MCP servers, which AWS does not have.
MCP_ACTIONS: Final = frozenset(("callTool", "listTools"))

# Not for Task states: what ItemReader and ResultWriter of a distributed Map may name.
READERS: Final = frozenset(("s3:getObject", "s3:listObjectsV2"))
WRITERS: Final = frozenset(("s3:putObject",))

# Region and account may be any text: AWS does not look at them when it validates a definition.
_PARTITION: Final = r"arn:(?P<partition>aws[a-z-]*):"
_LAMBDA: Final = re.compile(
    _PARTITION + r"lambda:(?P<region>[^:\s]*):(?P<account>[^:\s]*):function:(?P<action>[^:\s]+(?::[^:\s]+)?)"
)
_ACTIVITY: Final = re.compile(
    _PARTITION + r"states:(?P<region>[^:\s]+):(?P<account>[^:\s]+):activity:(?P<action>[^:\s]+)"
)
_SERVICE: Final = re.compile(
    _PARTITION + r"states:(?P<region>[^:\s]*):(?P<account>[^:\s]*):(?P<sdk>aws-sdk:)?(?P<service>[A-Za-z0-9-]+):"
    r"(?P<action>[A-Za-z0-9]+)(?:\.(?P<pattern>[A-Za-z]+(?::\d+)?))?"
)
_ANY: Final = re.compile(_PARTITION + r"(?P<service>[^:\s]+):(?P<region>[^:\s]*):(?P<account>[^:\s]*):(?P<action>\S+)")


@lru_cache(maxsize=4096)
def parse_resource(arn: str) -> Resource | None:
    """The resource that an ARN names, "unknown" where Step Functions has no such integration; None for no ARN."""
    if match := _LAMBDA.fullmatch(arn):
        return Resource(arn, "lambda", "lambda", match["action"], "request-response", *_origin(match))
    if match := _ACTIVITY.fullmatch(arn):
        return Resource(arn, "activity", "activity", match["action"], "request-response", *_origin(match))
    if match := _SERVICE.fullmatch(arn):
        return _integration(arn, match)
    if match := _ANY.fullmatch(arn):
        return Resource(arn, "unknown", match["service"], match["action"], "request-response", *_origin(match))
    return None


def _origin(match: re.Match[str]) -> tuple[str, str, str]:
    return match["partition"], match["region"], match["account"]


def _integration(arn: str, match: re.Match[str]) -> Resource:
    service, action, pattern = match["service"], match["action"], _pattern(match["pattern"])
    kind = "unknown" if pattern is None else _kind(service, action, pattern, is_sdk=bool(match["sdk"]))
    return Resource(arn, kind, service, action, pattern or "request-response", *_origin(match))


def _pattern(written: str | None) -> Pattern | None:
    if written is None:
        return "request-response"
    return next((pattern for pattern in get_args(Pattern)[1:] if pattern == written), None)


def _kind(service: str, action: str, pattern: Pattern, is_sdk: bool) -> Kind:
    if is_sdk:
        # AWS SDK integrations have no .sync; which services and actions exist is known to the SDK alone.
        return "aws-sdk" if pattern in _TOKEN and action[0].islower() else "unknown"
    if (service, action, pattern) == ("http", "invoke", "request-response"):
        return "http"
    if service == "mcp" and action in MCP_ACTIONS and pattern == "request-response":
        return "mcp"
    return "service" if pattern in OPTIMISED.get(service, {}).get(action, frozenset()) else "unknown"

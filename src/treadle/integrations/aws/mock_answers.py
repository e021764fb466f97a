"""Holds what a test gives in place of a service's answer against the service's model. AWS 'TestState', mock.

Owns AWS's words for what does not fit. Members that the model does not have are ignored, as they are on AWS. What is
checked against is the answer that the task's state gets: for `.sync` that of the action which is asked in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from treadle.integrations.aws.actions import Unknown, answer_shape, sdk_action
from treadle.integrations.aws.names import OPTIMISED, SDK
from treadle.language.resources import Resource
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object

STRICT: Final = "STRICT"
NONE: Final = "NONE"

# botocore's names of the services of optimised integrations, where they differ.
_MODULES: Final = {"states": "stepfunctions", "elasticmapreduce": "emr", "bedrock": "bedrock-runtime"}

# AWS 'TestState': there is no model of these.
_FREE: Final = frozenset((("apigateway", "invoke"), ("eks", "call"), ("eks", "runJob")))

# AWS 'Run a Job': the action that tells of a job's end.
_POLLED: Final = {
    ("athena", "startQueryExecution"): "GetQueryExecution",
    ("batch", "submitJob"): "DescribeJobs",
    ("codebuild", "startBuild"): "BatchGetBuilds",
    ("codebuild", "startBuildBatch"): "BatchGetBuildBatches",
    ("databrew", "startJobRun"): "DescribeJobRun",
    ("ecs", "runTask"): "DescribeTasks",
    ("glue", "startJobRun"): "GetJobRun",
    ("sagemaker", "createHyperParameterTuningJob"): "DescribeHyperParameterTuningJob",
    ("sagemaker", "createLabelingJob"): "DescribeLabelingJob",
    ("sagemaker", "createProcessingJob"): "DescribeProcessingJob",
    ("sagemaker", "createTrainingJob"): "DescribeTrainingJob",
    ("sagemaker", "createTransformJob"): "DescribeTransformJob",
    ("states", "startExecution"): "DescribeExecution",
}


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_boolean(value: Json) -> bool:
    return isinstance(value, bool)


_KINDS: Final[Mapping[str, tuple[str, Callable[[Json], bool]]]] = {
    "string": ("a string", _is_text),
    "timestamp": ("a string", _is_text),
    "integer": ("a number", _is_number),
    "long": ("a number", _is_number),
    "float": ("a number", _is_number),
    "double": ("a number", _is_number),
    "boolean": ("a boolean", _is_boolean),
    "list": ("an array", is_array),
    "map": ("an object", is_object),
    "structure": ("an object", is_object),
}
"""Types of shapes: what they are called, and whether a value is one. What is not here may be anything."""


class Unfit(Exception):
    """A mock that does not fit the model; the message says why."""


def check_mock(resource: Resource, result: Json, mode: str) -> None:
    """Raises Unfit. `mode` is AWS's fieldValidationMode: STRICT wants all required members, PRESENT only right ones."""
    if mode == NONE:
        return
    found = _shape(resource)
    if found is not None:
        _Check(found[1], mode == STRICT).value("Result", found[0], result)


def _shape(resource: Resource) -> tuple[Any, Callable[[str], str]] | None:
    """The shape of a resource's answer and how its members are spelled; None where there is no model of it."""
    try:
        if resource.kind == "aws-sdk":
            action = sdk_action(resource.service, resource.action)
            shape, spelled = answer_shape(action.service.module, action.operation), SDK.member
        elif resource.kind == "service" and (resource.service, resource.action) not in _FREE:
            polled = _POLLED.get((resource.service, resource.action)) if "sync" in resource.pattern else None
            operation = polled or resource.action[:1].upper() + resource.action[1:]
            shape, spelled = answer_shape(_MODULES.get(resource.service, resource.service), operation), OPTIMISED.member
        else:
            return None
    except Unknown:
        return None
    return None if shape is None else (shape, spelled)


class _Check:
    def __init__(self, spelled: Callable[[str], str], strict: bool) -> None:
        self._spelled, self._strict = spelled, strict

    def value(self, field: str, shape: Any, value: Json) -> None:
        known = _KINDS.get(shape.type_name)
        if known is None or getattr(shape, "is_document_type", False):
            return
        kind, fits = known
        if not fits(value):
            raise Unfit(f"Field '{field}' must be {kind}")
        match shape.type_name:
            case "structure":
                self._members(shape, value)
            case "list":
                for each in value:
                    self.value(field, shape.member, each)
            case "map":
                for key, each in value.items():
                    self.value(key, shape.value, each)
            case "string":
                if shape.enum and value not in shape.enum:
                    raise Unfit(f"Field '{field}' is not an expected value")
                self._length(field, shape.metadata, len(value))
            case "integer" | "long" | "float" | "double":
                self._bounds(field, shape.metadata, value)
            case _:
                pass

    def _members(self, shape: Any, value: Mapping[str, Json]) -> None:
        for name in shape.required_members if self._strict else ():
            if self._spelled(name) not in value:
                raise Unfit(f"Required field '{self._spelled(name)}' is missing")
        for name, member in shape.members.items():
            spelled = self._spelled(name)
            if value.get(spelled) is not None:
                self.value(spelled, member, value[spelled])

    def _length(self, field: str, bounds: Mapping[str, Any], length: int) -> None:
        if length < bounds.get("min", 0):
            raise Unfit(f"Field '{field}' is smaller than the minimum length")
        if length > bounds.get("max", length):
            raise Unfit(f"Field '{field}' exceeds the maximum length")

    def _bounds(self, field: str, bounds: Mapping[str, Any], value: float) -> None:
        if value < bounds.get("min", value):
            raise Unfit(f"Field '{field}' is less than the minimum value")
        if value > bounds.get("max", value):
            raise Unfit(f"Field '{field}' exceeds the maximum value")

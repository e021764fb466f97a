"""Properties of CloudFormation as arguments of an operation, by the operation's own shape.

Owns the small differences: `Tags` as a list or as an object, numbers written as text, the case of a name. What the
operation has no place for is told, not dropped in silence. Pure; botocore's model is the source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from treadle.language.scope import Json
from treadle.local.shapes import fields, items


def arguments_of(properties: Mapping[str, Json], shape: Any) -> tuple[dict[str, Json], list[str]]:
    """The arguments for an operation with this input shape, and the properties that it has no place for."""
    members = {str(name).lower(): str(name) for name in shape.members}
    made: dict[str, Json] = {}
    left: list[str] = []
    for name, value in properties.items():
        member = members.get(name.lower())
        if member is None:
            left.append(name)
        else:
            made[member] = shaped(value, shape.members[member])
    return made, left


def shaped(value: Json, shape: Any) -> Json:
    """A value as a shape wants it."""
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            return arguments_of(fields(value), shape)[0]
        case "list":
            pairs = [{"Key": key, "Value": each} for key, each in fields(value).items()]
            return [shaped(each, shape.member) for each in (pairs if isinstance(value, dict) else items(value))]
        case "map":
            pairs = {str(fields(each)["Key"]): fields(each).get("Value") for each in items(value)}
            return {key: shaped(each, shape.value) for key, each in (pairs or fields(value)).items()}
        case "integer" | "long":
            return int(float(value))
        case "float" | "double":
            return float(value)
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "string":
            return as_text(value)
        case _:
            return value


def policy_text(document: Json) -> str:
    """A policy as text. AWS takes one without a version, or with the old one; moto only the newest."""
    return (
        json.dumps({**fields(document), "Version": "2012-10-17"}) if isinstance(document, dict) else as_text(document)
    )


def as_text(value: Json) -> str:
    """A value where an API wants text: policies and the like as JSON."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)

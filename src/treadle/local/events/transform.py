"""What a target is sent of an event: all of it, a part, a text of its own, or a template filled from it.

Pure. Source: EventBridge 'Input transformation'.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from treadle.language.scope import Json
from treadle.local.shapes import dig, fields, items

_PLACE: Final = re.compile(r"<([A-Za-z0-9_.-]+)>")


def input_of(target: Mapping[str, Json], event: Mapping[str, Json], rule: str = "") -> str:
    """The JSON text that a target is sent."""
    if "Input" in target:
        given = target["Input"]
        return given if isinstance(given, str) else json.dumps(given)
    if "InputPath" in target:
        return json.dumps(picked(str(target["InputPath"]), event))
    if "InputTransformer" in target:
        return _filled(fields(target["InputTransformer"]), event, rule)
    return json.dumps(event)


def picked(path: str, event: Json) -> Json:
    """The value at `$.detail.status` and the like; None where there is none."""
    for step in re.findall(r"[^.\[\]$]+", path):
        if isinstance(event, list):
            inner = items(event)
            event = inner[int(step)] if step.isdigit() and int(step) < len(inner) else None
        else:
            event = dig(event, step)
    return event


def _filled(transformer: Mapping[str, Json], event: Mapping[str, Json], rule: str) -> str:
    values = {name: picked(str(path), event) for name, path in fields(transformer.get("InputPathsMap")).items()}
    values |= {"aws.events.event.json": event, "aws.events.event": event, "aws.events.rule-name": rule}
    values |= {"aws.events.event.ingestion-time": event.get("time")}
    template = str(transformer.get("InputTemplate", ""))

    def put(found: re.Match[str]) -> str:
        if found[1] not in values:
            return found[0]
        value = values[found[1]]
        quoted = _within_quotes(template, found.start())
        if isinstance(value, str):
            return json.dumps(value)[1:-1] if quoted else json.dumps(value)
        return json.dumps(json.dumps(value))[1:-1] if quoted else json.dumps(value)

    filled = _PLACE.sub(put, template)
    try:
        return json.dumps(json.loads(filled))
    except ValueError:
        # A template that is no JSON is text.
        return json.dumps(filled)


def _within_quotes(template: str, position: int) -> bool:
    return len(re.findall(r'(?<!\\)"', template[:position])) % 2 == 1

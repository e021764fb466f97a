"""AWS::Include: a part of a template that stands in a file of its own.

Owns reading it in place. It happens before anything is ordered, since the included text may refer to resources. A
location is a path beside the template; `s3://` cannot be read before there is a bucket, and is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.shapes import dig, fields, items, listed
from treadle.local.template.document import read_document

_DEPTH: Final = 10


def include(value: Json, folder: Path, depth: int = 0) -> Json:
    """The value with every AWS::Include replaced by what it names. Raises TemplateError."""
    if isinstance(value, list):
        return [include(each, folder, depth) for each in items(value)]
    if not isinstance(value, dict):
        return value
    said = fields(value)
    made = {key: include(each, folder, depth) for key, each in said.items() if key != "Fn::Transform"}
    if "Fn::Transform" not in said:
        return made
    if depth > _DEPTH:
        raise TemplateError(f"{folder}: AWS::Include within AWS::Include goes deeper than {_DEPTH} levels.")
    for transform in listed(said["Fn::Transform"]):
        name, location = transform.get("Name"), dig(transform, "Parameters", "Location")
        if name != "AWS::Include":
            raise TemplateError(
                f"Fn::Transform {name}: a macro runs in your account; here it cannot. Write out what it gives."
            )
        if not isinstance(location, str) or location.startswith("s3://"):
            raise TemplateError(f"AWS::Include of {location}: name a file beside the template as Location.")
        file = folder / location
        made |= include(read_document(file).value, file.parent, depth + 1)
    return made

"""From a template's file to resources in the order in which they can be made.

Owns the sequence: text, loops, includes, parameters, Serverless, conditions, order. What a resource's properties mean
is told later, one by one, since it depends on the resources before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.shapes import fields, listed
from treadle.local.template.document import Document, read_document
from treadle.local.template.files import LocalFiles
from treadle.local.template.includes import include
from treadle.local.template.loops import unroll
from treadle.local.template.order import ordered, references
from treadle.local.template.parameters import Lookup, parameter_values
from treadle.local.template.resolve import NoResources, Resolver, Resources, Surrounding
from treadle.local.template.sam import EXTENSIONS, SERVERLESS, transforms, translate

NAMES: Final = ("template.yaml", "template.yml", "template.json")
"""What a folder's template is called, as the SAM command line looks for it."""

_SECTIONS: Final = frozenset(
    [
        "AWSTemplateFormatVersion",
        "Conditions",
        "Description",
        "Globals",
        "Hooks",
        "Mappings",
        "Metadata",
        "Outputs",
        "Parameters",
        "Resources",
        "Rules",
        "Transform",
    ]
)


@dataclass(frozen=True, slots=True)
class Declared:
    """One resource as the template declares it; `properties` are not resolved yet. `place` is for messages."""

    name: str
    type: str
    properties: dict[str, Json]
    needs: frozenset[str]
    place: str
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """One output of the template, not resolved yet."""

    name: str
    value: Json
    description: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """What a template declares once conditions are decided. `resources` stand in the order in which they can be made.

    `files` are those that it was read from, and the folders of code. `notices` say what has no effect here.
    """

    path: Path
    resources: tuple[Declared, ...]
    outputs: tuple[Output, ...]
    resolver: Resolver
    files: tuple[Path, ...]
    notices: tuple[str, ...] = ()

    def properties(self, declared: Declared, resources: Resources) -> dict[str, Json]:
        """A resource's properties with every function evaluated. Raises TemplateError."""
        return self.resolver.at(declared.place, resources).value(declared.properties)

    def output(self, output: Output, resources: Resources) -> Json:
        """An output's value. Raises TemplateError."""
        return self.resolver.at(f"{self.path}: Outputs.{output.name}", resources).value(output.value)


def find_template(path: Path) -> Path:
    """The template at a path, which may be its folder. Raises TemplateError."""
    if not path.is_dir():
        return path
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    raise TemplateError(f"{path}: there is no {', '.join(NAMES[:-1])} or {NAMES[-1]} here: name the template's file.")


def _no_lookup(name: str) -> str | None:
    return None


def read_template(
    path: Path, surrounding: Surrounding, given: Mapping[str, str] | None = None, lookup: Lookup = _no_lookup
) -> Template:
    """Read a template. `given` has values of parameters. Raises TemplateError with all that was found at once."""
    document = read_document(path)
    _check_outline(document)
    parameters = parameter_values(document, given or {}, lookup)
    mappings = cast("dict[str, Json]", document.value.get("Mappings") or {})
    early = Resolver(surrounding, parameters, mappings, {}, NoResources(), str(path))
    value = include(unroll(document.value, early.value), path.parent)
    files = LocalFiles(path.parent)
    value = files.hide(value)
    if SERVERLESS in transforms(value):
        value = translate(value, parameters, surrounding.region)
    value = files.show(value)

    conditions = cast("dict[str, Json]", value.get("Conditions") or {})
    resolver = Resolver(surrounding, parameters, value.get("Mappings") or {}, conditions, NoResources(), str(path))
    resources = _resources(document, value, resolver)
    outputs = tuple(
        Output(name, output.get("Value"), str(output.get("Description", "")))
        for name, output in cast("dict[str, Json]", value.get("Outputs") or {}).items()
        if "Condition" not in output or resolver.condition(output["Condition"])
    )
    notices = [f"{path}: {section} has no effect here." for section in ("Rules", "Hooks") if section in value]
    return Template(path, resources, outputs, resolver, (path, *files.paths.values()), tuple(notices))


def _check_outline(document: Document) -> None:
    findings = [
        f"{document.place(section)}: a template has no section '{section}': there are {', '.join(sorted(_SECTIONS))}."
        for section in document.value
        if section not in _SECTIONS and not section.startswith("Fn::")
    ]
    for section in ("Resources", "Parameters", "Conditions", "Mappings", "Outputs"):
        if not isinstance(document.value.get(section) or {}, dict):
            findings.append(f"{document.place(section)}: {section} is an object.")
    if not document.value.get("Resources"):
        findings.append(f"{document.path}: a template has at least one resource under Resources.")
    findings += [
        f"{document.place('Transform')}: the transform {name} is a macro of your account and cannot run here: write "
        "out what it gives."
        for name in transforms(document.value)
        if name not in (SERVERLESS, EXTENSIONS, "AWS::Include")
    ]
    if findings:
        raise TemplateError(*findings)


def _resources(document: Document, value: Mapping[str, Json], resolver: Resolver) -> tuple[Declared, ...]:
    declared: dict[str, Declared] = {}
    findings: list[str] = []
    given = cast("dict[str, Json]", value["Resources"])
    for name, resource in given.items():
        place = document.place("Resources", name)
        if not isinstance(resource, dict) or not isinstance(fields(resource).get("Type"), str):
            findings.append(f"{place}: a resource has a Type, as in 'Type: AWS::S3::Bucket'.")
            continue
        said = fields(resource)
        condition = said.get("Condition")
        if condition is not None and not resolver.at(place, NoResources()).condition(condition):
            continue
        declared[name] = Declared(
            name,
            said["Type"],
            fields(said.get("Properties")),
            frozenset({*references(said.get("Properties")), *listed(said.get("DependsOn"))} & given.keys()),
            place,
            kept=said.get("DeletionPolicy") in ("Retain", "RetainExceptOnCreate"),
        )
    if findings:
        raise TemplateError(*findings)
    needs = {name: {need for need in each.needs if need in declared} for name, each in declared.items()}
    return tuple(declared[name] for name in ordered(needs))


def comparable(properties: Mapping[str, Json]) -> str:
    """Properties as text that is the same for the same properties."""
    return json.dumps(properties, sort_keys=True, separators=(",", ":"), default=str)

"""Template text to plain values: YAML with CloudFormation's short tags, or JSON.

Owns the difference between `!GetAtt A.Arn` and `{"Fn::GetAtt": ["A", "Arn"]}`, and the line of every key, for errors.
Must never evaluate anything. Neighbours: `language.yaml_text` reads definitions, which are YAML 1.2 without tags; a
template is YAML 1.1, as CloudFormation 'Template formats' says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, cast

import yaml

from treadle.language.scope import Json
from treadle.local.errors import TemplateError

SIZE_LIMIT: Final = 1_000_000
"""Bytes of a template. CloudFormation 'Quotas': 1 MB in S3."""

VALUE_LIMIT: Final = 200_000
"""How many values a template may mean once its aliases are followed; a few lines could otherwise mean billions."""

DEPTH_LIMIT: Final = 100

Path_: TypeAlias = tuple[str | int, ...]

_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_YAML: Final = "tag:yaml.org,2002:"
# Timestamps are text to CloudFormation: 'Version: 2012-10-17' is the commonest of them.
_CONSTRUCT: Final = yaml.constructor.SafeConstructor()


@dataclass(frozen=True, slots=True)
class Document:
    """A template's text as a value. `lines` has the line of each key, counted from 1; none for JSON."""

    path: Path
    value: dict[str, Json]
    lines: Mapping[Path_, int]

    def place(self, *steps: str | int) -> str:
        """Where something stands, for a message: `template.yaml:12: Resources.Orders`."""
        for length in range(len(steps), 0, -1):
            if steps[:length] in self.lines:
                return f"{self.path}:{self.lines[steps[:length]]}: {dotted(steps)}"
        return f"{self.path}: {dotted(steps)}" if steps else str(self.path)


def dotted(steps: Path_) -> str:
    """A path as people write it: `Resources.Orders.Properties.Tags[0]`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read_document(path: Path) -> Document:
    """Read a template, or a part of one. Raises TemplateError, which names the line."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TemplateError(f"{path}: {error.strerror or error}: name a template that can be read.") from None
    if len(raw) > SIZE_LIMIT:
        raise TemplateError(f"{path}: a template has at most {SIZE_LIMIT:,} bytes, this one {len(raw):,}.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TemplateError(f"{path}: byte {error.start} is no UTF-8: save the file as UTF-8.") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Document:
    """The value of a template's text. Raises TemplateError."""
    lines: dict[Path_, int] = {}
    value = _json(text, path) if text.lstrip()[:1] == "{" else _yaml(text, path, lines)
    if not isinstance(value, dict):
        raise TemplateError(f"{path}: a template is an object with Resources, not {_kind(value)}.")
    return Document(path, cast("dict[str, Json]", value), lines)


def _json(text: str, path: Path) -> Json:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        try:
            # Braces begin a YAML flow mapping as well.
            return _yaml(text, path, {})
        except TemplateError:
            raise TemplateError(
                f"{path}:{error.lineno}: this is no JSON: {error.msg} (column {error.colno})."
            ) from None
    except RecursionError:
        raise TemplateError(f"{path}: the template nests too deeply.") from None


def _yaml(text: str, path: Path, lines: dict[Path_, int]) -> Json:
    try:
        node = cast("yaml.Node | None", yaml.compose(text, Loader=_LOADER))  # pyright: ignore[reportUnknownMemberType]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise TemplateError(f"{path}:{mark.line + 1 if mark else 1}: this is no YAML: {said}.") from None
    except yaml.YAMLError as error:
        raise TemplateError(f"{path}: this is no YAML: {error}.") from None
    return None if node is None else _Builder(path, lines).value(node, ())


class _Builder:
    def __init__(self, path: Path, lines: dict[Path_, int]) -> None:
        self.path = path
        self.lines = lines
        self.count = 0

    def value(self, node: yaml.Node, steps: Path_) -> Json:
        self.count += 1
        if self.count > VALUE_LIMIT:
            raise self.error(node, f"with its aliases followed, the template means more than {VALUE_LIMIT:,} values")
        if len(steps) > DEPTH_LIMIT:
            raise self.error(node, f"the template nests deeper than {DEPTH_LIMIT} levels")
        tag = str(node.tag)
        if tag.startswith("!"):
            return self.function(tag[1:], node, steps)
        match node:
            case yaml.MappingNode():
                return self.mapping(node, steps)
            case yaml.SequenceNode():
                return [self.value(each, (*steps, number)) for number, each in enumerate(node.value)]
            case _:
                return self.scalar(node, tag)

    def scalar(self, node: yaml.Node, tag: str) -> Json:
        match tag.removeprefix(_YAML):
            case "null":
                return None
            case "bool":
                return _CONSTRUCT.construct_yaml_bool(node)  # pyright: ignore[reportArgumentType]
            case "int":
                return _CONSTRUCT.construct_yaml_int(node)  # pyright: ignore[reportArgumentType]
            case "float":
                return _CONSTRUCT.construct_yaml_float(node)  # pyright: ignore[reportArgumentType]
            case _:
                return node.value

    def mapping(self, node: yaml.MappingNode, steps: Path_) -> dict[str, Json]:
        made: dict[str, Json] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key, "a key must be text")
            name = str(key.value)
            if key.tag == f"{_YAML}merge":
                raise self.error(key, "CloudFormation knows no merge key '<<': write the fields out")
            if name in made:
                raise self.error(key, f"the key '{name}' is here for the second time")
            self.lines[(*steps, name)] = key.start_mark.line + 1
            made[name] = self.value(value, (*steps, name))
        return made

    def function(self, name: str, node: yaml.Node, steps: Path_) -> Json:
        """A short tag in its long form."""
        plain = "map" if isinstance(node, yaml.MappingNode) else "seq" if isinstance(node, yaml.SequenceNode) else "str"
        node.tag = f"{_YAML}{plain}"
        try:
            value = self.value(node, steps)
        finally:
            # An alias leads to the same node again.
            node.tag = f"!{name}"
        if name == "GetAtt" and isinstance(value, str):
            resource, dot, attribute = value.partition(".")
            if not dot:
                raise self.error(node, f"!GetAtt names a resource and an attribute, as in {resource}.Arn")
            value = [resource, attribute]
        return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}

    def error(self, node: yaml.Node, message: str) -> TemplateError:
        return TemplateError(f"{self.path}:{node.start_mark.line + 1}: {message}.")


def _kind(value: Json) -> str:
    return {"NoneType": "nothing", "list": "a list", "str": "text"}.get(type(value).__name__, type(value).__name__)

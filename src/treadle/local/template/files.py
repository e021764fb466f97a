"""Files beside a template: code, definitions, API documents.

Owns the marker that stands for a local path while aws-sam-translator works, since it insists on `s3://`, and the
fingerprint by which a changed folder is noticed. Neighbours: `sam` translates in between, providers read the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.shapes import fields, items

LOCAL_PATH: Final = "LocalPath"
"""The key of what stands for a local file once the template is translated: `{"LocalPath": ..., "Fingerprint": ...}`."""

_BUCKET: Final = "treadle-local-files"

# The properties that name a file, by type of resource, as `aws cloudformation package` has them.
_PROPERTIES: Final[Mapping[str, str]] = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
    "AWS::Serverless::Api": "DefinitionUri",
    "AWS::Serverless::HttpApi": "DefinitionUri",
    "AWS::Lambda::Function": "Code",
    "AWS::Lambda::LayerVersion": "Content",
    "AWS::StepFunctions::StateMachine": "DefinitionS3Location",
    "AWS::ApiGateway::RestApi": "BodyS3Location",
    "AWS::ApiGatewayV2::Api": "BodyS3Location",
}
_GLOBALS: Final[Mapping[str, str]] = {"Function": "CodeUri", "LayerVersion": "ContentUri", "Api": "DefinitionUri"}

# What a build or an editor leaves in a folder of code, and no handler reads.
_UNREAD: Final = frozenset(["__pycache__", ".git", ".aws-sam", ".treadle", ".venv", ".pytest_cache"])


@dataclass(slots=True)
class LocalFiles:
    """The local paths of a template, each behind a marker. `folder` is what they are relative to."""

    folder: Path
    paths: dict[str, Path] = field(default_factory=dict[str, Path])

    def hide(self, template: dict[str, Json]) -> dict[str, Json]:
        """The template with a marker in place of every local path. Raises TemplateError for what is not there."""
        findings: list[str] = []
        made = dict(template)
        resources: dict[str, Json] = {}
        for name, resource in fields(template.get("Resources")).items():
            key = _PROPERTIES.get(str(fields(resource).get("Type")))
            resources[name] = resource if key is None else self._hidden(resource, "Properties", key, name, findings)
        made["Resources"] = resources
        if isinstance(given := template.get("Globals"), dict):
            shared: dict[str, Json] = {}
            for kind, properties in fields(given).items():
                key = _GLOBALS.get(kind)
                wrapped = {kind: properties}
                shared[kind] = (
                    properties if key is None else self._hidden(wrapped, kind, key, "Globals", findings)[kind]
                )
            made["Globals"] = shared
        if findings:
            raise TemplateError(*findings)
        return made

    def _hidden(
        self, holder: dict[str, Json], within: str, key: str, name: str, findings: list[str]
    ) -> dict[str, Json]:
        properties = fields(holder.get(within))
        given = properties.get(key)
        if not isinstance(given, str) or given.startswith(("s3://", "http://", "https://")):
            return holder
        path = (self.folder / given).resolve()
        if not path.exists():
            findings.append(f"{name}: {key} '{given}': there is no {path}: correct the path, or build the code first.")
            return holder
        marker = f"{len(self.paths)}-{fingerprint(path)}"
        self.paths[marker] = path
        # Serverless takes an address here, CloudFormation an object.
        bucket = "Bucket" if key in ("DefinitionS3Location", "BodyS3Location") else "S3Bucket"
        object_key = "Key" if bucket == "Bucket" else "S3Key"
        address: Json = f"s3://{_BUCKET}/{marker}" if key.endswith("Uri") else {bucket: _BUCKET, object_key: marker}
        return {**holder, within: {**properties, key: address}}

    def show(self, value: Json) -> Json:
        """The value with each marker replaced by the path that it stands for, and its fingerprint."""
        if isinstance(value, list):
            return [self.show(each) for each in items(value)]
        if not isinstance(value, dict):
            return value
        said = fields(value)
        if _BUCKET in (said.get("S3Bucket"), said.get("Bucket"), said.get("bucket")):
            marker = str(said.get("S3Key") or said.get("Key") or said.get("key"))
            return {LOCAL_PATH: str(self.paths[marker]), "Fingerprint": marker.partition("-")[2]}
        return {key: self.show(each) for key, each in said.items()}


def fingerprint(path: Path) -> str:
    """Changes when a file, or a file below a folder, was written; its content is not read."""
    digest = hashlib.sha256()
    for name, file in _files(path):
        status = file.stat()
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
        return
    for entry in sorted(path.iterdir()):
        if entry.is_dir() and entry.name not in _UNREAD:
            yield from ((f"{entry.name}/{name}", file) for name, file in _files(entry))
        elif entry.is_file():
            yield entry.name, entry

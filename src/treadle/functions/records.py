"""What is kept of functions that were created over the API: settings, versions, aliases, permissions, tags.

Plain data, one document for each function. Changed by `registry` alone, as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

LATEST = "$LATEST"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a function runs. `more` has the settings that are kept and echoed but have no effect here."""

    runtime: str
    handler: str
    role: str
    description: str = ""
    timeout: int = 3
    memory: int = 128
    environment: dict[str, str] = {}
    more: dict[str, Any] = {}


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """Where a function's code is: a package that is kept (`digest`, `size`), or a folder of this machine."""

    digest: str = ""
    size: int = 0
    sha256: str = ""
    folder: str | None = None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a function; `$LATEST` is the one that changes."""

    version: str
    settings: Settings
    code: Code
    revision: str
    modified: str


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name for a version; `weights` sends a part of the invocations to another one."""

    name: str
    version: str
    description: str = ""
    weights: dict[str, float] = {}
    revision: str = ""


class Permission(msgspec.Struct, frozen=True):
    """One statement of the policy of a function, a version or an alias."""

    qualifier: str | None
    statement: dict[str, Any]


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function with all that belongs to it. `published` is the number of the version published last."""

    name: str
    arn: str
    latest: Version
    versions: dict[str, Version] = {}
    published: int = 0
    aliases: dict[str, Alias] = {}
    permissions: dict[str, Permission] = {}
    tags: dict[str, str] = {}
    reserved: int | None = None

    def resolve(self, qualifier: str | None, draw: float = 0.0) -> Version | None:
        """The version that a qualifier stands for; `draw` in [0, 1) chooses where an alias has weights."""
        if qualifier is None or qualifier == LATEST:
            return self.latest
        alias = self.aliases.get(qualifier)
        if alias is None:
            return self.versions.get(qualifier)
        for version, weight in alias.weights.items():
            if draw < weight:
                return self.versions.get(version)
            draw -= weight
        return self.latest if alias.version == LATEST else self.versions.get(alias.version)

    def every_version(self) -> Mapping[str, Version]:
        """All versions, the one that changes first."""
        return {LATEST: self.latest, **self.versions}

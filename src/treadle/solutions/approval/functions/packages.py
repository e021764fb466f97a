"""Packages of a release and their versions, as requests name them. Pure: what it finds wrong, it returns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from web import Refusal

MOST = 100
_ID = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")
_RANGE = re.compile(r"(==|>=|<=|>|<)?\s*(\S+)")

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Package:
    """A package; `requires` has pairs of a package and a range such as `>=1.8.0,<2.0.0`."""

    id: str
    version: str
    requires: tuple[tuple[str, str], ...]


def version_of(text: Any) -> Version | None:
    """The three numbers of a version; None where it is none."""
    found = _VERSION.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def read_packages(given: Any) -> list[Package]:
    """The packages of a request. Raises Refusal with every fault of their form."""
    if not isinstance(given, list) or not 1 <= len(given) <= MOST:  # pyright: ignore[reportUnknownArgumentType]
        raise Refusal(400, "InvalidPackages", f"packages must be a list of 1 to {MOST} packages.")
    faults: list[str] = []
    read: list[Package] = []
    for number, each in enumerate(given):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        try:
            read.append(_read(each))
        except ValueError as error:
            faults.append(f"packages[{number}]: {error}")
    if faults:
        raise Refusal(400, "InvalidPackages", "Some packages are not well formed.", faults=faults)
    return read


def _read(given: Any) -> Package:
    if not isinstance(given, dict):
        raise ValueError("must be an object with id and version")
    fields: dict[str, Any] = given  # pyright: ignore[reportUnknownVariableType]
    id, version, requires = fields.get("id"), fields.get("version"), fields.get("requires", [])
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise ValueError("id must be lower-case letters, digits, '.', '_' and '-'")
    if version_of(version) is None:
        raise ValueError(f"version of {id} must be MAJOR.MINOR.PATCH")
    if not isinstance(requires, list) or len(requires) > MOST:  # pyright: ignore[reportUnknownArgumentType]
        raise ValueError(f"requires of {id} must be a list of at most {MOST}")
    pairs: list[tuple[str, str]] = []
    for each in requires:  # pyright: ignore[reportUnknownVariableType]
        wanted: dict[str, Any] = each if isinstance(each, dict) else {}  # pyright: ignore[reportUnknownVariableType]
        name, range = wanted.get("id"), wanted.get("version", ">=0.0.0")
        if not isinstance(name, str) or not isinstance(range, str):
            raise ValueError(f"requires of {id} must have objects with id and version")
        within(range, (0, 0, 0))
        pairs.append((name, range))
    return Package(id, str(version), tuple(pairs))


def within(range: str, version: Version) -> bool:
    """Whether a version satisfies every part of a range. Raises ValueError where the range is none."""
    met = True
    for part in range.split(","):
        found = _RANGE.fullmatch(part.strip())
        bound = version_of(found[2]) if found else None
        if found is None or bound is None:
            raise ValueError(f"'{range}' is no range of versions such as >=1.8.0,<2.0.0")
        holds = {"==": version == bound, ">=": version >= bound, "<=": version <= bound,
                 ">": version > bound, "<": version < bound}  # fmt: skip
        met = met and holds[found[1] or "=="]
    return met


def unmet(packages: list[Package]) -> Iterator[str]:
    """Everything that a release requires and does not have; and what stands in it twice or requires itself."""
    versions: dict[str, str] = {}
    for each in packages:
        if each.id in versions:
            yield f"{each.id} is there twice: {versions[each.id]} and {each.version}"
        versions[each.id] = each.version
    for each in packages:
        for name, range in each.requires:
            there = version_of(versions.get(name))
            if name == each.id:
                yield f"{each.id} requires itself"
            elif there is None:
                yield f"{each.id} requires {name} {range}, which is not in the release"
            elif not within(range, there):
                yield f"{each.id} requires {name} {range}, but the release has {versions[name]}"

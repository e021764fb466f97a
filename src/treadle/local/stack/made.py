"""What is wanted, and what is known of a resource once it was made. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from treadle.language.scope import Json

Support: TypeAlias = Literal["works", "accepted", "moto", "stub", "existing"]
"""How much of a resource there is: all that the documentation names; accepted without effect; what moto's own
CloudFormation makes of it; a name and nothing behind it; found on AWS."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource as the template wants it, resolved. `name` is its name there, `asked` the attributes wanted of it."""

    name: str
    type: str
    properties: Mapping[str, Json]
    stack: str
    asked: frozenset[str] = frozenset()


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that exists. `id` is what Ref gives, `attributes` what GetAtt gives.

    `properties` are those it was made from. `physical` is what the provider needs to change or delete it, where that is
    more than `id`.
    """

    name: str
    type: str
    id: str
    attributes: Mapping[str, Any] = {}
    properties: Mapping[str, Any] = {}
    physical: Mapping[str, Any] = {}
    support: Support = "works"
    notices: tuple[str, ...] = ()
    kept: bool = False

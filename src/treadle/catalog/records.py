"""What the catalog keeps, as documents of the store. Owns their kinds, keys and bytes; decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from treadle.language.scope import Json
from treadle.runtime.ports import Document

T = TypeVar("T")
MachineType: TypeAlias = Literal["STANDARD", "EXPRESS"]


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """A state machine as it was between two updates; never changed.

    `definition` is the digest under which the store keeps the text. The initial revision has an `id` too, which AWS
    does not show. Configurations have AWS's shapes.
    """

    id: str
    initial: bool
    definition: str
    role_arn: str
    logging: Mapping[str, Json] = {}
    tracing: Mapping[str, Json] = {}
    encryption: Mapping[str, Json] = {}
    made_at: float

    @property
    def shown_id(self) -> str | None:
        """The revisionId that AWS shows: none before the first update."""
        return None if self.initial else self.id


class Route(msgspec.Struct, frozen=True):
    """A version that an alias leads to, and how many of a hundred executions."""

    version_arn: str
    weight: int


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name for one or two versions."""

    arn: str
    name: str
    description: str | None
    routes: tuple[Route, ...]
    created_at: float
    updated_at: float


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A state machine with everything that changes together.

    `versions` is the last version number that was given away; `published` is the one that the current revision has.
    `published_at_once` and `first_description` are what CreateStateMachine was told, for its idempotency.
    """

    arn: str
    name: str
    type: MachineType
    created_at: float
    revision: Revision
    published_at_once: bool = False
    first_description: str | None = None
    versions: int = 0
    published: int | None = None
    aliases: dict[str, Alias] = {}
    tags: dict[str, str] = {}
    deleting: bool = False


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A revision under a number."""

    machine_arn: str
    number: int
    description: str | None
    created_at: float
    revision: Revision

    @property
    def arn(self) -> str:
        """The version's ARN."""
        return version_arn(self.machine_arn, self.number)


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """An activity."""

    arn: str
    name: str
    created_at: float
    encryption: Mapping[str, Json] = {}
    tags: dict[str, str] = {}


Kept: TypeAlias = Machine | Version | Revision | Activity

MACHINE: Final = "state machine"
VERSION: Final = "version"
REVISION: Final = "revision"
ACTIVITY: Final = "activity"
DELETION: Final = "deletion"
"""The state machines that are being deleted, so that a start need not look at all of them."""


def version_arn(machine_arn: str, number: int) -> str:
    """The ARN of a version."""
    return f"{machine_arn}:{number}"


def version_key(machine_arn: str, number: int) -> str:
    """The key of a version: in the order of their numbers."""
    return f"{machine_arn}:{number:010d}"


def revision_key(machine_arn: str, id: str) -> str:
    """The key of a revision."""
    return f"{machine_arn}:{id}"


def written(document: Document, value: Kept | None) -> Document:
    """The document with another value; None deletes."""
    return msgspec.structs.replace(document, value=None if value is None else msgspec.json.encode(value))


def read(document: Document, type: type[T]) -> T | None:
    """What a document holds; None where there is none."""
    return None if document.value is None else _decoded(document.value, type)


def _decoded(value: bytes, type: Any) -> Any:
    decoder = _DECODERS.get(type)
    if decoder is None:
        decoder = _DECODERS[type] = msgspec.json.Decoder(type)
    return decoder.decode(value)


_DECODERS: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}

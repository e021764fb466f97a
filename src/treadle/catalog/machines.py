"""State machines and their versions: create, update, publish, delete, find what an ARN leads to.

Everything that changes together stands in one document per state machine, and every change of its versions and aliases
writes that document too: so two changes at once are seen by the store, and the later one is made again on top of the
first. It must never start or stop an execution: whoever deletes a state machine drains it first (api.deletion).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from treadle.catalog.arns import Arn
from treadle.catalog.records import (
    DELETION,
    MACHINE,
    REVISION,
    VERSION,
    Machine,
    MachineType,
    Revision,
    Version,
    read,
    revision_key,
    version_arn,
    version_key,
    written,
)
from treadle.errors import ApiError, Conflict
from treadle.language.scope import Json
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Document, Store

MOST_VERSIONS: Final = 1_000
"""AWS quota: versions of a state machine."""
INITIAL: Final = "INITIAL"
"""What PublishStateMachineVersion calls the revision that has no id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be updated. `definition` is its text; None keeps what was."""

    definition: str | None = None
    role_arn: str | None = None
    logging: Mapping[str, Json] | None = None
    tracing: Mapping[str, Json] | None = None
    encryption: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What an ARN leads to: a state machine and, where it was qualified, the version and alias."""

    machine: Machine
    revision: Revision
    version: Version | None = None
    alias_arn: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A state machine as it shall be, with the documents that are written beside it."""

    machine: Machine | None
    beside: Sequence[Document] = ()


class Machines:
    """The state machines of a store. `now` gives seconds since the epoch, `draw` a number in [0, 1)."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], float],
        draw: Callable[[], float],
        most_versions: int = MOST_VERSIONS,
    ) -> None:
        self._store, self._now, self._draw = store, now, draw
        self._most_versions = most_versions

    # ---- finding -------------------------------------------------------------------------------------------------

    async def get(self, arn: str) -> Machine:
        """The state machine. Raises ApiError StateMachineDoesNotExist."""
        machine = await self.find(arn)
        if machine is None:
            raise missing(arn)
        return machine

    async def find(self, arn: str) -> Machine | None:
        """The state machine, if there is one."""
        return read(await self._store.document(MACHINE, arn), Machine)

    async def resolve(self, arn: Arn) -> Found:
        """What an ARN leads to; an alias chooses one of its versions. Raises ApiError StateMachineDoesNotExist."""
        machine = await self.find(arn.unqualified)
        if machine is None:
            raise missing(arn.text)
        if arn.qualifier is None:
            return Found(machine, machine.revision)
        alias = machine.aliases.get(arn.qualifier)
        if alias is None:
            version = await self.version(machine.arn, arn.qualifier)
            if version is None:
                raise missing(arn.text)
            return Found(machine, version.revision, version)
        chosen = alias.routes[0] if self._draw() * 100 < alias.routes[0].weight else alias.routes[-1]
        version = await self.version(machine.arn, chosen.version_arn.rpartition(":")[2])
        assert version is not None, "an alias's versions cannot be deleted"
        return Found(machine, version.revision, version, alias.arn)

    async def runnable(self, found: Found) -> StateMachine:
        """The state machine as an engine runs it."""
        machine, revision = found.machine, found.revision
        return StateMachine(
            arn=machine.arn,
            name=machine.name,
            definition=await self._store.definition(revision.definition),
            role_arn=revision.role_arn,
            type=machine.type,
            version_arn=found.version.arn if found.version else None,
            alias_arn=found.alias_arn,
            revision=revision.id,
        )

    async def version(self, machine_arn: str, number: str) -> Version | None:
        """A version by its number, if there is one."""
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            return None
        return read(await self._store.document(VERSION, version_key(machine_arn, int(number))), Version)

    async def versions(self, machine_arn: str) -> list[Version]:
        """All versions, the newest first."""
        documents = await self._store.documents(
            VERSION, f"{machine_arn}:", limit=max(MOST_VERSIONS, self._most_versions)
        )
        found = [read(each, Version) for each in reversed(documents)]
        return [each for each in found if each is not None]

    async def revision(self, machine_arn: str, id: str) -> Revision | None:
        """A revision, as long as its state machine is there; of a labelled ARN that of the whole state machine."""
        arn = machine_arn.partition("/")[0]
        return read(await self._store.document(REVISION, revision_key(arn, id)), Revision)

    async def definition(self, revision: Revision) -> str:
        """The text of a revision's definition."""
        return await self._store.definition(revision.definition)

    async def listed(self, prefix: str, after: str, limit: int) -> list[Machine]:
        """State machines whose ARN begins with `prefix`, in the order of their ARNs."""
        documents = await self._store.documents(MACHINE, prefix, after, limit)
        return [each for document in documents if (each := read(document, Machine)) is not None]

    # ---- changing ------------------------------------------------------------------------------------------------

    async def create(
        self,
        arn: str,
        name: str,
        type: MachineType,
        settings: Settings,
        *,
        publish: bool = False,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Machine:
        """Create a state machine, or find the one that the same call created before.

        Raises ApiError StateMachineAlreadyExists, StateMachineDeleting.
        """
        now = self._now()
        revision = _revision(settings, await self._keep(settings), None, now)
        machine = Machine(
            arn=arn,
            name=name,
            type=type,
            created_at=now,
            revision=revision,
            published_at_once=publish,
            first_description=description,
            tags=dict(tags or {}),
        )

        def edit(before: Machine | None) -> Change:
            if before is None:
                change = Change(machine, [_kept(machine)])
                return _published(change, description, now)[0] if publish else change
            if before.deleting:
                raise deleting(arn)
            if not _same(before, machine):
                raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
            return Change(before)

        return _there(await self._change(arn, edit))

    async def update(
        self, arn: str, settings: Settings, *, publish: bool = False, description: str | None = None
    ) -> tuple[Machine, Version | None]:
        """Give a state machine another revision, if anything differs; gives the version where one was published.

        Raises ApiError StateMachineDoesNotExist, StateMachineDeleting, ServiceQuotaExceededException.
        """
        now = self._now()
        version: Version | None = None
        digest = await self._keep(settings)
        room = not publish or await self._room(arn)

        def edit(found: Machine | None) -> Change:
            nonlocal version
            machine = _present(found, arn)
            revision = _revision(settings, digest, machine.revision, now)
            change = Change(machine)
            if _content(revision) != _content(machine.revision):
                machine = replace(machine, revision=revision, published=None)
                change = Change(machine, [_kept(machine)])
            if publish and machine.published is None:
                change, version = _published(change, description, now, room)
            return change

        machine = _there(await self._change(arn, edit))
        if publish and version is None:
            version = await self.version(arn, str(machine.published))
        return machine, version

    async def publish(self, arn: str, revision_id: str | None, description: str | None) -> Version:
        """Publish the current revision, or find the version that it has.

        Raises ApiError StateMachineDoesNotExist, StateMachineDeleting, ConflictException,
        ServiceQuotaExceededException.
        """
        version: Version | None = None
        room = await self._room(arn)

        def edit(found: Machine | None) -> Change:
            nonlocal version
            machine = _present(found, arn)
            current = machine.revision.shown_id or INITIAL
            if revision_id not in (None, current):
                raise ApiError(
                    "ConflictException",
                    f"Failed to publish the State Machine version for revision {revision_id}. "
                    f"The current State Machine revision is {current}.",
                )
            if machine.published is not None:
                return Change(machine)
            change, version = _published(Change(machine), description, self._now(), room)
            return change

        machine = _there(await self._change(arn, edit))
        version = version or await self.version(arn, str(machine.published))
        assert version is not None
        return version

    async def delete_version(self, machine_arn: str, number: int) -> None:
        """Delete a version; nothing happens when there is none. Raises ApiError ConflictException."""
        arn = version_arn(machine_arn, number)
        document = await self._store.document(VERSION, version_key(machine_arn, number))
        if document.value is None:
            return

        def edit(machine: Machine | None) -> Change:
            if machine is None:
                return Change(None)
            using = [each.name for each in machine.aliases.values() if any(r.version_arn == arn for r in each.routes)]
            if using:
                raise ApiError(
                    "ConflictException",
                    "Version to be deleted must not be referenced by an alias. "
                    f"Current list of aliases referencing this version: [{', '.join(using)}]",
                )
            published = None if machine.published == number else machine.published
            return Change(replace(machine, published=published), [written(document, None)])

        await self._change(machine_arn, edit)

    async def mark(self, arn: str) -> bool:
        """Begin to delete a state machine: it takes no new executions any more. False when there is none."""
        todo = await self._store.document(DELETION, arn)

        def edit(machine: Machine | None) -> Change:
            if machine is None or machine.deleting:
                return Change(machine)
            return Change(replace(machine, deleting=True), [written(todo, machine)])

        return await self._change(arn, edit) is not None

    async def marked(self) -> list[str]:
        """The state machines that are being deleted."""
        return [each.key for each in await self._store.documents(DELETION)]

    async def remove(self, arn: str) -> None:
        """Delete a state machine with its versions, aliases and revisions."""
        for kind in (VERSION, REVISION):
            while documents := await self._store.documents(kind, f"{arn}:"):
                await self._store.put_documents([written(each, None) for each in documents])
        kept = [await self._store.document(kind, arn) for kind in (MACHINE, DELETION)]
        await self._store.put_documents([written(each, None) for each in kept if each.value is not None])

    async def change(self, arn: str, edit: Callable[[Machine], Machine]) -> Machine:
        """Change a state machine. Raises ApiError StateMachineDoesNotExist, StateMachineDeleting, and what `edit`
        raises; `edit` may be called again."""
        return _there(await self._change(arn, lambda found: Change(edit(_present(found, arn)))))

    # ---- inside --------------------------------------------------------------------------------------------------

    async def _change(self, arn: str, edit: Callable[[Machine | None], Change]) -> Machine | None:
        while True:
            document = await self._store.document(MACHINE, arn)
            before = read(document, Machine)
            change = edit(before)
            if change.machine is before and not change.beside:
                return before
            try:
                await self._store.put_documents([written(document, change.machine), *change.beside])
            except Conflict:
                continue
            return change.machine

    async def _keep(self, settings: Settings) -> str | None:
        """The digest of the definition, which the store has when this returns."""
        if settings.definition is None:
            return None
        digest = hashlib.sha256(settings.definition.encode("utf-8", "surrogatepass")).hexdigest()
        await self._store.put_definition(digest, settings.definition)
        return digest

    async def _room(self, arn: str) -> bool:
        """Whether a state machine may have one more version."""
        most = self._most_versions
        return len(await self._store.documents(VERSION, f"{arn}:", limit=most)) < most


def missing(arn: str) -> ApiError:
    """There is no such state machine, version or alias."""
    return ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")


def deleting(arn: str) -> ApiError:
    """The state machine is being deleted."""
    return ApiError("StateMachineDeleting", f"State Machine is being deleted: '{arn}'")


def _present(machine: Machine | None, arn: str) -> Machine:
    if machine is None:
        raise missing(arn)
    if machine.deleting:
        raise deleting(arn)
    return machine


def _there(machine: Machine | None) -> Machine:
    assert machine is not None, "this change keeps what there is"
    return machine


def _revision(settings: Settings, digest: str | None, before: Revision | None, now: float) -> Revision:
    """The revision that settings make of the one before."""
    changed: dict[str, Any] = {
        "definition": digest,
        "role_arn": settings.role_arn,
        "logging": settings.logging,
        "tracing": settings.tracing,
        "encryption": settings.encryption,
    }
    given = {name: value for name, value in changed.items() if value is not None}
    if before is not None:
        return replace(before, id=str(uuid.uuid4()), initial=False, made_at=now, **given)
    return Revision(id=str(uuid.uuid4()), initial=True, made_at=now, **given)


def _published(change: Change, description: str | None, now: float, room: bool = True) -> tuple[Change, Version]:
    """The change, with the current revision published."""
    machine = _there(change.machine)
    if not room:
        raise ApiError("ServiceQuotaExceededException", "This state machine has as many versions as it may have.")
    number = machine.versions + 1
    version = Version(
        machine_arn=machine.arn, number=number, description=description, created_at=now, revision=machine.revision
    )
    document = written(Document(kind=VERSION, key=version_key(machine.arn, number)), version)
    return Change(replace(machine, versions=number, published=number), [*change.beside, document]), version


def _kept(machine: Machine) -> Document:
    """Executions name the revision that they run: it stays as long as the state machine."""
    revision = machine.revision
    return written(Document(kind=REVISION, key=revision_key(machine.arn, revision.id)), revision)


def _content(revision: Revision) -> Revision:
    """What makes a revision another one."""
    return replace(revision, id="", initial=False, made_at=0.0)


def _same(machine: Machine, other: Machine) -> bool:
    """AWS 'CreateStateMachine': what must be equal for a repeated call. Roles and tags need not be."""

    def compared(each: Machine) -> tuple[object, ...]:
        content = replace(_content(each.revision), role_arn="")
        return each.type, content, each.published_at_once, each.first_description

    return compared(machine) == compared(other)

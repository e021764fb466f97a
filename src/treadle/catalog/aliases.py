"""Aliases: names that lead to one or two versions of a state machine. Owns what a routing configuration may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from treadle.catalog.arns import Arn, parse_arn
from treadle.catalog.machines import Machines, deleting
from treadle.catalog.records import Alias, Machine, Route
from treadle.errors import ApiError

MOST_ALIASES: Final = 100
"""AWS quota: aliases of a state machine."""


class Aliases:
    """The aliases of the state machines of a store."""

    def __init__(self, machines: Machines, now: Callable[[], float], most_aliases: int = MOST_ALIASES) -> None:
        self._machines, self._now, self._most_aliases = machines, now, most_aliases

    async def create(self, name: str, description: str | None, routes: Sequence[Route]) -> Alias:
        """Create an alias, or find the one that the same call created before.

        Raises ApiError ValidationException, ResourceNotFound, ConflictException, ServiceQuotaExceededException.
        """
        machine_arn = await self._checked(routes)
        now = self._now()
        alias = Alias(
            arn=f"{machine_arn}:{name}",
            name=name,
            description=description,
            routes=tuple(routes),
            created_at=now,
            updated_at=now,
        )

        def edit(machine: Machine) -> Machine:
            before = machine.aliases.get(name)
            if before is None:
                if len(machine.aliases) >= self._most_aliases:
                    told = f"A state machine has {self._most_aliases} aliases at the most."
                    raise ApiError("ServiceQuotaExceededException", told)
                return _with(machine, alias)
            if (before.description, before.routes) != (alias.description, alias.routes):
                raise ApiError(
                    "ConflictException",
                    "Failed to create alias because an alias with the same name and a different routing configuration "
                    "already exists.",
                )
            return machine

        return (await self._machines.change(machine_arn, edit)).aliases[name]

    async def get(self, arn: Arn) -> Alias:
        """An alias. Raises ApiError ResourceNotFound."""
        machine = await self._machines.find(arn.unqualified)
        return _alias(machine, arn)

    async def listed(self, arn: Arn) -> list[Alias]:
        """The aliases of a state machine, or those that lead to one of its versions; those created first come first.

        Raises ApiError StateMachineDoesNotExist, StateMachineDeleting, ResourceNotFound.
        """
        machine = await self._machines.get(arn.unqualified)
        if machine.deleting:
            raise deleting(arn.unqualified)
        if arn.qualifier is not None and await self._machines.version(arn.unqualified, arn.qualifier) is None:
            raise not_there()
        found = machine.aliases.values()
        # Observed on AWS: the documentation promises the newest first.
        return [each for each in found if arn.qualifier is None or any(r.version_arn == arn.text for r in each.routes)]

    async def update(self, arn: Arn, description: str | None, routes: Sequence[Route] | None) -> Alias:
        """Change an alias. Raises ApiError ValidationException, ResourceNotFound."""
        if routes is not None and await self._checked(routes) != arn.unqualified:
            raise _misrouted("Routing configuration must contain versions of the alias's state machine.", routes)
        changed = {"description": description, "routes": None if routes is None else tuple(routes)}
        given = {key: value for key, value in changed.items() if value is not None}

        def edit(machine: Machine) -> Machine:
            before = _alias(machine, arn)
            after = msgspec.structs.replace(before, **given)
            return (
                machine if after == before else _with(machine, msgspec.structs.replace(after, updated_at=self._now()))
            )

        await self.get(arn)
        return _alias(await self._machines.change(arn.unqualified, edit), arn)

    async def delete(self, arn: Arn) -> None:
        """Delete an alias; nothing happens when there is none."""
        name = arn.qualifier
        machine = await self._machines.find(arn.unqualified)
        if machine is None or name not in machine.aliases:
            return

        def edit(machine: Machine) -> Machine:
            left = {key: value for key, value in machine.aliases.items() if key != name}
            return msgspec.structs.replace(machine, aliases=left)

        await self._machines.change(arn.unqualified, edit)

    async def _checked(self, routes: Sequence[Route]) -> str:
        """The state machine of a routing configuration. Observed on AWS: the words, and which fault is told first."""
        arns = [each.version_arn for each in routes]
        parsed = [parse_arn(each, "stateMachine") for each in arns]
        if not all((each.qualifier or "").isdecimal() for each in parsed):
            raise _misrouted("Routing configuration must contain state machine version ARNs.", routes)
        if len(set(arns)) < len(arns):
            raise _misrouted("Routing configuration must contain distinct state machine version ARNs.", routes)
        if len({each.unqualified for each in parsed}) > 1:
            raise _misrouted("Routing configuration must contain versions of one state machine.", routes)
        weights = [each.weight for each in routes]
        if sum(weights) != 100:
            raise ApiError(
                "ValidationException",
                f"Sum of routing configuration weights must equal 100. Received: {weights}",
                reason="INVALID_ROUTING_CONFIGURATION",
            )
        for each in parsed:
            if await self._machines.version(each.unqualified, each.qualifier or "") is None:
                raise not_there()
        return parsed[0].unqualified


def not_there() -> ApiError:
    """Something that a request names is not there. Observed on AWS: the words."""
    return ApiError("ResourceNotFound", "Request references a resource that does not exist.")


def _misrouted(fault: str, routes: Sequence[Route]) -> ApiError:
    arns = ", ".join(each.version_arn for each in routes)
    return ApiError("ValidationException", f"{fault} Received: [{arns}]", reason="INVALID_ROUTING_CONFIGURATION")


def _with(machine: Machine, alias: Alias) -> Machine:
    return msgspec.structs.replace(machine, aliases={**machine.aliases, alias.name: alias})


def _alias(machine: Machine | None, arn: Arn) -> Alias:
    alias = machine.aliases.get(arn.qualifier or "") if machine else None
    if alias is None:
        raise not_there()
    return alias

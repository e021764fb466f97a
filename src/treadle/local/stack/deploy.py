"""From a template to resources: what is new is made, what has changed is changed, what is gone is deleted.

Owns the order and the comparison. It runs in a thread, one resource after the other, and remembers each at once: a
failure, or a kill, leaves a part that the next time goes on from.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.shapes import dig
from treadle.local.stack.made import Made, Wanted
from treadle.local.stack.providers import Provider, provider_of
from treadle.local.stack.state import StateFile
from treadle.local.stack.world import World
from treadle.local.template.order import attributes_asked
from treadle.local.template.reading import Declared, Template, comparable

log = logging.getLogger("treadle.local")

Action: TypeAlias = Literal["made", "changed", "kept", "deleted"]


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one resource."""

    action: Action
    made: Made


@dataclass(frozen=True, slots=True)
class Deployed:
    """What became of a template."""

    steps: tuple[Step, ...]
    outputs: dict[str, Json]
    notices: tuple[str, ...]


class Deployment:
    """Brings a stack to what a template says. The resources that were made so far are what Ref and GetAtt see."""

    def __init__(self, template: Template, state: StateFile, world: World) -> None:
        self._template, self._state, self._world = template, state, world

    def run(self) -> Deployed:
        """Do it. Raises TemplateError, which names the resource; what was made until then is remembered."""
        asked = attributes_asked([each.properties for each in self._template.resources])
        steps = [self._one(each, frozenset(asked.get(each.name, ()))) for each in self._template.resources]
        steps += self._gone({each.name for each in self._template.resources})
        outputs = {each.name: self._template.output(each, self) for each in self._template.outputs}
        notices = [*self._template.notices]
        notices += [
            f"{step.made.name} ({step.made.type}): {notice}."
            for step in steps
            for notice in step.made.notices
            if step.action != "deleted"
        ]
        return Deployed(tuple(steps), outputs, tuple(notices))

    def ref(self, name: str) -> Json:
        """What Ref gives."""
        return self._made(name).id

    def attribute(self, name: str, attribute: str) -> Json:
        """What GetAtt gives. Raises TemplateError for an attribute that there is not."""
        made = self._made(name)
        if attribute in made.attributes and made.attributes[attribute] is not None:
            return made.attributes[attribute]
        if made.support in ("stub", "moto", "accepted"):
            # Something of the right form, so that what only passes it on can go on.
            return made.attributes.get("Arn", made.id) if attribute.lower().endswith("arn") else made.id
        known = ", ".join(sorted(made.attributes)) or "none"
        raise TemplateError(f"Fn::GetAtt {name}.{attribute}: {made.type} has the attributes {known} here.")

    def _made(self, name: str) -> Made:
        made = self._state.get(name)
        if made is None:
            raise KeyError(name)
        return made

    def _one(self, declared: Declared, asked: frozenset[str]) -> Step:
        properties = self._template.properties(declared, self)
        wanted = Wanted(declared.name, declared.type, properties, self._world.surrounding.stack, asked)
        before = self._state.get(declared.name)
        provider = self._provider(declared.type)
        try:
            if before is not None and before.type != declared.type:
                self._remove(before)
                before = None
            if before is None:
                action, made = "made", provider.make(wanted, self._world)
            elif comparable(before.properties) == comparable(properties):
                provider.resume(before, self._world)
                return Step("kept", before)
            else:
                action, made = "changed", provider.update(wanted, before, self._world)
        except TemplateError as error:
            raise TemplateError(*(f"{declared.place}: {each}" for each in error.findings)) from error
        except Exception as error:
            raise _failed(declared.place, declared.type, error) from error
        made = msgspec.structs.replace(made, kept=declared.kept)
        self._state.put(made)
        return Step(action, made)

    def _gone(self, declared: set[str]) -> Iterator[Step]:
        for made in reversed(self._state.resources()):
            if made.name not in declared:
                if not made.kept:
                    self._remove(made)
                self._state.drop(made.name)
                yield Step("deleted", made)

    def _remove(self, made: Made) -> None:
        self._provider(made.type).remove(made, self._world)

    def _provider(self, type: str) -> Provider:
        return provider_of(type, away=self._world.away is not None)


def delete_stack(state: StateFile, world: World) -> list[Made]:
    """Delete every resource, the last one first; those with a DeletionPolicy of Retain are only forgotten.

    Raises TemplateError at the first that cannot be deleted; those before it are gone.
    """
    deleted: list[Made] = []
    for made in reversed(state.resources()):
        if not made.kept:
            try:
                provider_of(made.type, away=world.away is not None).remove(made, world)
            except Exception as error:
                raise _failed(made.name, made.type, error) from error
        state.drop(made.name)
        deleted.append(made)
    return deleted


def _failed(place: str, kind: str, error: Exception) -> TemplateError:
    """What a service refused, in its own words; anything else is told by its name."""
    told = dig(getattr(error, "response", None), "Error", "Message")
    if isinstance(error, KeyError):
        told = f"the property {error} is missing"
    return TemplateError(f"{place}: {kind}: {told or f'{type(error).__name__}: {error}'}")

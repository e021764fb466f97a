"""A resource that one operation makes, described as a row of a table.

Owns what is the same for all of them: the arguments, the name, Ref and attributes, adopting what is there already, and
deletion. `table` has the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import msgspec

from treadle.language.scope import Json
from treadle.local.shapes import dig
from treadle.local.stack.consequences import of_property
from treadle.local.stack.made import Made, Wanted
from treadle.local.stack.names import physical_name
from treadle.local.stack.shaping import arguments_of
from treadle.local.stack.world import World

Properties: TypeAlias = Mapping[str, Json]
Arguments: TypeAlias = dict[str, Json]
Change: TypeAlias = Literal["again", "replace", "after"]
"""How a change is made: by the same call; by deleting and making again; by the steps after the call alone."""

# The name of a resource is made of its stack and its own, so what has it already was made by an earlier `up`.
_EXISTS: Final = frozenset(
    {
        "AlreadyExistsException",
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "ConflictException",
        "EntityAlreadyExists",
        "QueueAlreadyExists",
        "QueueNameExists",
        "ResourceAlreadyExistsException",
        "ResourceExistsException",
        "ResourceInUseException",
    }
)
_GONE: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "NoSuchEntity",
        "NotFound",
        "NotFoundException",
        "ParameterNotFound",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "StateMachineDoesNotExist",
    }
)


def _nothing(world: World, id: str, properties: Properties) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """One type of resource.

    `create` is a method of the client of `service`. `name` is the property with the name, `limit` the most characters
    of a made one. `id` and `attributes` are templates over `{name}`, `{tail}` (the end of the id), `{region}` and
    `{arn}` (`arn:aws:service:region:account:`), paths into the answer (`TableDescription.TableArn`), or properties
    (`@Value`). `known` are properties, with blanks between, that `arguments` and `after` see to; of others that the
    operation has no place for, a notice is given.
    """

    service: str
    create: str
    id: str
    name: str | None = None
    limit: int = 63
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    delete: tuple[str, str] | None = None
    arguments: Callable[[Properties, str], Arguments] | None = None
    after: Callable[[World, str, Properties], None] = _nothing
    before_delete: Callable[[World, str], None] | None = None
    change: Change = "again"
    known: str = ""
    lower: bool = False
    notice: str = ""

    def make(self, wanted: Wanted, world: World, name: str | None = None) -> Made:
        """Make the resource. Raises botocore's ClientError."""
        properties, known = wanted.properties, frozenset(self.known.split())
        name = name or self._name(wanted)
        client = world.client(self.service)
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[self.create]).input_shape
        if self.arguments is not None:
            arguments, left = self.arguments(properties, name), [*properties]
            left = [each for each in left if each.lower() not in {key.lower() for key in arguments}]
        else:
            given = {**properties, **({self.name: name} if self.name else {})}
            arguments, left = arguments_of({key: each for key, each in given.items() if key not in known}, shape)
        answer = self._call(client, arguments)
        place = {"name": name, "arn": world.arn(self.service, ""), "region": world.surrounding.region}
        id = str(told(self.id, answer, properties, place))
        self.after(world, id, properties)
        lost = sorted(set(left) - known - {self.name})
        notices = [self.notice] if self.notice else []
        notices += [of_property(wanted.type, each) for each in lost]
        return Made(
            name=wanted.name,
            type=wanted.type,
            id=id,
            attributes={
                key: told(each, answer, properties, {**place, "id": id, "tail": re.split("[/:]", id)[-1]})
                for key, each in self.attributes.items()
            },
            properties=properties,
            physical={"name": name},
            notices=tuple(notices),
        )

    def update(self, wanted: Wanted, made: Made, world: World) -> Made:
        """Make the resource what the template says now."""
        given = wanted.properties.get(self.name) if self.name else None
        if given and str(given) != made.physical.get("name"):
            self.remove(made, world)
            return self.make(wanted, world)
        match self.change:
            case "again":
                return self.make(wanted, world, str(made.physical["name"]))
            case "after":
                self.after(world, made.id, wanted.properties)
                return msgspec.structs.replace(made, properties=wanted.properties)
            case "replace":
                self.remove(made, world)
                return self.make(wanted, world)

    def resume(self, made: Made, world: World) -> None:
        """It is in the local cloud."""

    def remove(self, made: Made, world: World) -> None:
        """Delete the resource; one that is gone already is no error."""
        if self.delete is None:
            return
        method, argument = self.delete
        try:
            if self.before_delete is not None:
                self.before_delete(world, made.id)
            value: Json = made.physical.get("name") if argument.endswith("!") else made.id
            argument = argument.rstrip("!")
            getattr(world.client(self.service), method)(**{argument: [value] if argument.endswith("Names") else value})
        except Exception as error:
            if code_of(error) not in _GONE:
                raise

    def _name(self, wanted: Wanted) -> str:
        given = wanted.properties.get(self.name) if self.name else None
        return str(given) if given else physical_name(wanted.stack, wanted.name, self.limit, lower=self.lower)

    def _call(self, client: Any, arguments: Arguments) -> Json:
        try:
            return getattr(client, self.create)(**arguments)
        except Exception as error:
            if code_of(error) not in _EXISTS:
                raise
            return {}


def told(template: str, answer: Json, properties: Properties, place: Mapping[str, str]) -> Json:
    """What a template of an id or an attribute stands for; `Row` tells its forms."""
    if template.startswith("@"):
        return properties.get(template[1:])
    if "{" in template:
        return template.format(**place)
    return dig(answer, *template.split("."))


def code_of(error: BaseException) -> str:
    """The code of an error that a service gave; empty for any other."""
    return str(dig(getattr(error, "response", None), "Error", "Code") or "").rpartition("#")[2]

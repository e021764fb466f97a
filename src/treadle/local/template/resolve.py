"""Intrinsic functions: what a value of a template means.

Owns Ref, GetAtt, Sub, If and the other functions, as one table. What a resource's Ref and attributes are, it asks;
nothing is created here. Source: CloudFormation 'Intrinsic functions'. Neighbours: `order` finds references, `reading`
builds the resolver.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.shapes import fields, items


@dataclass(frozen=True, slots=True)
class Surrounding:
    """The account and region that a stack thinks it is in."""

    stack: str
    region: str = "us-east-1"
    account: str = "123456789012"

    @property
    def pseudo(self) -> dict[str, Json]:
        """The pseudo parameters but AWS::NoValue."""
        return {
            "AWS::AccountId": self.account,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": self.region,
            "AWS::StackId": f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{self.stack}/local",
            "AWS::StackName": self.stack,
            "AWS::URLSuffix": "amazonaws.com",
        }


class Resources(Protocol):
    """The resources that were made so far."""

    def ref(self, name: str) -> Json:
        """What Ref gives. Raises KeyError when there is no such resource."""
        ...

    def attribute(self, name: str, attribute: str) -> Json:
        """What GetAtt gives. Raises KeyError when there is no such resource, TemplateError for the attribute."""
        ...


class NoResources:
    """Where only parameters may be referred to."""

    def ref(self, name: str) -> Json:
        """There is none."""
        raise KeyError(name)

    def attribute(self, name: str, attribute: str) -> Json:
        """There is none."""
        raise KeyError(name)


_SUBSTITUTED: Final = re.compile(r"\$\{(!?)([^!{}][^{}]*)\}")

_NO_VALUE: Final = object()
"""AWS::NoValue: the field that has it is not there."""


@dataclass(slots=True)
class Resolver:
    """Evaluates values. `place` is told in errors; conditions are evaluated once."""

    surrounding: Surrounding
    parameters: Mapping[str, Json]
    mappings: Mapping[str, Json]
    conditions: Mapping[str, Json]
    resources: Resources = field(default_factory=NoResources)
    place: str = ""
    _known: dict[str, bool] = field(default_factory=dict[str, bool])
    _open: list[str] = field(default_factory=list[str])

    def at(self, place: str, resources: Resources) -> Resolver:
        """The same resolver for a value that stands elsewhere."""
        return Resolver(
            self.surrounding, self.parameters, self.mappings, self.conditions, resources, place, self._known
        )

    def value(self, value: Json) -> Json:
        """What a value means; None for AWS::NoValue. Raises TemplateError."""
        found = self._value(value)
        return None if found is _NO_VALUE else found

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds. Raises TemplateError."""
        if name not in self._known:
            if name not in self.conditions:
                raise self._error(f"there is no condition '{name}' among Conditions")
            if name in self._open:
                raise self._error(f"the condition '{name}' depends on itself")
            self._open.append(name)
            try:
                self._known[name] = self._truth(self.conditions[name])
            finally:
                self._open.pop()
        return self._known[name]

    def _value(self, value: Json) -> Json:
        if isinstance(value, list):
            found = [self._value(each) for each in items(value)]
            return [each for each in found if each is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        said = fields(value)
        if len(said) == 1:
            ((name, argument),) = said.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, argument)
            if name == "Condition" and isinstance(argument, str) and argument in self.conditions:
                return self.condition(argument)
            if name.startswith("Fn::"):
                raise self._error(f"{name} is no intrinsic function that is known here")
        made = {key: self._value(each) for key, each in said.items()}
        return {key: each for key, each in made.items() if each is not _NO_VALUE}

    # ---- names -------------------------------------------------------------------------------------------------------

    def _ref(self, name: Json) -> Json:
        if name == "AWS::NoValue":
            return _NO_VALUE
        pseudo = self.surrounding.pseudo
        if name in pseudo:
            return pseudo[name]
        if name in self.parameters:
            return self.parameters[name]
        try:
            return self.resources.ref(str(name))
        except KeyError:
            raise self._error(f"Ref {name}: there is no such parameter or resource here") from None

    def _get_att(self, argument: Json) -> Json:
        match argument.split(".", 1) if isinstance(argument, str) else argument:
            case [str() as name, attribute]:
                return self._attribute(name, str(self._value(attribute)))
            case _:
                raise self._error("Fn::GetAtt takes [resource, attribute]")

    def _attribute(self, name: str, attribute: str) -> Json:
        try:
            return self.resources.attribute(name, attribute)
        except KeyError:
            raise self._error(f"Fn::GetAtt {name}.{attribute}: there is no such resource here") from None
        except TemplateError as error:
            raise self._error(str(error).removesuffix(".")) from None

    def _import(self, argument: Json) -> Json:
        raise self._error(
            f"Fn::ImportValue {self._value(argument)}: other stacks are not here: make it a parameter and give its "
            "value with --parameter"
        )

    # ---- text --------------------------------------------------------------------------------------------------------

    def _sub(self, argument: Json) -> Json:
        match argument:
            case str() as text:
                own: dict[str, Json] = {}
            case [str() as text, dict()]:
                own = {key: self._value(each) for key, each in fields(argument[1]).items()}
            case _:
                raise self._error("Fn::Sub takes text, or [text, {name: value}]")

        def put(name: str) -> str:
            if name in own:
                return self._text(own[name], "Fn::Sub")
            resource, dot, attribute = name.partition(".")
            return self._text(self._attribute(resource, attribute) if dot else self._ref(name), "Fn::Sub")

        return _SUBSTITUTED.sub(lambda found: f"${{{found[2]}}}" if found[1] else put(found[2].strip()), text)

    def _text(self, value: Json, function: str) -> str:
        match value:
            case bool():
                return str(value).lower()
            case str() | int() | float():
                return str(value)
            case _:
                raise self._error(f"{function} joins text, not {json.dumps(value, default=str)[:80]}")

    def _join(self, argument: Json) -> Json:
        match argument:
            case [str() as delimiter, parts]:
                values = self._list(parts, "Fn::Join")
                return delimiter.join(self._text(each, "Fn::Join") for each in values)
            case _:
                raise self._error("Fn::Join takes [delimiter, list]")

    def _split(self, argument: Json) -> Json:
        match argument:
            case [str() as delimiter, source] if delimiter:
                return self._text(self._value(source), "Fn::Split").split(delimiter)
            case _:
                raise self._error("Fn::Split takes [delimiter, text]")

    def _base64(self, argument: Json) -> Json:
        return base64.b64encode(self._text(self._value(argument), "Fn::Base64").encode()).decode("ascii")

    def _json(self, argument: Json) -> Json:
        return json.dumps(self._value(argument), separators=(",", ":"))

    # ---- lists and maps ----------------------------------------------------------------------------------------------

    def _list(self, argument: Json, function: str) -> list[Json]:
        found = self._value(argument)
        if not isinstance(found, list):
            raise self._error(f"{function} needs a list, not {json.dumps(found, default=str)[:80]}")
        return items(found)

    def _select(self, argument: Json) -> Json:
        match argument:
            case [index, values]:
                found, number = self._list(values, "Fn::Select"), str(self._value(index))
                if not number.isdigit() or int(number) >= len(found):
                    raise self._error(f"Fn::Select {number}: the list has the items 0 to {len(found) - 1}")
                return found[int(number)]
            case _:
                raise self._error("Fn::Select takes [index, list]")

    def _find_in_map(self, argument: Json) -> Json:
        match argument:
            case [first, second, third, *rest]:
                names = [str(self._value(each)) for each in (first, second, third)]
            case _:
                raise self._error("Fn::FindInMap takes [map, key, key]")
        found: Json = self.mappings
        for name in names:
            if not isinstance(found, dict) or name not in found:
                if rest and isinstance(rest[0], dict) and "DefaultValue" in rest[0]:
                    return self._value(rest[0]["DefaultValue"])
                raise self._error(f"Fn::FindInMap {', '.join(names)}: there is no '{name}' in Mappings")
            found = fields(found)[name]
        return self._value(found)

    def _length(self, argument: Json) -> Json:
        return len(self._list(argument, "Fn::Length"))

    def _zones(self, argument: Json) -> Json:
        region = str(self._value(argument) or self.surrounding.region)
        return [f"{region}{letter}" for letter in "abc"]

    def _cidr(self, argument: Json) -> Json:
        match argument:
            case [block, count, *bits]:
                pass
            case _:
                raise self._error("Fn::Cidr takes [block, count, bits]")
        try:
            network = ipaddress.ip_network(str(self._value(block)))
            width = int(self._value(bits[0])) if bits else 8
            subnets = network.subnets(new_prefix=network.max_prefixlen - width)
            wanted = int(self._value(count))
            found = [str(subnet) for subnet, _ in zip(subnets, range(wanted), strict=False)]
        except ValueError as error:
            raise self._error(f"Fn::Cidr: {error}") from None
        if len(found) < wanted:
            raise self._error(f"Fn::Cidr: {network} has only {len(found)} blocks of {width} bits, not {wanted}")
        return found

    # ---- conditions --------------------------------------------------------------------------------------------------

    def _if(self, argument: Json) -> Json:
        match argument:
            case [str() as name, then, otherwise]:
                return self._value(then if self.condition(name) else otherwise)
            case _:
                raise self._error("Fn::If takes [condition, value, value]")

    def _truth(self, value: Json) -> bool:
        found = self._value(value)
        if not isinstance(found, bool):
            raise self._error(f"a condition is true or false, not {json.dumps(found, default=str)[:80]}")
        return found

    def _truths(self, argument: Json, function: str) -> list[bool]:
        if not isinstance(argument, list):
            raise self._error(f"{function} takes a list of conditions")
        return [self._truth(each) for each in items(argument)]

    def _equals(self, argument: Json) -> Json:
        match argument:
            case [first, second]:
                return _same(self._value(first)) == _same(self._value(second))
            case _:
                raise self._error("Fn::Equals takes [value, value]")

    def _contains(self, argument: Json) -> Json:
        match argument:
            case [values, value]:
                return _same(self._value(value)) in [_same(each) for each in self._list(values, "Fn::Contains")]
            case _:
                raise self._error("Fn::Contains takes [list, value]")

    def _error(self, message: str) -> TemplateError:
        return TemplateError(f"{self.place}: {message}." if self.place else f"{message}.")


def _same(value: Json) -> Json:
    """CloudFormation compares scalars as text."""
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value


# The table is the only one to call these methods.
# pyright: reportPrivateUsage=false
_FUNCTIONS: Final[dict[str, Callable[[Resolver, Json], Json]]] = {
    "Ref": Resolver._ref,
    "Fn::GetAtt": Resolver._get_att,
    "Fn::Sub": Resolver._sub,
    "Fn::Join": Resolver._join,
    "Fn::Split": Resolver._split,
    "Fn::Select": Resolver._select,
    "Fn::FindInMap": Resolver._find_in_map,
    "Fn::If": Resolver._if,
    "Fn::Equals": Resolver._equals,
    "Fn::Contains": Resolver._contains,
    "Fn::And": lambda resolver, value: all(resolver._truths(value, "Fn::And")),
    "Fn::Or": lambda resolver, value: any(resolver._truths(value, "Fn::Or")),
    "Fn::Not": lambda resolver, value: not any(resolver._truths(value, "Fn::Not")),
    "Fn::Base64": Resolver._base64,
    "Fn::GetAZs": Resolver._zones,
    "Fn::Cidr": Resolver._cidr,
    "Fn::ImportValue": Resolver._import,
    "Fn::Length": Resolver._length,
    "Fn::ToJsonString": Resolver._json,
}

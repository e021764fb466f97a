"""The order in which resources can be made: each after those that it refers to.

Owns finding the references, and circles among them. Neighbour: `resolve` follows the references that stand here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Final, cast

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.shapes import fields, items

PLACEHOLDER: Final = re.compile(r"\$\{([^!{}][^{}]*)\}")
"""What Fn::Sub replaces; `${!Name}` is text."""


def references(value: Json) -> Iterator[str]:
    """The names that a value refers to: resources, parameters, pseudo parameters. Conditions are not followed."""
    if isinstance(value, list):
        for each in items(value):
            yield from references(each)
    elif isinstance(value, dict):
        for key, each in fields(value).items():
            match key, each:
                case "Ref", str():
                    yield each
                case "Fn::GetAtt", [str() as name, *rest]:
                    yield name
                    yield from references(rest)
                case "Fn::GetAtt", str():
                    yield each.partition(".")[0]
                case "Fn::Sub", str():
                    yield from _named(each, {})
                case "Fn::Sub", [str() as text, own]:
                    yield from _named(text, fields(own))
                    yield from references(own)
                case _:
                    yield from references(each)


def attributes_asked(value: Json) -> dict[str, set[str]]:
    """The attributes that a value wants, by resource."""
    asked: dict[str, set[str]] = {}

    def look(value: Json) -> None:
        for each in items(value):
            look(each)
        for key, each in fields(value).items():
            match key, each.split(".", 1) if key == "Fn::GetAtt" and isinstance(each, str) else each:
                case "Fn::GetAtt", [str() as name, str() as attribute]:
                    asked.setdefault(name, set()).add(attribute)
                case "Fn::Sub", _:
                    text = each if isinstance(each, str) else (items(each) or [""])[0]
                    for found in PLACEHOLDER.findall(str(text)):
                        name, dot, attribute = found.strip().partition(".")
                        if dot:
                            asked.setdefault(name, set()).add(attribute)
                    look(each)
                case _:
                    look(each)

    look(value)
    return asked


def _named(text: str, own: Mapping[str, Json]) -> Iterator[str]:
    for found in PLACEHOLDER.findall(text):
        name = found.strip()
        if name not in own:
            yield name.partition(".")[0]


def ordered(needs: Mapping[str, set[str]]) -> list[str]:
    """The names, each after what it needs; otherwise as the template has them. Raises TemplateError on a circle."""
    place = {name: number for number, name in enumerate(needs)}
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(cast("list[str]", error.args[1]))
        raise TemplateError(
            f"Circular dependency between resources: {circle}: take one of the references out, or write the name that "
            "it stands for."
        ) from None
    made: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        made.extend(ready)
        sorter.done(*ready)
    return made

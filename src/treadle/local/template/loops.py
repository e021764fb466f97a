"""Fn::ForEach of the transform AWS::LanguageExtensions: one fragment for each value of a collection.

Owns writing the fragments out. It happens first, so that nothing after it knows of loops. Source: CloudFormation
'Fn::ForEach'.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from treadle.language.scope import Json
from treadle.local.errors import TemplateError
from treadle.local.shapes import fields, items

_PREFIX: Final = "Fn::ForEach::"


def unroll(value: Json, evaluate: Callable[[Json], Json]) -> Json:
    """The value with every loop written out. `evaluate` gives a collection that is a Ref or a function."""
    if isinstance(value, list):
        return [unroll(each, evaluate) for each in items(value)]
    if not isinstance(value, dict):
        return value
    made: dict[str, Json] = {}
    for key, each in fields(value).items():
        if not key.startswith(_PREFIX):
            made[key] = unroll(each, evaluate)
            continue
        for name, written in _rounds(key, each, evaluate):
            if name in made:
                raise TemplateError(f"{key}: '{name}' is made twice: use the identifier in the output key.")
            made[name] = written
    return made


def _rounds(key: str, loop: Json, evaluate: Callable[[Json], Json]) -> list[tuple[str, Json]]:
    match loop:
        case [str() as identifier, collection, dict()]:
            fragment = fields(loop[2])
        case _:
            raise TemplateError(f"{key}: a loop is [identifier, collection, {{output key: value}}].")
    values = evaluate(collection)
    if not isinstance(values, list):
        raise TemplateError(f"{key}: the collection must be a list, or a parameter that is one.")
    rounds: list[tuple[str, Json]] = []
    for value in items(values):
        written = unroll(_put(fragment, identifier, str(value)), evaluate)
        rounds.extend(fields(written).items())
    return rounds


def _put(value: Json, identifier: str, said: str) -> Json:
    """The value with `${Identifier}`, `&{Identifier}` and its Ref replaced; `&{}` leaves out what no key may hold."""
    if isinstance(value, str):
        letters = re.sub(r"[^A-Za-z0-9]", "", said)
        return value.replace(f"${{{identifier}}}", said).replace(f"&{{{identifier}}}", letters)
    if isinstance(value, list):
        return [_put(each, identifier, said) for each in items(value)]
    if not isinstance(value, dict):
        return value
    if value == {"Ref": identifier}:
        return said
    return {_put(key, identifier, said): _put(each, identifier, said) for key, each in fields(value).items()}

"""The places of a definition where a query stands: paths, intrinsic functions and JSONata expressions.

Finds them by the table of `fields` and tells what each reads. Reports nothing itself; `queries` and `variables` do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from treadle.language.fields import Block, Blocks, Field, Items, Query, QueryLanguage, Template, fields_of
from treadle.language.intrinsics import IntrinsicSyntaxError, compile_intrinsic, is_intrinsic
from treadle.language.jsonata_slots import is_expression
from treadle.language.lints.outline import Fields, State
from treadle.language.places import Path, entries
from treadle.language.queries.jsonata import JsonataSyntaxError, compile_expression
from treadle.language.queries.jsonpath import Query as PathQuery
from treadle.language.queries.jsonpath import compile_query
from treadle.language.queries.jsonpath_syntax import PathSyntaxError
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object

Phase = Literal["input", "result", "error"]
"""What there is when a query is evaluated: the input alone, the result of the work too, the error of a Catch too."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A query in a definition. `path` is its own place, `field` that of the field of the state it belongs to.

    `kind` is None for a value of a template.
    """

    text: str
    language: QueryLanguage
    path: Path
    field: Path
    phase: Phase
    kind: Query | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a query reads. `problem` says why its text is no query, "" if it is one.

    `members` are the fields of `$states`. `queries` are the paths of a JSONPath query or intrinsic.
    """

    problem: str = ""
    variables: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()
    queries: tuple[PathQuery, ...] = ()


def slots(state: State) -> Iterator[Slot]:
    """Every query of a state, those of its inner scopes not included."""
    if state.type is not None:
        yield from _of_block(state.type, state.fields, state.path, state.language)


def _of_block(block: str, fields: Fields, path: Path, language: QueryLanguage) -> Iterator[Slot]:
    table = fields_of(block)
    for name, value in fields.items():
        field = table.get(name)
        if field is not None and field.speaks(language):
            yield from _of_field(field, value, (*path, name), language, _phase(block, name))


def _phase(block: str, name: str) -> Phase:
    if block == "Catcher":
        return "error"
    return "result" if block in ("Task", "Parallel", "Map") and name in ("Output", "Assign") else "input"


def _of_field(field: Field, value: Json, path: Path, language: QueryLanguage, phase: Phase) -> Iterator[Slot]:
    match field.kind:
        case Query() as kind if isinstance(value, str):
            yield Slot(value, language, path, path, phase, kind)
        case Template() | Items():
            for at, text in expressions(value, path) if language == "JSONata" else dynamic_fields(value, path):
                if isinstance(text, str):
                    yield Slot(text, language, at, path, phase)
        case Block(name) if name != "Processor" and is_object(value):
            yield from _of_block(name, value, path, language)
        case Blocks(name) if name != "Branch" and is_array(value):
            for index, each in enumerate(value):
                if is_object(each):
                    yield from _of_block(name, each, (*path, index), language)
        case _ if field.dynamic and language == "JSONata" and is_expression(value):
            yield Slot(value, language, path, path, phase)
        case _:
            return


def leaves(value: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    """Every value within a value, itself included, with its path; in the order of the text."""
    unseen = [(path, value)]
    while unseen:
        at, each = unseen.pop()
        yield at, each
        unseen.extend(reversed([((*at, key), inner) for key, inner in entries(each)]))


def expressions(value: Json, path: Path) -> Iterator[tuple[Path, str]]:
    """The JSONata expressions at any depth of a value."""
    return ((at, each) for at, each in leaves(value, path) if is_expression(each))


def dynamic_fields(value: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    """The fields of a JSONPath template whose name ends in `.$`, whatever their value."""
    return ((at, each) for at, each in leaves(value, path) if at != path and str(at[-1]).endswith(".$"))


def reading(slot: Slot) -> Reading:
    """What the query of a slot reads."""
    if slot.language == "JSONata":
        return _read_expression(slot.text)
    takes_intrinsic = slot.kind is None or slot.kind.intrinsic
    return _read_intrinsic(slot.text) if takes_intrinsic and is_intrinsic(slot.text) else _read_path(slot.text)


@lru_cache(4096)
def _read_expression(text: str) -> Reading:
    try:
        expression = compile_expression(text[2:-2])
    except JsonataSyntaxError as error:
        return Reading(error.message)
    return Reading(variables=expression.variables - {"states"}, members=expression.states_fields)


@lru_cache(4096)
def _read_intrinsic(text: str) -> Reading:
    try:
        return _of_queries(compile_intrinsic(text).queries)
    except IntrinsicSyntaxError as error:
        return Reading(str(error))


@lru_cache(4096)
def _read_path(text: str) -> Reading:
    try:
        return _of_queries((compile_query(text),))
    except PathSyntaxError as error:
        return Reading(str(error))


def _of_queries(queries: tuple[PathQuery, ...]) -> Reading:
    return Reading(variables=frozenset(query.variable for query in queries if query.variable), queries=queries)

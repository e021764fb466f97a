"""The places of a definition where a query stands: paths, intrinsic functions and JSONata expressions.

Finds them by the table of `fields` and tells what each reads. Reports nothing itself; `queries` and `variables` do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from treadle.language.fields import Block, Blocks, Field, Items, Query, QueryLanguage, Template, fields_of
from treadle.language.intrinsics import IntrinsicSyntaxError, compile_intrinsic, is_intrinsic
from treadle.language.jsonata_slots import is_expression
from treadle.language.lints.outline import Fields, State, objects_in
from treadle.language.places import Path, leaves
from treadle.language.queries.jsonata import JsonataSyntaxError, compile_expression
from treadle.language.queries.jsonpath import Query as PathQuery
from treadle.language.queries.jsonpath import compile_query
from treadle.language.queries.jsonpath_syntax import PathSyntaxError
from treadle.language.scope import Json
from treadle.language.values import is_object

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


@dataclass(frozen=True, slots=True)
class Value:
    """One field of the table as a state has it, in the state itself or in an object inside."""

    block: str
    field: Field
    value: Json
    path: Path

    @property
    def phase(self) -> Phase:
        """What its queries see."""
        if self.block == "Catcher":
            return "error"
        is_after = self.block in ("Task", "Parallel", "Map") and self.field.name in ("Output", "Assign")
        return "result" if is_after else "input"


def values(state: State) -> Iterator[Value]:
    """Every field of a state that its query language knows, those of its inner scopes not included."""
    if state.type is not None:
        yield from _values(state.type, state.fields, state.path, state.language)


def _values(block: str, fields: Fields, path: Path, language: QueryLanguage) -> Iterator[Value]:
    table = fields_of(block)
    for name, value in fields.items():
        field = table.get(name)
        if field is None or not field.speaks(language):
            continue
        at = (*path, name)
        yield Value(block, field, value, at)
        match field.kind:
            case Block(inner) if inner != "Processor" and is_object(value):
                yield from _values(inner, value, at, language)
            case Blocks(inner) if inner != "Branch":
                for each_at, each in objects_in(value, at):
                    yield from _values(inner, each, each_at, language)
            case _:
                pass


def slots(state: State) -> Iterator[Slot]:
    """Every query of a state, those of its inner scopes not included."""
    for each in values(state):
        value, path, field = each.value, each.path, each.field
        if isinstance(field.kind, Query) and isinstance(value, str):
            yield Slot(value, state.language, path, path, each.phase, field.kind)
        elif state.language == "JSONPath" and isinstance(field.kind, Template):
            for at, text in dynamic_fields(value, path):
                if isinstance(text, str):
                    yield Slot(text, state.language, at, path, each.phase)
        elif state.language == "JSONata" and (field.dynamic or isinstance(field.kind, Template | Items)):
            for at, text in expressions(value, path):
                yield Slot(text, state.language, at, path, each.phase)


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


def _read_expression(text: str) -> Reading:
    try:
        expression = compile_expression(text[2:-2])
    except JsonataSyntaxError as error:
        return Reading(error.message)
    return Reading(variables=expression.variables - {"states"}, members=expression.states_fields)


def _read_intrinsic(text: str) -> Reading:
    try:
        return _of_queries(compile_intrinsic(text).queries)
    except IntrinsicSyntaxError as error:
        return Reading(str(error))


def _read_path(text: str) -> Reading:
    try:
        return _of_queries((compile_query(text),))
    except PathSyntaxError as error:
        return Reading(str(error))


def _of_queries(queries: tuple[PathQuery, ...]) -> Reading:
    return Reading(variables=frozenset(query.variable for query in queries if query.variable), queries=queries)

"""Whether every object of a definition has the fields it must have, no others, and each with a value of its kind.

Interprets the table of `fields`. It looks into templates and query strings not at all: that is for `queries`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

from treadle.language.fields import (
    STATE_TYPES,
    Block,
    Blocks,
    Boolean,
    Errors,
    Field,
    Integer,
    Items,
    Kind,
    Literally,
    Number,
    Query,
    QueryLanguage,
    States,
    Template,
    Text,
    Texts,
    Timestamp,
    fields_of,
    groups_of,
)
from treadle.language.jsonata_slots import is_expression
from treadle.language.lints.finding import Finding, error
from treadle.language.lints.outline import Fields, Scope, State
from treadle.language.places import Path
from treadle.language.scope import Json
from treadle.language.timestamps import parse_timestamp
from treadle.language.values import is_array, is_number, is_object

Findings = Iterator[Finding]


def malformed(machine: Scope) -> Findings:
    """Everything about the form of a machine that AWS refuses."""
    for scope in machine.every_scope():
        yield from _block(scope.block, scope.fields, scope.path, _language(scope))
        states = scope.fields.get("States")
        for name in states if is_object(states) else ():
            if name in scope.states:
                yield from _state(scope.states[name])
            else:
                yield error("A state must be an object", (*scope.path, "States", name), "Write the state as an object.")


def _language(scope: Scope) -> QueryLanguage:
    return scope.owner.language if scope.owner else "JSONPath"


def _state(state: State) -> Findings:
    written = state.fields.get("Type")
    if state.type is not None:
        yield from _block(state.type, state.fields, state.path, state.language)
    elif written is None:
        yield _missing(["Type"], state.path)
    else:
        yield _not_among(STATE_TYPES, (*state.path, "Type"))


def _block(block: str, fields: Fields, path: Path, language: QueryLanguage) -> Findings:
    table = {name: field for name, field in fields_of(block).items() if field.speaks(language)}
    if missing := [f.name for f in table.values() if f.required and not f.group and f.name not in fields]:
        yield _missing(missing, path)
    yield from _groups(block, fields, path, language)
    for name, value in fields.items():
        if name in table:
            yield from _field(table[name], value, (*path, name), language)
        else:
            yield _unsupported(name, block, path, language)


def _missing(names: list[str], path: Path) -> Finding:
    remedy = f"Add {'it' if len(names) == 1 else 'them'}."
    return error(f"These fields are required: [{', '.join(names)}]", path, remedy)


def _unsupported(name: str, block: str, path: Path, language: QueryLanguage) -> Finding:
    field = fields_of(block).get(name)
    if field is not None:
        remedy = f"The field belongs to {field.languages}, and this is {language}: remove it or change QueryLanguage."
    else:
        names = [each.name for each in fields_of(block).values() if each.speaks(language)]
        similar = next((each for each in names if each.lower() == name.lower()), None)
        remedy = f"Write '{similar}'." if similar else f"Remove it; a {block} may have {', '.join(names)}."
    return error(f"Field '{name}' is not supported", path, remedy, at=(*path, name))


def _groups(block: str, fields: Fields, path: Path, language: QueryLanguage) -> Findings:
    for group in groups_of(block).values():
        names = [field.name for field in group if field.speaks(language)]
        present = [name for name in names if name in fields]
        if len(present) > 1:
            message = f"Only one of these fields is allowed: [{', '.join(present)}]"
            yield error(message, path, "Keep one of them.", at=(*path, present[1]))
        elif names and not present and group[0].required:
            # `Choices` would otherwise list every comparison there is.
            shown = names if len(names) < 10 else [*names[:4], "..."]
            yield error(f"One of these fields is required: [{', '.join(shown)}]", path, "Add one of them.")


def _field(field: Field, value: Json, path: Path, language: QueryLanguage) -> Findings:
    if field.dynamic and language == "JSONata" and is_expression(value):
        return iter(())
    return _CHECKS[type(field.kind)](field.kind, value, path, language)


def _wrong(path: Path, noun: str) -> Finding:
    return error(f"The field '{path[-1]}' must be {noun}", path, f"Write {noun}.")


def _not_among(values: tuple[str, ...], path: Path) -> Finding:
    message = f"The field '{path[-1]}' should have one of these values: [{', '.join(values)}]"
    return error(message, path, f"Write one of {', '.join(values)}, in exactly these letters.")


def _text(kind: Text, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if kind.values and value not in kind.values:
        yield _not_among(kind.values, path)
    elif not isinstance(value, str):
        yield _wrong(path, "a string")


def _timestamp(_kind: Timestamp, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if parse_timestamp(value) is None:
        remedy = "Write it like 2026-03-14T01:59:00Z, with capital T and Z."
        yield error("String does not match RFC3339 timestamp", path, remedy)


def _boolean(_kind: Boolean, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if not isinstance(value, bool):
        yield _wrong(path, "true or false")


def _integer(kind: Integer, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if not is_number(value) or value != int(value) or not kind.low <= value <= kind.high:
        yield _wrong(path, f"a whole number from {kind.low} to {kind.high}")


def _number(kind: Number, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if not is_number(value):
        yield _wrong(path, "a number")
    elif value < kind.low:
        yield _wrong(path, f"at least {kind.low:g}")
    elif value > kind.high:
        yield _wrong(path, f"at most {kind.high:g}")


def _query(kind: Query, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if not isinstance(value, str) and not (kind.nullable and value is None):
        yield _wrong(path, "a JSONPath string or null" if kind.nullable else "a JSONPath string")


def _template(kind: Template, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if kind.needs_object and not is_object(value):
        yield _wrong(path, "an object")


def _items(_kind: Items, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if not (is_array(value) or is_object(value) or is_expression(value)):
        yield _wrong(path, "an array, an object or a JSONata expression")


def _anything(_kind: Literally, _value: Json, _path: Path, _language: QueryLanguage) -> Findings:
    return iter(())


def _texts(_kind: Texts | Errors, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if not is_array(value) or not all(isinstance(each, str) for each in value):
        yield _wrong(path, "a list of strings")
    elif not value:
        yield _empty(path)


def _empty(path: Path) -> Finding:
    return error("Value cannot be empty", path, "Write at least one, or remove the field where it is optional.")


def _states(_kind: States, value: Json, path: Path, _language: QueryLanguage) -> Findings:
    if not is_object(value):
        yield _wrong(path, "an object of states by name")
    elif not value:
        yield _empty(path)


def _inner(kind: Block, value: Json, path: Path, language: QueryLanguage) -> Findings:
    if not is_object(value):
        yield _wrong(path, "an object")
    elif kind.name != "Processor":
        yield from _block(kind.name, value, path, language)


def _inner_list(kind: Blocks, value: Json, path: Path, language: QueryLanguage) -> Findings:
    if not is_array(value):
        yield _wrong(path, "a list of objects")
        return
    if not value and not kind.may_be_empty:
        yield _empty(path)
    for index, each in enumerate(value):
        if not is_object(each):
            yield error(f"The items of '{path[-1]}' must be objects", (*path, index), "Write an object.")
        elif kind.name != "Branch":
            yield from _block(kind.name, each, (*path, index), language)


# Scopes (Branch, Processor) are left to `malformed`, which visits every one of them.
_CHECKS: Final[dict[type[Any], Callable[[Any, Json, Path, QueryLanguage], Findings]]] = {
    Text: _text,
    Timestamp: _timestamp,
    Boolean: _boolean,
    Integer: _integer,
    Number: _number,
    Query: _query,
    Literally: _anything,
    Template: _template,
    Items: _items,
    Errors: _texts,
    Texts: _texts,
    States: _states,
    Block: _inner,
    Blocks: _inner_list,
}
assert set(_CHECKS) == set(get_args(Kind)), "every kind of value has its check"

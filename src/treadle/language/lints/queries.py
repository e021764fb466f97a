"""Whether every path, intrinsic function and expression is one, and stands where its kind may stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from treadle.language.fields import Block, Blocks, Template, fields_of
from treadle.language.jsonata_slots import is_expression
from treadle.language.lints.finding import Finding, error, warning
from treadle.language.lints.outline import Fields, Scope, State
from treadle.language.lints.slots import Reading, Slot, dynamic_fields, reading, slots, values
from treadle.language.places import Path, leaves
from treadle.language.scope import Json
from treadle.language.values import is_object

Findings = Iterator[Finding]

_LOOKS_LIKE_PATH: Final = re.compile(r"\$\$?\.[A-Za-z_]|\$\$?\[")
_LOOKS_DYNAMIC: Final = re.compile(r"\$\$?(\.[A-Za-z_]|\[)|States\.[A-Z]\w+\(")


def mixed_languages(machine: Scope) -> Findings:
    """A machine of JSONata has no states of JSONPath."""
    if machine.fields.get("QueryLanguage") != "JSONata":
        return
    for state in machine.every_state():
        if state.fields.get("QueryLanguage") == "JSONPath":
            message = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
            remedy = "Set QueryLanguage on single states only, or write this state in JSONata."
            yield error(message, state.path, remedy, at=(*state.path, "QueryLanguage"))


def bad_queries(machine: Scope) -> Findings:
    """Queries that do not parse, or that ask for more than their place gives."""
    for state in machine.every_state():
        yield from _templates(state)
        for slot in slots(state):
            read = reading(slot)
            if read.problem:
                yield _unreadable(slot, read.problem)
            else:
                yield from _misplaced(slot, read)


def _unreadable(slot: Slot, problem: str) -> Finding:
    if slot.language == "JSONata":
        message = f"The JSONata expression in the field '{slot.path[-1]}' is not valid: {problem}"
        return error(message, slot.path, "Correct the expression.")
    if slot.kind is None:
        return _bad_template_value(slot.path, slot.field, problem)
    noun = "a valid JSONPath or a valid intrinsic function call" if slot.kind.intrinsic else "a valid JSONPath"
    message = f"The value for the field '{slot.path[-1]}' must be {noun}"
    return error(message, slot.path, f"Correct it: {problem}.")


def _bad_template_value(path: Path, field: Path, problem: str) -> Finding:
    message = f"The value for the field '{path[-1]}' must be a valid JSONPath or a valid intrinsic function call"
    return error(message, field, f"Correct it, or drop the '.$' to have it as it is: {problem}.", at=path)


def _misplaced(slot: Slot, read: Reading) -> Findings:
    if slot.kind and slot.kind.writes:
        yield from _unwritable(slot, read)
    # AWS 'Transforming data with JSONata': $states.result and $states.errorOutput exist only here.
    for member, phase, home in (
        ("result", "result", "Output and Assign of a Task, Parallel or Map"),
        ("errorOutput", "error", "Output and Assign of a Catch"),
    ):
        if member in read.members and slot.phase != phase:
            message = f"The field '{slot.path[-1]}' refers to $states.{member}, which does not exist there"
            yield error(message, slot.path, f"Move it to {home}.")


def _unwritable(slot: Slot, read: Reading) -> Findings:
    query = read.queries[0]
    if query.root != "input":
        message = "Value is not a Reference Path: it must begin with '$.', for the input of the state"
        yield error(message, slot.path, "Write variables with Assign.")
    elif not query.path.reference:
        message = "Value is not a Reference Path: it may hold field names and indices only"
        yield error(message, slot.path, "Name one place, without wildcards, filters or functions.")


def _templates(state: State) -> Findings:
    """JSONPath templates: dynamic fields with something else than text, or beside a field of the same name."""
    for path, value in _template_fields(state):
        for at, each in leaves(value, path):
            if is_object(each):
                yield from _twins(each, at)
        for at, each in dynamic_fields(value, path):
            if not isinstance(each, str):
                yield _bad_template_value(at, path, "it is no string")


def _twins(fields: Fields, path: Path) -> Findings:
    for name in fields:
        if name.endswith(".$") and name[:-2] in fields:
            message = f"The fields '{name[:-2]}' and '{name}' can not both be present"
            yield error(message, path, "Remove one of them: both become the same field.", at=(*path, name))


def _template_fields(state: State) -> Iterator[tuple[Path, Json]]:
    """The fields of a JSONPath state that are templates, wherever in the state."""
    if state.language == "JSONPath":
        yield from ((each.path, each.value) for each in values(state) if isinstance(each.field.kind, Template))


def lookalikes(machine: Scope) -> Findings:
    """Text that looks like a query where it is taken as it stands."""
    for state in machine.every_state():
        if state.language == "JSONPath":
            yield from _literal_paths(state)
        yield from _literal_expressions(state)


def _literal_paths(state: State) -> Findings:
    for field, value in _template_fields(state):
        for at, each in leaves(value, field):
            if isinstance(each, str) and _LOOKS_DYNAMIC.match(each) and not str(at[-1]).endswith(".$"):
                message = f"The value of '{at[-1]}' looks like a path or an intrinsic function, but is plain text"
                yield warning("NO_DOLLAR", message, at, "Let the field's name end in '.$' to have it evaluated.")
    if state.type == "Pass":
        result = (*state.path, "Result")
        for at, each in leaves(state.fields.get("Result"), result):
            if isinstance(each, str) and _LOOKS_DYNAMIC.match(each):
                message = "The Result of a Pass state is plain data: this path or function is not evaluated"
                yield warning("PASS_RESULT_IS_STATIC", message, at, "Use Parameters instead of Result.")
                break
    for each in values(state):
        name, text = each.field.name, each.value
        if f"{name}Path" in fields_of(each.block) and isinstance(text, str) and _LOOKS_LIKE_PATH.match(text):
            message = f"The value of '{name}' looks like a path, but is plain text"
            yield warning("NO_PATH", message, each.path, f"Use '{name}Path' to have it evaluated.")


def _literal_expressions(state: State) -> Findings:
    """`{%` where it does not begin an expression."""
    for value in values(state):
        if isinstance(value.field.kind, Block | Blocks) or value.field.name == "Comment":
            continue
        for at, each in leaves(value.value, value.path):
            if not isinstance(each, str):
                continue
            if state.language == "JSONPath" and is_expression(each):
                message = f"The value of '{at[-1]}' is a JSONata expression, but plain text in a state of JSONPath"
                remedy = "Set the state's QueryLanguage to JSONata, or use a path."
                yield warning("NOT_EVALUATED", message, at, remedy)
            elif state.language == "JSONata" and _embeds_expression(each):
                message = f"The value of '{at[-1]}' holds a JSONata expression among other text: it is plain text"
                remedy = "Let the whole string be one expression: `{% 'text ' & $states.input.name %}`."
                yield warning("NOT_EVALUATED", message, at, remedy)


def _embeds_expression(text: str) -> bool:
    start = text.find("{%")
    return start >= 0 and text.find("%}", start) >= 0 and not is_expression(text)

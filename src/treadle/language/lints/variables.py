"""Workflow variables: their names, where they are assigned and where they are read.

ASL 'Variables': each scope of states has its own; it reads those of the scopes around it, and may not assign their
names. The children of a distributed Map are executions of their own and see none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from treadle.language.lints.finding import Finding, error, warning
from treadle.language.lints.outline import Scope, State
from treadle.language.lints.slots import reading, slots, values
from treadle.language.places import Path
from treadle.language.values import is_object

Findings = Iterator[Finding]
Uses = dict[str, Path]

NAME_LIMIT: Final = 80
_RESERVED: Final = "states"
_SUBSCRIPT: Final = re.compile(r"[.\[]")


def _assigned(state: State) -> Iterator[tuple[str, Path]]:
    """The names a state assigns, each with the place."""
    for each in values(state):
        if each.field.name == "Assign" and is_object(each.value):
            for name in each.value:
                bare = name.removesuffix(".$") if state.language == "JSONPath" else name
                yield bare, (*each.path, name)


def bad_variable_names(machine: Scope) -> Findings:
    """Names that no variable can have."""
    for state in machine.every_state():
        for name, path in _assigned(state):
            if name == _RESERVED:
                yield error("The variable name 'states' is reserved", path, "Choose another name.")
            elif len(name) > NAME_LIMIT:
                message = f"The variable name has {len(name)} characters; the limit is {NAME_LIMIT}"
                yield error(message, path, "Shorten it.")
            elif not name.isidentifier():
                remedy = "Begin with a letter and go on with letters, digits and underscores."
                if _SUBSCRIPT.search(name):
                    remedy = "Assign the whole variable: a part of it cannot be assigned."
                yield error(f"'{name}' is not a valid variable name", path, remedy)


def shadowing(machine: Scope) -> Findings:
    """Names assigned both in a scope and in one around it."""
    own = {id(scope): _first_uses(scope, _assigned) for scope in machine.every_scope()}
    for scope in machine.every_scope():
        for name, path in own[id(scope)].items():
            if any(name in own[id(outer)] for outer in _around(scope)):
                message = f"The variable '{name}' is already assigned in an outer scope"
                yield error(message, path, "Choose another name, and pass the value out with Output or ResultPath.")


def _around(scope: Scope) -> Iterator[Scope]:
    """The scopes whose variables a scope sees besides its own, from the inside out."""
    while scope.owner and not scope.distributed:
        scope = scope.owner.scope
        yield scope


def _first_uses(scope: Scope, uses: Callable[[State], Iterator[tuple[str, Path]]]) -> Uses:
    found: Uses = {}
    for state in scope.states.values():
        for name, path in uses(state):
            found.setdefault(name, path)
    return found


def _read(state: State) -> Iterator[tuple[str, Path]]:
    """The variables a state reads, each with the place of the query."""
    for slot in slots(state):
        for name in sorted(reading(slot).variables):
            yield name, slot.path


def references(machine: Scope) -> dict[str, list[str]]:
    """The variables that each state reads, by the states' names; without states that read none."""
    found = {state.name: sorted({name for name, _ in _read(state)}) for state in machine.every_state()}
    return {state: names for state, names in found.items() if names}


def unassigned(machine: Scope) -> Findings:
    """Variables that are read and never assigned where the reader would see it."""
    assigned = {id(scope): _first_uses(scope, _assigned) for scope in machine.every_scope()}
    anywhere = {name for names in assigned.values() for name in names}
    for scope in machine.every_scope():
        visible = set(assigned[id(scope)]).union(*(assigned[id(outer)] for outer in _around(scope)))
        for state in scope.states.values():
            for name, path in _read(state):
                if name not in anywhere:
                    message = f"The variable '{name}' is never assigned"
                    remedy = "Assign it in an earlier state, or correct the name: the state fails without it."
                    # Observed on AWS: no refusal, but States.QueryEvaluationError at run time.
                    yield warning("UNASSIGNED_VARIABLE", message, path, remedy)
                elif name not in visible:
                    message = f"The variable '{name}' is assigned only where this state cannot see it"
                    remedy = "Pass the value in or out as data: variables of inner scopes end with them."
                    if any(each.distributed for each in (scope, *_around(scope))):
                        remedy = (
                            "Pass the value with ItemSelector: children of a distributed Map see no outer variables."
                        )
                    yield warning("VARIABLE_OUT_OF_SCOPE", message, path, remedy)


def unused(machine: Scope) -> Findings:
    """Variables that nothing reads."""
    read: dict[int, set[str]] = {id(scope): set() for scope in machine.every_scope()}
    for scope in machine.every_scope():
        names = {name for state in scope.states.values() for name, _ in _read(state)}
        for each in (scope, *_around(scope)):
            read[id(each)] |= names
    for scope in machine.every_scope():
        for name, path in _first_uses(scope, _assigned).items():
            if name not in read[id(scope)]:
                yield warning("UNUSED_VARIABLE", f"The variable '{name}' is never read", path, "Remove it.")

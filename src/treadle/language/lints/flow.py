"""How one state follows another: names, transitions, ends and loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from treadle.language.lints.finding import Finding, error, warning
from treadle.language.lints.outline import Scope, State

Findings = Iterator[Finding]

NAME_LIMIT: Final = 80

_ENDS: Final = frozenset({"Succeed", "Fail"})
# A loop through one of these lasts; one through the others alone spins.
_LASTING: Final = frozenset({"Task", "Wait", "Parallel", "Map"})


def bad_names(machine: Scope) -> Findings:
    """ASL 'States': names of at most 80 characters, unique across all nesting levels."""
    seen: set[str] = set()
    for state in machine.every_state():
        if len(state.name) > NAME_LIMIT:
            message = f"The state name has {len(state.name)} characters; the limit is {NAME_LIMIT}"
            yield error(message, state.path, "Shorten it.", code="INVALID_STATE_NAME")
        if state.name in seen:
            message = f"Duplicate State name: {state.name}"
            remedy = "Rename one of the states: names are unique across all branches and processors."
            yield error(message, state.path, remedy, code="DUPLICATE_STATE_NAME")
        seen.add(state.name)


def missing_targets(machine: Scope) -> Findings:
    """StartAt, Next and Default name a state of the same scope."""
    names = {state.name for state in machine.every_state()}
    for scope in machine.every_scope():
        start = scope.fields.get("StartAt")
        targets = [((*scope.path, "StartAt"), start)] if isinstance(start, str) else []
        targets += [target for state in scope.states.values() for target in state.targets()]
        for path, name in targets:
            if not _has_state(scope, name):
                remedy = "Name a state of the same States object."
                if name in names:
                    remedy = "Stay in the States object: a transition cannot enter or leave a branch or a processor."
                message = f"Missing '{path[-1]}' target: {name}"
                yield error(message, path, remedy, code="MISSING_TRANSITION_TARGET")


def _has_state(scope: Scope, name: str) -> bool:
    # A state that is no object is reported by itself.
    states = scope.fields.get("States")
    return not isinstance(states, dict) or name in states


def _successors(scope: Scope, name: str) -> list[str]:
    state = scope.states.get(name)
    return [target for _, target in state.targets() if target in scope.states] if state else []


def _reached(scope: Scope) -> set[str]:
    start = scope.fields.get("StartAt")
    reached: set[str] = set()
    unseen = [start] if isinstance(start, str) else []
    while unseen:
        name = unseen.pop()
        if name in scope.states and name not in reached:
            reached.add(name)
            unseen.extend(_successors(scope, name))
    return reached


def unreachable(machine: Scope) -> Findings:
    """States that no execution can come to."""
    for scope in machine.every_scope():
        start = scope.fields.get("StartAt")
        if not isinstance(start, str) or start not in scope.states:
            continue
        reached = _reached(scope)
        targeted = {target for name in scope.states for target in _successors(scope, name) if target != name}
        for name, state in scope.states.items():
            if name in reached:
                continue
            message = f'State "{name}" is not reachable.'
            remedy = "Lead a Next, a Default or a Catch to it, or remove it."
            if name in targeted:
                # Whether AWS follows the transitions from StartAt is not known: no refusal without evidence.
                yield warning("UNREACHABLE_STATE", message, state.path, remedy)
            else:
                yield error(message, state.path, remedy, code="MISSING_TRANSITION_TARGET")


def _is_end(state: State) -> bool:
    return state.type in _ENDS or state.fields.get("End") is True


def _goes_on(state: State) -> bool:
    """Whether a state leads to another. One with neither Next nor End is reported by itself."""
    return not _is_end(state) and any(state.targets())


def endless(machine: Scope) -> Findings:
    """Scopes without an end, and loops that nothing leaves and in which nothing takes time."""
    for scope in machine.every_scope():
        if not scope.states:
            continue
        if all(_goes_on(state) for state in scope.states.values()):
            remedy = "Give a state End, or add a Succeed or Fail state."
            message = "There is no terminal state"
            yield error(message, (*scope.path, "States"), remedy, code="MISSING_END_STATE")
            continue
        if trapped := _trapped(scope):
            names = ", ".join(state.name for state in trapped)
            message = f"The execution never ends and never waits once it comes to: {names}"
            yield warning("ENDLESS_LOOP", message, trapped[0].path, "Lead one of the states out of the loop.")


def _trapped(scope: Scope) -> list[State]:
    """The reached states from which no state is reached that ends the scope or takes time."""
    before: dict[str, list[str]] = {name: [] for name in scope.states}
    unseen: list[str] = []
    for name, state in scope.states.items():
        successors = _successors(scope, name)
        for target in successors:
            before[target].append(name)
        if not successors or state.type in _LASTING or _is_end(state):
            unseen.append(name)
    free: set[str] = set()
    while unseen:
        name = unseen.pop()
        if name not in free:
            free.add(name)
            unseen.extend(before[name])
    reached = _reached(scope)
    return [state for name, state in scope.states.items() if name in reached and name not in free]

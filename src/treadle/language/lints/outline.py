"""The scopes and states of a definition of any shape, so that rules need not ask whether things are what they seem.

Whatever is not an object where a scope or state belongs is left out; `shape` reports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from treadle.language.fields import STATE_TYPES, QueryLanguage
from treadle.language.places import Path
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object

WorkflowType = Literal["STANDARD", "EXPRESS"]

Fields = dict[str, Json]


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """An object with StartAt and States: the machine, a Parallel branch or a Map processor.

    `distributed` says that it runs as executions of its own, of the type `workflow`.
    """

    block: Literal["Machine", "Branch", "Processor"]
    path: Path
    fields: Fields
    owner: State | None
    workflow: WorkflowType
    distributed: bool = False
    states: dict[str, State] = field(default_factory=dict[str, "State"])

    def every_state(self) -> Iterator[State]:
        """All states in the order of the text, those of inner scopes included."""
        for state in self.states.values():
            yield state
            for scope in state.scopes:
                yield from scope.every_state()

    def every_scope(self) -> Iterator[Scope]:
        """This scope and all inside it."""
        yield self
        for state in self.states.values():
            for scope in state.scopes:
                yield from scope.every_scope()


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """One state. `type` is None unless it is one of the eight."""

    name: str
    path: Path
    fields: Fields
    scope: Scope
    language: QueryLanguage
    type: str | None
    scopes: list[Scope] = field(default_factory=list[Scope])

    @property
    def is_distributed_map(self) -> bool:
        """Whether this is a Map whose iterations are executions of their own."""
        return any(scope.distributed for scope in self.scopes)

    def blocks(self, name: str) -> Iterator[tuple[Path, Fields]]:
        """The objects in a list field of this state (Retry, Catch, Choices), each with its path."""
        yield from objects_in(self.fields.get(name), (*self.path, name))

    def targets(self) -> Iterator[tuple[Path, str]]:
        """The states that may follow this one, each with the path of the field that names it."""
        for name in ("Next", "Default"):
            if isinstance(self.fields.get(name), str):
                yield (*self.path, name), self.fields[name]
        for name in ("Catch", "Choices"):
            for path, fields in self.blocks(name):
                if isinstance(fields.get("Next"), str):
                    yield (*path, "Next"), fields["Next"]


def objects_in(value: Json, path: Path) -> Iterator[tuple[Path, Fields]]:
    """The objects in a list, each with its path."""
    for index, each in enumerate(value if is_array(value) else ()):
        if is_object(each):
            yield (*path, index), each


def outline(root: Fields, workflow: WorkflowType) -> Scope:
    """The machine that this object describes."""
    # ASL 'Top-level fields': states without QueryLanguage speak the language of the machine.
    language: QueryLanguage = "JSONata" if root.get("QueryLanguage") == "JSONata" else "JSONPath"
    machine = Scope("Machine", (), root, None, workflow)
    _fill(machine, language)
    return machine


def _fill(scope: Scope, language: QueryLanguage) -> None:
    states = scope.fields.get("States")
    for name, fields in states.items() if is_object(states) else ():
        if is_object(fields):
            scope.states[name] = _state(name, fields, scope, language)


def _state(name: str, fields: Fields, scope: Scope, language: QueryLanguage) -> State:
    written = fields.get("QueryLanguage")
    own: QueryLanguage = written if written in ("JSONPath", "JSONata") else language
    type_ = fields.get("Type")
    state = State(name, (*scope.path, "States", name), fields, scope, own, type_ if type_ in STATE_TYPES else None)
    for inner in _scopes(state):
        _fill(inner, language)
        state.scopes.append(inner)
    return state


def _scopes(state: State) -> Iterator[Scope]:
    workflow = state.scope.workflow
    if state.type == "Parallel":
        for path, fields in state.blocks("Branches"):
            yield Scope("Branch", path, fields, state, workflow)
    if state.type == "Map":
        for name in ("ItemProcessor", "Iterator"):
            fields = state.fields.get(name)
            if is_object(fields):
                config = fields.get("ProcessorConfig")
                config = config if is_object(config) else {}
                distributed = config.get("Mode") == "DISTRIBUTED"
                if distributed:
                    workflow = "EXPRESS" if config.get("ExecutionType") == "EXPRESS" else "STANDARD"
                yield Scope("Processor", (*state.path, name), fields, state, workflow, distributed)

"""A scenario as data: a machine, an input, what its tasks answer, and what is expected of the run.

Owns the shapes and the names that answers and expectations may use. Reads no files and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from treadle.language.plan import MapPlan, Plan, TaskPlan
from treadle.language.scope import Json
from treadle.testing.script import names_of

WorkflowType = Literal["STANDARD", "EXPRESS"]


@dataclass(frozen=True)
class Machine:
    """A definition that can run. `path` is its file, or the file that holds it; `root` the definition as JSON."""

    name: str
    path: str
    plan: Plan
    root: dict[str, Json]
    type: WorkflowType = "STANDARD"

    @cached_property
    def states(self) -> list[str]:
        """The names of all states, those of inner scopes included."""
        return [state.name for state in self.plan.every_state()]

    @cached_property
    def answerable(self) -> set[str]:
        """What may be answered for: Tasks by any of their names, readers and writers of distributed Maps."""
        return {name for state in self.plan.every_state() for name in _names(state)} | {"*"}


def _names(state: object) -> Iterator[str]:
    match state:
        case TaskPlan():
            yield from names_of(state.name, state.resource)
        case MapPlan(distribution=distribution) if distribution is not None:
            if distribution.reader is not None:
                yield f"{state.name}.ItemReader"
            if distribution.writer is not None and distribution.writer.resource is not None:
                yield f"{state.name}.ResultWriter"
        case _:
            return


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be true of the run. None expects nothing; `output` is a tuple of one, since null may be expected.

    `path` is every state of the execution in the order of entering, `path_contains` some of them in this order.
    `seconds` bounds the virtual time, both ends included. `calls` counts the calls by any name of a task.
    """

    status: str | None = None
    output: tuple[Json] | None = None
    output_contains: tuple[Json] | None = None
    error: str | None = None
    cause: str | None = None
    cause_contains: str | None = None
    path: tuple[str, ...] | None = None
    path_contains: tuple[str, ...] | None = None
    seconds: tuple[float, float] | None = None
    calls: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run and what is expected of it. `place` is where it was written: file and line."""

    name: str
    machine: Machine
    input: Json
    answers: Mapping[str, list[dict[str, Json]]]
    expect: Expectation
    place: str = ""
    seed: int = 0

"""How scripted tasks answer: what they return, how they fail, how long they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from treadle.language.resources import Resource
from treadle.language.scope import Json

NO_ANSWER: Final = "Testing.NoAnswer"
"""What a task fails with for which a script has no answer."""

Phase: TypeAlias = Literal["schedule", "start", "submit", "run"]


@dataclass(frozen=True, slots=True)
class Returns:
    """The task returns `value`, `after` so many seconds. `accepted` is what the service says of a job at once."""

    value: Json
    after: float = 0
    accepted: Json = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class Fails:
    """The task fails with an error name and a cause, `after` so many seconds."""

    error: str | None = None
    cause: str | None = None
    after: float = 0
    phase: Phase = "run"
    accepted: Json = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class Never:
    """The task never answers."""

    accepted: Json = field(default_factory=dict[str, Json])


@dataclass(frozen=True, slots=True)
class InTurn:
    """The n-th call is answered by the n-th answer, all further ones by the last."""

    answers: Sequence[Answer]


Answer: TypeAlias = Returns | Fails | Never | InTurn | Callable[[Json], Any] | Json
"""How a task answers. A function is called with the task's arguments, and what it gives is the answer; it may raise
`StatesError`. Any other value is what the task returns."""


def script_of(tasks: Mapping[str, Sequence[Mapping[str, Json]]]) -> dict[str, Answer]:
    """Answers from their JSON form: by state or resource, a list of `{"return": ..}`, `{"error": .., "cause": ..}` or
    `{"never": true}`, each with `after`, `accepted` and `times` (so many calls in turn) where wanted."""
    return {
        name: InTurn([_answer(each) for each in answers for _ in range(each.get("times", 1))])
        for name, answers in tasks.items()
    }


def names_of(state: str, resource: Resource | None) -> tuple[str, ...]:
    """The names under which a script may answer a task, the most particular first."""
    if resource is None:
        return state, "*"
    return state, resource.arn, f"{resource.service}:{resource.name}", "*"


def _answer(written: Mapping[str, Json]) -> Answer:
    accepted = written.get("accepted", {})
    if "never" in written:
        return Never(accepted)
    if "return" in written:
        return Returns(written["return"], written.get("after", 0), accepted)
    return Fails(
        written.get("error"), written.get("cause"), written.get("after", 0), written.get("phase", "run"), accepted
    )

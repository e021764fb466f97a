"""How the work of a state can be made to fail, and why some branches cannot be taken at all.

Owns which errors are tried: those that the Retry and Catch of the state and around it name and that can occur, and one
that nobody knows. Which errors can occur is known to `treadle.language.lints.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from treadle.language.lints.errors import why_impossible, why_shadowed
from treadle.language.lints.outline import State
from treadle.language.plan import MapPlan, StatePlan, TaskPlan
from treadle.language.scope import Json
from treadle.testing.script import NO_ANSWER

UNEXPECTED: Final = "Unexpected"
"""An error that no definition knows by name."""

ON_PURPOSE: Final = " was made to fail"
"""Ends the cause of a failure that was tried."""

# These come of data or of the execution, not of the work of a task.
_NOT_OF_WORK: Final = frozenset(
    f"States.{name}"
    for name in (
        *("ALL", "Runtime", "DataLimitExceeded", "NoChoiceMatched", "BranchFailed"),
        *("ParameterPathFailure", "ResultPathMatchFailure", "IntrinsicFailure", "QueryEvaluationError"),
    )
)


@dataclass(frozen=True, slots=True)
class Failing:
    """A failure to try: whose answer fails, with which error and cause, and how the answer is written."""

    key: str
    error: str
    cause: str
    answer: dict[str, Json]


def failures_of(state: State, plan: StatePlan, around: tuple[StatePlan, ...]) -> Iterator[Failing]:
    """The failures to try of a Task, or of the reader and the writer of a distributed Map."""
    if isinstance(plan, TaskPlan):
        named = [
            error
            for handler in (plan, *around)
            for rule in (*handler.retriers, *handler.catchers)
            for error in sorted(rule.errors)
        ]
        for error in (*dict.fromkeys(named), UNEXPECTED):
            if error not in _NOT_OF_WORK and error != NO_ANSWER and not why_impossible(error, state):
                waits = plan.timeout if error == "States.Timeout" else plan.heartbeat
                silent = error in ("States.Timeout", "States.HeartbeatTimeout") and waits is not None
                yield _failing(plan.name, error, silent)
    elif isinstance(plan, MapPlan) and plan.distribution is not None:
        distribution = plan.distribution
        if distribution.reader is not None:
            yield _failing(f"{plan.name}.ItemReader", "States.ItemReaderFailed")
        if distribution.writer is not None and distribution.writer.resource is not None:
            yield _failing(f"{plan.name}.ResultWriter", "States.ResultWriterFailed")


def _failing(key: str, error: str, silent: bool = False) -> Failing:
    cause = f"{key}{ON_PURPOSE}"
    return Failing(key, error, cause, {"never": True} if silent else {"error": error, "cause": cause})


def why_never_caught(state: State, target: str) -> str | None:
    """Why no catcher of a state ever leads to this one; None where one may."""
    earlier: set[str] = set()
    reasons: list[str] = []
    for _, catcher in state.blocks("Catch"):
        names = [name for name in catcher.get("ErrorEquals", []) if isinstance(name, str)]
        if catcher.get("Next") == target:
            for name in names:
                reason = why_shadowed(name, earlier) or why_impossible(name, state)
                if not reason:
                    return None
                reasons.append(f"it catches {name}, and {reason}")
        earlier.update(names)
    return "; ".join(reasons) or None

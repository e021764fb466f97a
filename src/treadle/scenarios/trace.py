"""The way of a run as a tree: its states in order, how deep, how long, how often tried, what went wrong.

Owns the lines that a failed scenario is explained with. Plain text: who shows it may colour it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from treadle.language.scope import Json
from treadle.machine.journal import ABORTED, FramePath
from treadle.scenarios.play import Difference, Outcome
from treadle.testing.world import Run

_ENDS = ("Failed", "TimedOut")
_NOT_OF_A_STATE = ("Execution", "Branch", "MapIteration")
_CAUSE = 160


@dataclass
class Visit:
    """One state that was entered. `depth` counts the scopes around it; `seconds` is None when it was never left."""

    name: str
    type: str
    depth: int
    at: float
    calls: int = 0
    seconds: float | None = None
    errors: list[str] = field(default_factory=list[str])
    next: str | None = None
    children: list[Run] = field(default_factory=list[Run])


def visits(run: Run) -> list[Visit]:
    """The states of a run, in the order in which they were entered."""
    found: list[Visit] = []
    current: dict[FramePath, Visit] = {}
    began = run.journal[0].at if run.journal else 0.0
    for entry in run.journal:
        kind = entry.type
        if kind.endswith("StateEntered"):
            type_ = kind.removesuffix("StateEntered")
            visit = current[entry.frame] = Visit(entry.details["name"], type_, len(entry.frame), entry.at - began)
            found.append(visit)
            continue
        visit = current.get(entry.frame)
        if visit is None:
            continue
        if kind.endswith("Scheduled") and kind not in ("WaitScheduled", "RetryScheduled"):
            visit.calls += 1
        elif (kind.endswith(_ENDS) and not kind.startswith(_NOT_OF_A_STATE)) or kind == "EvaluationFailed":
            told = {**entry.note, **entry.details}
            visit.errors.append(_told(told.get("error"), told.get("cause")) or kind)
        elif kind.endswith("StateExited"):
            visit.seconds = entry.at - began - visit.at
            visit.next = entry.note.get("next")
        elif kind in ABORTED.values():
            visit.errors.append("aborted")
    for name, children in run.children.items():
        last = [visit for visit in found if visit.name == name]
        if last:
            last[-1].children = children
    return found


def _told(error: Json, cause: Json) -> str:
    text = ": ".join(each for each in (error, cause) if isinstance(each, str) and each)
    return text if len(text) <= _CAUSE else text[: _CAUSE - 1] + "…"


def tree(run: Run, marked: int | None = None, depth: int = 0) -> Iterator[str]:
    """The lines of a run; the state of this number is marked with an arrow."""
    entered = visits(run)
    for index, visit in enumerate(entered):
        arrow = ">" if index == marked else " "
        name = "  " * (visit.depth + depth) + visit.name
        yield f"{arrow} {visit.at:9.1f}s  {name:<32} {', '.join(_said(visit))}".rstrip()
        for child in visit.children:
            yield f"  {'':>10}  {'  ' * (visit.depth + depth + 1)}execution {child.name}: {child.status}"
            yield from tree(child, None, depth + visit.depth + 2)
    if marked is not None and marked >= len(entered):
        yield f"> {run.seconds:9.1f}s  the end"


def _said(visit: Visit) -> Iterator[str]:
    yield visit.type
    if visit.calls > 1:
        yield f"{visit.calls} attempts"
    if visit.seconds:
        yield f"{visit.seconds:g}s"
    for error in dict.fromkeys(visit.errors):
        times = visit.errors.count(error)
        yield error if times == 1 else f"{times} times {error}"
    if visit.errors and visit.next:
        yield f"caught: goes to {visit.next}"
    elif visit.type == "Choice" and visit.next:
        yield f"goes to {visit.next}"
    elif visit.seconds is None and not visit.errors and visit.type not in ("Fail",):
        yield "not left"


def report(outcome: Outcome) -> list[str]:
    """Why a scenario failed: its differences, then the way of its run with the first one marked."""
    return [*map(str, outcome.differences), "", *way(outcome.run, first_place(outcome.differences))]


def way(run: Run, marked: int | None = None) -> list[str]:
    """The lines of a run, its end and its output."""
    ended = ": ".join(each for each in (run.error, run.cause) if each)
    lines = [*tree(run, marked), f"  {run.seconds:9.1f}s  {run.status}{f' {ended}' if ended else ''}"]
    if run.status == "SUCCEEDED":
        text = json.dumps(run.output, ensure_ascii=False)
        lines.append(f"  output {text if len(text) <= 1000 else text[:999] + '…'}")
    return lines


def first_place(differences: tuple[Difference, ...]) -> int | None:
    """The first state at which a run went another way than expected."""
    return next((each.state for each in differences if each.state is not None), None)

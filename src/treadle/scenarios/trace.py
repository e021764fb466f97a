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
_OUTPUT = 1000


@dataclass
class Visit:
    """One state that was entered. `frame` is the scope that it is in; `seconds` is None when it was never left."""

    name: str
    type: str
    frame: FramePath
    at: float
    calls: int = 0
    seconds: float | None = None
    errors: list[str] = field(default_factory=list[str])
    next: str | None = None
    children: list[Run] = field(default_factory=list[Run])


@dataclass(frozen=True, slots=True)
class Mark:
    """The first difference of a run: what it is about, what was expected, and at which state, if at one."""

    what: str
    expected: str
    state: int | None = None


def visits(run: Run) -> list[Visit]:
    """The states of a run, in the order in which they were entered."""
    found: list[Visit] = []
    current: dict[FramePath, Visit] = {}
    began = run.journal[0].at if run.journal else 0.0
    for entry in run.journal:
        kind = entry.type
        if kind.endswith("StateEntered"):
            type_ = kind.removesuffix("StateEntered")
            visit = current[entry.frame] = Visit(entry.details["name"], type_, entry.frame, entry.at - began)
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


def tree(run: Run, mark: Mark | None = None, depth: int = 0) -> Iterator[str]:
    """The lines of a run; the state that is marked has an arrow, and what was expected there."""
    entered = visits(run)
    for index, visit in enumerate(entered):
        here = mark is not None and mark.state == index
        # Inside a Parallel or a Map, which branch or item it is.
        part = f" [{visit.frame[-1]}]" if visit.frame else ""
        name = "  " * (len(visit.frame) + depth) + visit.name + part
        yield _line(f"{visit.at:9.1f}s  {name:<32} {', '.join(_said(visit))}", mark if here else None)
        for child in visit.children:
            inner = depth + len(visit.frame)
            yield f"  {'':>10}  {'  ' * (inner + 1)}execution {child.name}: {child.status}"
            yield from tree(child, None, inner + 2)
    if mark is not None and mark.state is not None and mark.state >= len(entered):
        yield _line(f"{run.seconds:9.1f}s  the end", mark)


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
    return [*map(str, outcome.differences), "", *way(outcome.run, first_mark(outcome.differences))]


def way(run: Run, mark: Mark | None = None) -> list[str]:
    """The lines of a run, its end and its output."""
    told = ": ".join(each for each in (run.error, run.cause) if each)
    end = f"{run.seconds:9.1f}s  {run.status}{f' {told}' if told else ''}"
    late = mark if mark is not None and mark.state is None else None
    if run.status != "SUCCEEDED":
        return [*tree(run, mark), _line(end, late)]
    text = json.dumps(run.output, ensure_ascii=False)
    output = f"{'output':>10}  {text if len(text) <= _OUTPUT else text[: _OUTPUT - 1] + '…'}"
    of_output = late is not None and late.what == "output"
    return [*tree(run, mark), _line(end, None if of_output else late), _line(output, late if of_output else None)]


def _line(text: str, mark: Mark | None) -> str:
    """A line, with an arrow and what was expected where it is marked."""
    return f"  {text}".rstrip() if mark is None else f"> {text.rstrip()}  <- expected {mark.expected}"


def first_mark(differences: tuple[Difference, ...]) -> Mark | None:
    """Where a run first went another way than expected: at a state, else at its end or in its output."""
    placed = next((each for each in differences if each.state is not None), None)
    if placed is not None:
        return Mark("path", placed.expected, placed.state)
    first = next((each for each in differences if not each.what.startswith(("answers of", "calls of"))), None)
    if first is None:
        return None
    part = first.what.partition(".")[0].partition("[")[0]
    return Mark(part, f"{first.what}: {first.expected}")

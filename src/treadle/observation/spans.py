"""The spans of an execution, made of its journal: one for the execution, each visit of a state, each attempt of a task.

Pure. A map run is a span as well, under which those of its children hang. After a redrive only what came since then
makes spans: what came before was told when the execution ended the first time. Data of executions is never in a span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from treadle.machine.journal import Entry, FramePath
from treadle.runtime.ports import Summary
from treadle.runtime.trace_context import context_of, span_id

_ENDS: Final = "Succeeded|Failed|TimedOut|Aborted|ScheduleFailed|StartFailed|SubmitFailed"
_ATTEMPT: Final = re.compile(
    rf"(?:(?:Task|LambdaFunction|Activity)(?P<begun>Scheduled)|MapRun(?P<run>Started|Redriven)"
    rf"|(?:Task|LambdaFunction|Activity|MapRun)(?P<end>{_ENDS}))"
)


@dataclass(slots=True)
class Span:
    """A span; `parent` is "" where there is none. Times are seconds since the epoch."""

    id: str
    parent: str
    name: str
    start: float
    end: float = 0.0
    error: str | None = None
    attributes: dict[str, str | int] = field(default_factory=dict[str, "str | int"])


class _Making:
    """The spans as far as the journal has been read."""

    def __init__(self, summary: Summary, at: float) -> None:
        self._summary = summary
        self.done: list[Span] = []
        self.states: dict[FramePath, Span] = {}
        self.attempts: dict[FramePath, Span] = {}
        self.root = self._root(1, at, 0)

    def _root(self, number: int, at: float, redrives: int) -> Span:
        summary = self._summary
        name = summary.machine_arn.rpartition(":")[2]
        root = Span(span_id(summary, number, "execution"), context_of(summary).parent or "", name, at)
        root.attributes = {"aws.stepfunctions.execution_arn": summary.arn, "treadle.status": summary.status}
        if redrives:
            root.attributes["aws.stepfunctions.redrive_count"] = redrives
        return root

    def redriven(self, number: int, at: float, redrives: int) -> None:
        """What came before has been told; states that go on have another span from here on."""
        self.done.clear()
        self.attempts.clear()
        self.root = self._root(number, at, redrives)
        before, self.states = self.states, {}
        for frame in sorted(before, key=len):
            self.enter(number, frame, before[frame].name, at, dict(before[frame].attributes))

    def enter(self, number: int, frame: FramePath, name: str, at: float, attributes: dict[str, str | int]) -> None:
        above = next((self.states[frame[:n]] for n in range(len(frame) - 1, -1, -1) if frame[:n] in self.states), None)
        place = ".".join(map(str, frame))
        span = Span(span_id(self._summary, number, f"state {place}"), (above or self.root).id, name, at)
        span.attributes = attributes
        self.states[frame] = span

    def attempt(self, number: int, entry: Entry) -> None:
        name = f"attempt {entry.details.get('resource', '')}" if "mapRunArn" not in entry.details else "map run"
        above = self.states.get(entry.frame, self.root)
        self.attempts[entry.frame] = Span(span_id(self._summary, number), above.id, name, entry.at)

    def end(self, span: Span | None, at: float, error: str | None = None) -> None:
        if span is not None:
            span.end, span.error = at, error
            self.done.append(span)


def spans_of(summary: Summary, journal: Sequence[Entry]) -> Iterator[Span]:
    """The spans of an execution that has ended, from its last redrive on."""
    making = _Making(summary, journal[0].at)
    for number, entry in enumerate(journal, 1):
        frame, at = entry.frame, entry.at
        if entry.type == "ExecutionRedriven":
            making.redriven(number, at, int(entry.details["redriveCount"]))
        elif entry.type.endswith("StateEntered"):
            making.end(making.attempts.pop(frame, None), at)
            making.end(making.states.pop(frame, None), at)
            kind = entry.type.removesuffix("StateEntered")
            making.enter(number, frame, str(entry.details["name"]), at, {"treadle.state_type": kind})
        elif entry.type.endswith("StateExited"):
            making.end(making.states.pop(frame, None), at)
        elif found := _ATTEMPT.fullmatch(entry.type):
            if found["end"] is None:
                making.attempt(number, entry)
            else:
                good = found["end"] == "Succeeded"
                told = None if good else str(entry.details.get("error") or found["end"])
                making.end(making.attempts.pop(frame, None), at, told)
    end, error = journal[-1].at, summary.error or summary.status
    for each in (*making.attempts.values(), *making.states.values()):
        making.end(each, end, error)
    making.end(making.root, end, None if summary.status == "SUCCEEDED" else error)
    yield from making.done

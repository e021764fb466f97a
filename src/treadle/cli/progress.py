"""The way of an execution, line by line, and where it stands now.

Entries and open waits go in as they are committed, lines come out; `going_on` and `standing` tell of this moment. Owns
the words. It never prints: follow.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from rich.text import Text

from treadle.cli.show import clean, lasting, moment, short
from treadle.language.scope import Json
from treadle.machine.changes import ENDS
from treadle.machine.commands import RunTask, StartTimer
from treadle.machine.journal import Entry, FramePath, json_text
from treadle.runtime.ports import Summary, WaitRow

Hint: TypeAlias = Callable[[str, int, str, bool], str]
"""(execution ARN, wait, state, whether other tasks of this name may be open too) -> how to answer a task."""

STATUSES: Final = {"ExecutionSucceeded": "SUCCEEDED", **ENDS}
"""The status that an execution has after its last event."""

_AT_ONCE: Final = ("Pass", "Choice", "Succeed", "Fail")
"""States that take no time, so nothing need be said of their end."""
_CHILD_ENDS: Final = ("BranchAborted", "MapIterationAborted", "BranchFailed", "MapIterationFailed")
_BAD: Final = ("Failed", "TimedOut", "StateAborted")
_LOUD: Final = {"Failed": ("failed", "red"), "TimedOut": ("timed out", "red"), "StateAborted": ("aborted", "yellow")}


@dataclass
class Visit:
    """A state that has been entered and not left. `over` is one that failed or was aborted; a redrive revives it."""

    name: str
    type: str
    frame: FramePath
    since: float
    waiting: str = ""
    until: float | None = None
    retries: int = 0
    over: bool = False


@dataclass
class Way:
    """One execution as far as it has come. `label` stands before each line of a nested one."""

    arn: str
    hint: Hint
    label: str = ""
    started: float = 0.0
    length: int = 0
    now: float = 0.0
    visits: dict[FramePath, Visit] = field(default_factory=dict[FramePath, Visit])
    waiting: dict[int, FramePath] = field(default_factory=dict[int, FramePath])
    timers: dict[int, str] = field(default_factory=dict[int, str])

    def take(self, entries: Sequence[Entry], opened: Iterable[WaitRow] = ()) -> list[Text]:
        """The lines for what was committed."""
        lines: list[Text] = []
        for entry in entries:
            self.length += 1
            self.now = entry.at
            lines += self._entry(entry)
        for row in opened:
            lines += self._wait(row)
        return lines

    def going_on(self) -> list[Visit]:
        """The states that it is in, outer ones first."""
        return [visit for _, visit in sorted(self.visits.items()) if not visit.over]

    # ---- lines ---------------------------------------------------------------------------------------------------

    def _line(self, at: float, frame: FramePath, *parts: Text | str) -> Text:
        line = Text().append(f"{at - self.started:>9.1f}s ", "dim")
        line.append(self.label)
        line.append("   " * len(frame))
        for part in parts:
            line += part if isinstance(part, Text) else Text(part)
        return line

    def _entry(self, entry: Entry) -> Iterator[Text]:
        kind = entry.type
        if kind == "ExecutionStarted":
            self.started = entry.at
        elif kind in ("ExecutionRedriven", "ExecutionForked"):
            for visit in self.visits.values():
                visit.over = False
            yield self._line(entry.at, entry.frame, Text(kind.removeprefix("Execution").lower(), "yellow"))
        elif kind.endswith("StateEntered"):
            yield self._entered(entry)
        elif kind.endswith("StateExited"):
            yield from self._exited(entry)
        elif kind == "RetryScheduled":
            yield self._retry(entry)
        elif kind == "WaitScheduled":
            self.timers[self.length] = "waits"
            self.waiting[self.length] = entry.frame
        elif kind == "MapStateStarted":
            yield self._line(entry.at, entry.frame, " ├ ", Text(f"{entry.details.get('length', 0)} items", "dim"))
        elif kind.endswith("Scheduled"):
            self.waiting[self.length] = entry.frame
            self._now(entry.frame, "")
        elif kind.endswith(_BAD) and not kind.startswith(("Execution", "MapState", "ParallelState", "Branch", "MapI")):
            yield self._went_wrong(entry)
        if kind in _CHILD_ENDS:
            for visit in self._inside(entry.frame):
                visit.over = True

    def _entered(self, entry: Entry) -> Text:
        visit = Visit(entry.details["name"], entry.type.removesuffix("StateEntered"), entry.frame, entry.at)
        self.visits[entry.frame] = visit
        where = f" {_place(entry.frame)}" if entry.frame else ""
        name = Text(clean(visit.name), "bold")
        return self._line(entry.at, entry.frame, name, Text(f"{where} {visit.type}", "dim"))

    def _exited(self, entry: Entry) -> Iterator[Text]:
        visit = self.visits[entry.frame]
        for inner in self._inside(entry.frame):
            del self.visits[inner.frame]
        variables: dict[str, Json] = entry.details.get("assignedVariables", {})
        assigned = "".join(f" {clean(name)}={short(json_text(value), 60)}" for name, value in variables.items())
        if visit.type == "Choice" and entry.note.get("next"):
            yield self._line(
                entry.at, entry.frame, " └ ", Text(f"goes to {clean(entry.note['next'])}{assigned}", "dim")
            )
        elif visit.type not in _AT_ONCE or assigned:
            took = f" after {lasting(entry.at - visit.since)}" if visit.type not in _AT_ONCE else ""
            done = Text("done", "green")
            yield self._line(entry.at, entry.frame, f" └ {_who(visit)}", done, took, Text(assigned, "dim"))

    def _retry(self, entry: Entry) -> Text:
        visit = self.visits[entry.frame]
        visit.retries += 1
        self.waiting[self.length] = entry.frame
        self.timers[self.length] = f"retry {visit.retries}"
        after = lasting(max(0.0, entry.note["at"] - entry.at))
        retry = Text(f"retry {visit.retries}", "yellow")
        return self._line(entry.at, entry.frame, f" ├ {_who(visit)}", retry, f" in {after}")

    def _went_wrong(self, entry: Entry) -> Text:
        word, style = next(_LOUD[end] for end in _BAD if entry.type.endswith(end))
        error, cause = entry.details.get("error"), entry.details.get("cause")
        told = ": ".join(short(each) for each in (error, cause) if isinstance(each, str) and each)
        who = _who(self.visits[entry.frame])
        return self._line(entry.at, entry.frame, f" ├ {who}", Text(word, style), f" {told}" if told else "")

    # ---- waits ---------------------------------------------------------------------------------------------------

    def _wait(self, row: WaitRow) -> Iterator[Text]:
        frame = self.waiting.get(row.wait)
        visit = None if frame is None else self.visits.get(frame)
        if frame is None or visit is None:
            return
        until = f" until {moment(row.due)}" if row.due is not None else ""
        who = _who(visit)
        visit.until = row.due
        match row.command:
            case StartTimer():
                visit.waiting = self.timers.get(row.wait, "waits")
                if visit.waiting == "waits":
                    yield self._line(self.now, frame, f" ├ {who}", Text(f"waits{until}", "dim"))
            case RunTask(resource=resource) as task:
                what = _WAITS_FOR[row.kind].format(clean(resource))
                visit.waiting = what
                if row.kind != "call":
                    told = Text(f"waits for {what}{until}{_beats(task)}", "yellow")
                    yield self._line(self.now, frame, f" ├ {who}", told)
                if row.kind in ("callback", "activity"):
                    hint = self.hint(row.arn, row.wait, visit.name, bool(frame))
                    yield self._line(self.now, frame, " ├ ", Text(hint, "dim"))
            case _:
                visit.waiting = "the executions of its items"

    def _now(self, frame: FramePath, waiting: str) -> None:
        if frame in self.visits:
            self.visits[frame].waiting, self.visits[frame].until = waiting, None

    def _inside(self, frame: FramePath) -> list[Visit]:
        return [each for path, each in self.visits.items() if path[: len(frame)] == frame]

    def standing(self, visit: Visit, now: float) -> Text:
        """The line for a state that it is in: for how long, and what it waits for."""
        line = self._line(self.started + max(0.0, now - visit.since), visit.frame, Text(clean(visit.name), "bold"))
        if visit.frame:
            line.append(f" {_place(visit.frame)}", "dim")
        line.append(f" {visit.type}", "dim")
        if visit.waiting:
            left = f", {lasting(visit.until - now)} left" if visit.until is not None and visit.until > now else ""
            line.append(f"  {visit.waiting}{left}", "yellow")
        return line


def no_hint(arn: str, wait: int, state: str, several: bool) -> str:
    """Where no task can be answered from here."""
    return ""


def run_line(summary: Summary) -> Text:
    """How far a map run has come."""
    progress, member = summary.progress, summary.member
    assert progress is not None and member is not None
    items = progress.items
    counts = {
        "done": items.succeeded,
        "failed": items.failed,
        "timed out": items.timed_out,
        "aborted": items.aborted,
        "running": items.running,
        "waiting": items.pending + items.pending_redrive,
    }
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    line = Text().append(f"{'':>11}").append(clean(member.state), "bold")
    return line.append(f" {items.total:,} items{': ' if told else ''}{told}", "dim")


def child_line(summary: Summary) -> Text:
    """That a child of a map run did not succeed."""
    assert summary.member is not None
    told = ": ".join(short(each) for each in (summary.error, summary.cause) if each)
    line = Text().append(f"{'':>11}").append(clean(summary.member.state), "bold")
    line.append(f" child {summary.member.child} {clean(summary.name)} ", "dim")
    return line.append(summary.status.lower().replace("_", " "), "red").append(f" {told}" if told else "")


_WAITS_FOR: Final = {
    "call": "{}",
    "poll": "the job of {}",
    "callback": "an answer",
    "activity": "a worker of {}",
}


def _beats(task: RunTask) -> str:
    return f", a heartbeat every {lasting(task.heartbeat)}" if task.heartbeat is not None else ""


def _who(visit: Visit) -> str:
    """Whose line it is, where several are open side by side."""
    return f"{clean(visit.name)} {_place(visit.frame)} " if visit.frame else ""


def _place(frame: FramePath) -> str:
    return f"[{'.'.join(map(str, frame))}]"

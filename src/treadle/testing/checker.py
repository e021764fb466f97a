"""The history checker: what must be true of every journal, whatever the machine ran.

Every journal of every test passes through it. It knows the rules of section 5 of the AWS history and nothing of how the
machine keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from treadle.machine.journal import DETAILS, HIDDEN, Entry, FramePath, history_event

_ENDS: Final = frozenset(("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"))
_FIRST_OF_TASK: Final = ("TaskScheduled", "LambdaFunctionScheduled", "ActivityScheduled")


class BrokenHistory(AssertionError):
    """A journal that no execution can have written; says which entry and which rule."""


def check_journal(journal: Sequence[Entry]) -> None:
    """Raise BrokenHistory when the journal breaks a rule."""
    check = _Check()
    for index, entry in enumerate(journal):
        try:
            check.take(entry)
        except AssertionError as error:
            raise BrokenHistory(
                f"entry {index + 1}, {entry.type} (id {entry.id}) of frame {entry.frame}: {error}"
            ) from None


class _Check:
    def __init__(self) -> None:
        self.last_id = 0
        self.at = 0.0
        self.types: dict[int, str] = {}
        self.open: dict[FramePath, str] = {}  # the state entered and not exited, by frame
        self.task: dict[FramePath, str] = {}  # the last task event of that state
        self.ended = False

    def take(self, entry: Entry) -> None:
        assert entry.at >= self.at, "time runs backwards"
        self.at = entry.at
        assert entry.type in DETAILS or entry.type in HIDDEN, "no such type"
        if entry.type in HIDDEN:
            assert entry.id == 0, "a hidden entry has no id"
        else:
            self._visible(entry)
        self._state(entry)

    def _visible(self, entry: Entry) -> None:
        assert entry.id == self.last_id + 1, f"ids are dense, expected {self.last_id + 1}"
        assert 0 <= entry.previous < entry.id, "previousEventId points back"
        if self.last_id == 0:
            assert entry.type == "ExecutionStarted", "ExecutionStarted comes first"
        else:
            assert entry.type != "ExecutionStarted", "ExecutionStarted comes once"
        if self.ended:
            assert entry.type == "ExecutionRedriven", "nothing but a redrive follows the end"
            self.ended = False
        self.ended = entry.type in _ENDS
        self.last_id = entry.id
        self.types[entry.id] = entry.type
        event = history_event(entry)
        member = DETAILS[entry.type]
        assert set(event) <= {"timestamp", "type", "id", "previousEventId", member}, "one details member at most"

    def _state(self, entry: Entry) -> None:
        type, frame = entry.type, entry.frame
        if type == "ExecutionRedriven":
            # What had been entered may be entered again (Fail) or go on.
            self.open.clear()
            self.task.clear()
        elif type.endswith("StateEntered"):
            self.open[frame] = entry.details["name"]
            self.task.pop(frame, None)
        elif type.endswith("StateExited"):
            name = self.open.pop(frame, entry.details["name"])
            assert name == entry.details["name"], f"state {name} is open"
            self._close_below(frame)
        elif type in _FIRST_OF_TASK:
            self.task[frame] = type
        elif type in ("TaskStarted", "LambdaFunctionStarted", "ActivityStarted"):
            assert self.task.get(frame) in _FIRST_OF_TASK, "a task is scheduled before it starts"
            self.task[frame] = type
        elif type in ("TaskSucceeded", "LambdaFunctionSucceeded", "ActivitySucceeded"):
            assert frame in self.task, "a task is scheduled before it succeeds"
            del self.task[frame]
        elif type in ("MapStateStarted", "ParallelStateStarted"):
            self._close_below(frame)

    def _close_below(self, frame: FramePath) -> None:
        for inner in [each for each in self.open if len(each) > len(frame) and each[: len(frame)] == frame]:
            del self.open[inner]
            self.task.pop(inner, None)

"""Plays a golden case: runs its definition against its script and gives the history, ready to be compared.

A case is a folder `<topic>/<name>` with definition.asl.json (or .asl.yaml), input.json, script.json and history.json.
The script says what the outside does; all but `why` may be left out:

    tasks    how tasks answer, by state or resource: see treadle.testing.script_of
    seed     of the random numbers
    stop     {"at": seconds, "error": ..., "cause": ...}: somebody stops the execution
    redrive  [{"at": seconds}]: somebody redrives it
    limits   quotas that differ from AWS's: see treadle.machine.limits
    why      the rule that the case pins, and where that is written

record.py writes history.json; what it writes is to be read against the rule before it is kept.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from treadle.language.compile import compile_definition
from treadle.machine.commands import Close
from treadle.machine.events import Event, RedriveRequested, StopRequested
from treadle.machine.execution import recover
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.journal import Entry
from treadle.machine.limits import Limits
from treadle.runtime.clock import START
from treadle.testing import Run, World, script_of

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """One case, by its folder."""

    folder: Path

    @property
    def name(self) -> str:
        """`<topic>/<name>`."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def definition(self) -> str:
        """The text of the definition."""
        return next(self.folder.glob("definition.asl.*")).read_text()

    @property
    def input(self) -> Any:
        """The input of the execution."""
        return self._read("input")

    @property
    def script(self) -> dict[str, Any]:
        """What the outside does."""
        return self._read("script")

    @property
    def history(self) -> list[dict[str, Any]]:
        """The history that is expected."""
        return self._read("history")

    def _read(self, name: str) -> Any:
        return json.loads((self.folder / f"{name}.json").read_text())


def cases(prefix: str = "") -> Iterator[Case]:
    """The cases whose names start like this, in order."""
    for script in sorted(HERE.glob("*/*/script.json")):
        case = Case(script.parent)
        if case.name.startswith(prefix):
            yield case


@dataclass
class Played:
    """A case that was run. `batches` tells where the journal stood after each event that changed something."""

    run: Run
    batches: list[int] = field(default_factory=list[int])
    drew: bool = False

    @property
    def history(self) -> list[dict[str, Any]]:
        """The public history, with timestamps in seconds since the start."""
        return [{**event, "timestamp": _seconds(event["timestamp"] - START)} for event in self.run.history]


def play(case: Case) -> Played:
    """Run a case to its end."""
    script = case.script
    world = _World(case)
    run = world.start(compile_definition(case.definition), case.input)
    if stop := script.get("stop"):
        event = StopRequested(stop.get("error"), stop.get("cause"))
        world.at(START + stop["at"], lambda: world.send(run, event))
    for redrive in script.get("redrive", ()):
        world.at(START + redrive["at"], lambda: world.send(run, RedriveRequested()))
    world.run()
    drew = world.random.getstate() != random.Random(script.get("seed", 0)).getstate()
    return Played(run, world.batches, drew)


class _World(World):
    """A world that keeps where the journal of its first execution stood after each event."""

    def __init__(self, case: Case) -> None:
        script = case.script
        super().__init__(
            script_of(script.get("tasks", {})), seed=script.get("seed", 0), limits=Limits(**script.get("limits", {}))
        )
        self.batches: list[int] = []
        self._first: Run | None = None

    def _send(self, run: Run, event: Event, closed: Callable[[Close], None]) -> None:
        self._first = self._first or run
        super()._send(run, event, closed)
        if run is self._first and run.journal and len(run.journal) not in self.batches[-1:]:
            self.batches.append(len(run.journal))


def check_recovery(played: Played, limits: Limits) -> None:
    """Recover from every prefix of the journal and carry on: the execution must come to wait for what it waited for."""
    journal = played.run.journal
    start = 0
    for end in played.batches:
        expected = _waits(recover(played.run.plan, journal[:end]).waits(), played.drew)
        for cut in range(start + 1, end + 1):
            assert _carried_on(played, journal[:cut], limits) == (end, expected), f"after {cut} entries"
        start = end


def _carried_on(played: Played, prefix: list[Entry], limits: Limits) -> tuple[int, Any]:
    interpreter = Interpreter(recover(played.run.plan, prefix), limits)
    moment = Moment(prefix[-1].at, random.Random(0), lambda wait: f"{played.run.name}-{wait}")
    entries, _ = interpreter.handle(None, moment)
    return len(prefix) + len(entries), _waits(interpreter.execution.waits(), played.drew)


def _waits(waits: dict[int, Any], drew: bool) -> Any:
    """The waits as they are compared: by number alone where random numbers have gone into them."""
    return sorted(waits) if drew else waits


def _seconds(span: float) -> float:
    span = round(span, 6)
    return int(span) if span == int(span) else span


def difference(expected: list[dict[str, Any]], got: list[dict[str, Any]]) -> str | None:
    """The first event in which two histories differ; None when they are equal."""
    for index in range(max(len(expected), len(got))):
        pair = [events[index] if index < len(events) else None for events in (expected, got)]
        if pair[0] != pair[1]:
            lines = (json.dumps(event, ensure_ascii=False) for event in pair)
            return f"event {index + 1} differs\nexpected {next(lines)}\ngot      {next(lines)}"
    return None


def history_text(history: list[dict[str, Any]]) -> str:
    """A history as it is written to history.json: one event to a line."""
    return "[\n" + ",\n".join(json.dumps(event, ensure_ascii=False) for event in history) + "\n]\n"

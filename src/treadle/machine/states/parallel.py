"""Parallel: run branches side by side. ASL 'Parallel State'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.language.plan import ParallelPlan
from treadle.machine.dataflow import arguments
from treadle.machine.frame import Frame

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def run(machine: Interpreter, frame: Frame, state: ParallelPlan) -> None:
    """Start every branch on the same input."""
    machine.record(frame, "ParallelStateStarted", note={"input": arguments(machine, frame, state)})
    for branch in frame.children.values():
        machine.wake(branch)


def spawn(machine: Interpreter, frame: Frame, state: ParallelPlan) -> None:
    """All branches have ended."""
    machine.record(frame, "ParallelStateSucceeded")

"""Fail: end the scope with an error. ASL 'Fail State'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.language.plan import FailPlan
from treadle.machine.dataflow import evaluated
from treadle.machine.frame import Failure, Frame
from treadle.machine.retry import fail

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def run(machine: Interpreter, frame: Frame, state: FailPlan) -> None:
    """Fail with what Error and Cause say. Observed on AWS: a Fail has no exit."""
    error = evaluated(machine, frame, state.error, frame.input)
    cause = evaluated(machine, frame, state.cause, frame.input)
    fail(machine, frame, Failure(error, cause))

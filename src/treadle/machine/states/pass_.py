"""Pass: hand data on, perhaps changed. ASL 'Pass State'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.language.plan import PassPlan
from treadle.machine.dataflow import arguments, finish, leave
from treadle.machine.frame import Frame

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def run(machine: Interpreter, frame: Frame, state: PassPlan) -> None:
    """Leave at once with Result, else with Parameters, else with the input."""
    if state.plain and state.result is None:
        finish(machine, frame, state, frame.input)
    else:
        result = arguments(machine, frame, state) if state.result is None else state.result[0]
        leave(machine, frame, state, result)

"""Wait: let time pass. ASL 'Wait State'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.language.plan import WaitPlan
from treadle.machine.dataflow import leave, taken
from treadle.machine.frame import Frame

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def run(machine: Interpreter, frame: Frame, state: WaitPlan) -> None:
    """Start the timer, or leave at once when its moment has passed."""
    given = taken(machine, frame, state)
    until = state.until(machine.scope(frame, given))
    if until > machine.now:
        machine.record(frame, "WaitScheduled", note={"at": until})
    else:
        leave(machine, frame, state, given)


def wake_up(machine: Interpreter, frame: Frame, state: WaitPlan) -> None:
    """The timer is due."""
    leave(machine, frame, state, taken(machine, frame, state))

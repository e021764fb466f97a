"""Succeed: end the scope. ASL 'Succeed State'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.language.plan import SucceedPlan
from treadle.machine.dataflow import leave, taken
from treadle.machine.frame import Frame

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def run(machine: Interpreter, frame: Frame, state: SucceedPlan) -> None:
    """Leave at once."""
    leave(machine, frame, state, taken(machine, frame, state))

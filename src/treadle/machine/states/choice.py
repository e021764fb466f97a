"""Choice: decide where to go. ASL 'Choice State'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.errors import StatesError
from treadle.language.plan import ChoicePlan
from treadle.machine.dataflow import assigned, finish, leave, taken
from treadle.machine.frame import Frame

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def run(machine: Interpreter, frame: Frame, state: ChoicePlan) -> None:
    """Go where the first rule that holds points; without one, to Default."""
    given = frame.input if state.flow.take is None else taken(machine, frame, state)
    scope = machine.scope(frame, given)
    for rule in state.rules:
        if rule.condition(scope):
            # ASL 'Choice State': the Assign and Output of a rule that holds stand in for the state's own.
            output = given if rule.output is None else rule.output(scope)
            finish(machine, frame, state, output, assigned(machine, rule.assign, scope), rule.next)
            return
    if state.next is None:
        raise StatesError(
            "States.NoChoiceMatched",
            "Failed to transition out of the state. The state does not point to a next state.",
        )
    leave(machine, frame, state, given)

"""How data passes through a state, in the order of the specification.

JSONPath: InputPath -> Parameters -> (work) -> ResultSelector -> ResultPath -> OutputPath, with Assign beside
ResultSelector. JSONata: Arguments -> (work) -> Assign and Output. Both are the same slots of a `Dataflow`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.errors import StatesError
from treadle.language.plan import Assign, Expr, StatePlan
from treadle.language.scope import Json, Scope
from treadle.machine.frame import Frame
from treadle.machine.journal import EXITED, json_text
from treadle.machine.limits import too_large

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def taken(machine: Interpreter, frame: Frame, state: StatePlan) -> Json:
    """The effective input: what InputPath takes of the raw one."""
    take = state.flow.take
    return frame.input if take is None else take(machine.scope(frame, frame.input))


def arguments(machine: Interpreter, frame: Frame, state: StatePlan, token: str | None = None) -> Json:
    """What the state works on: Parameters or Arguments, else the effective input."""
    flow = state.flow
    given = taken(machine, frame, state)
    return given if flow.arguments is None else flow.arguments(machine.scope(frame, given, token))


def leave(machine: Interpreter, frame: Frame, state: StatePlan, result: Json) -> None:
    """Leave the state with this result."""
    flow = state.flow
    if state.plain:
        finish(machine, frame, state, result)
        return
    kept = result if flow.keep is None else flow.keep(_with_result(machine, frame, result, result))
    placed = kept if flow.place is None else flow.place(frame.input, kept)
    output = placed if flow.output is None else flow.output(_with_result(machine, frame, placed, result))
    variables = None
    if flow.assign is not None:
        variables = assigned(machine, flow.assign, _with_result(machine, frame, result, result))
    finish(machine, frame, state, output, variables)


def _with_result(machine: Interpreter, frame: Frame, root: Json, result: Json) -> Scope:
    scope = machine.scope(frame, root)
    scope.result = result
    return scope


def assigned(machine: Interpreter, assign: Assign | None, scope: Scope) -> dict[str, Json] | None:
    """The variables that an Assign gives, all evaluated before any is stored."""
    if assign is None:
        return None
    variables = assign(scope)
    for value in variables.values():
        if not machine.fits(value):
            raise StatesError("States.DataLimitExceeded", "A variable exceeds the maximum size of a workflow variable.")
    return variables or None


def finish(
    machine: Interpreter,
    frame: Frame,
    state: StatePlan,
    output: Json,
    variables: dict[str, Json] | None = None,
    next: str | None = None,
) -> None:
    """Leave the state with this output, variables assigned, to `next` where it is not the state's own."""
    if output is not frame.input and not machine.fits(output):
        raise StatesError("States.DataLimitExceeded", too_large(state.name))
    details: dict[str, Json] = {"name": state.name, "output": output}
    if variables:
        _check_total(machine, frame, variables)
        details["assignedVariables"] = variables
    if next is None:
        machine.record(frame, EXITED[state.type], details)
    else:
        machine.record(frame, EXITED[state.type], details, {"next": next})


def _check_total(machine: Interpreter, frame: Frame, variables: dict[str, Json]) -> None:
    """AWS quota: all variables of an execution together."""
    limits = machine.limits
    names = {**frame.variables, **variables}
    if len(names) * limits.payload_bytes <= limits.variables_bytes:
        return
    if sum(len(json_text(value).encode()) for value in names.values()) > limits.variables_bytes:
        raise StatesError(
            "States.DataLimitExceeded", "The variables exceed the maximum size of all variables together."
        )


def evaluated(machine: Interpreter, frame: Frame, expr: Expr | None, root: Json) -> Json:
    """A single field's value, None where the field is absent."""
    return None if expr is None else expr(machine.scope(frame, root))

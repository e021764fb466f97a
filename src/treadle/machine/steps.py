"""What is done with a frame, by what comes next in it.

Each step takes its frame one entry further (aborting siblings takes several) and evaluates at most the queries of one
state. What a query raises reaches `Interpreter.handle`, which makes a failure of it. What a state is for stands in
`states/`, what becomes of a failure in retry.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from treadle.language.plan import MapPlan, TaskPlan, WaitPlan
from treadle.language.scope import Json
from treadle.machine.dataflow import leave
from treadle.machine.frame import (
    ABORT,
    CATCH,
    END,
    ENTER,
    EXIT,
    LAUNCH,
    RECOVER,
    RELAUNCH,
    RUN,
    SPAWN,
    START,
    SUCCEED,
    Frame,
)
from treadle.machine.journal import ENTERED, NOTHING
from treadle.machine.retry import catch_or_fail, recover_from
from treadle.machine.states import RUN_BY_TYPE, SPAWN_BY_TYPE, map, task, wait
from treadle.machine.states.abort import abort

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def _enter(machine: Interpreter, frame: Frame) -> None:
    name = frame.next
    assert name is not None
    note = NOTHING if frame.previous else _as_written(machine, frame)
    machine.record(frame, ENTERED[frame.plan.states[name].type], {"name": name, "input": frame.value}, note)


def _as_written(machine: Interpreter, frame: Frame) -> dict[str, Json]:
    """Observed on AWS: the first state, too, shows the input as it was written when the execution was started."""
    execution = machine.execution
    if execution.input_text is None or frame.value is not execution.input:
        return NOTHING
    return {"text": execution.input_text}


def _run(machine: Interpreter, frame: Frame) -> None:
    state = frame.state
    assert state is not None
    RUN_BY_TYPE[state.type](machine, frame, state)


def _start(machine: Interpreter, frame: Frame) -> None:
    assert isinstance(frame.state, TaskPlan)
    task.start(machine, frame, frame.state)


def _spawn(machine: Interpreter, frame: Frame) -> None:
    state = frame.state
    assert state is not None
    SPAWN_BY_TYPE[state.type](machine, frame, state)


def _launch(machine: Interpreter, frame: Frame) -> None:
    assert isinstance(frame.state, MapPlan)
    map.launch(machine, frame, frame.state)


def _relaunch(machine: Interpreter, frame: Frame) -> None:
    assert isinstance(frame.state, MapPlan)
    map.relaunch(machine, frame, frame.state)


def _succeed(machine: Interpreter, frame: Frame) -> None:
    machine.record(frame, "MapStateSucceeded")


def _exit(machine: Interpreter, frame: Frame) -> None:
    state = frame.state
    assert state is not None
    if isinstance(state, WaitPlan):
        wait.wake_up(machine, frame, state)
    else:
        leave(machine, frame, state, frame.value)


def _recover(machine: Interpreter, frame: Frame) -> None:
    recover_from(machine, frame, frame.value)


def _catch(machine: Interpreter, frame: Frame) -> None:
    catch_or_fail(machine, frame, frame.value)


def _abort(machine: Interpreter, frame: Frame) -> None:
    abort(machine, frame, frame.value)


def _end(machine: Interpreter, frame: Frame) -> None:
    parent = frame.parent
    if parent is None:
        machine.record(frame, "ExecutionSucceeded", {"output": frame.value})
        return
    state = parent.state
    assert state is not None
    if state.type == "Map":
        details = {"name": state.name, "index": frame.path[-1]}
        machine.record(frame, "MapIterationSucceeded", details, {"output": frame.value})
    else:
        machine.record(frame, "BranchSucceeded", {}, {"output": frame.value})
    machine.wake(parent)


STEPS: Final[dict[str, Callable[[Interpreter, Frame], None]]] = {
    ENTER: _enter,
    RUN: _run,
    START: _start,
    SPAWN: _spawn,
    LAUNCH: _launch,
    RELAUNCH: _relaunch,
    SUCCEED: _succeed,
    EXIT: _exit,
    RECOVER: _recover,
    CATCH: _catch,
    ABORT: _abort,
    END: _end,
}
"""What to do with a frame, by what comes next in it. A frame that is not here waits, or has ended."""

"""What happens to all that still runs inside a Map or Parallel that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.language.plan import ParallelPlan, TaskPlan
from treadle.machine import frame as at
from treadle.machine.commands import StartMapRun
from treadle.machine.frame import Failure, Frame
from treadle.machine.journal import ABORTED
from treadle.machine.retry import recover_from

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def abort(machine: Interpreter, frame: Frame, failure: Failure) -> None:
    """Abort all that still runs inside the frame, then go on to its Retry and Catch.

    Nothing inside need have failed: the state itself does, for one, when ItemSelector cannot be evaluated for an item.

    Every entry leaves a mark on the frame that it aborts, so a journal that was cut anywhere in here goes on where it
    was cut.
    """
    failed = frame.children.get(frame.failed)
    # Observed on AWS: the Task that made a Parallel fail is itself shown as aborted.
    if isinstance(frame.state, ParallelPlan) and failed is not None and _is_failed_task(failed):
        machine.record(failed, "TaskStateAborted")
    for sibling in list(frame.children.values()):
        if sibling is not failed:
            _abort_scope(machine, sibling)
    recover_from(machine, frame, failure)


def _abort_scope(machine: Interpreter, frame: Frame) -> None:
    """Abort a branch or iteration, innermost first. Scopes are at most as deep as the definition is nested."""
    if frame.todo == at.HALTED:
        return
    if frame.todo != at.ABORTING:
        for inner in list(frame.children.values()):
            if inner.todo != at.FAILED:
                _abort_scope(machine, inner)
        if isinstance(frame.wait, StartMapRun):
            machine.record(frame, "MapRunAborted")
        if frame.state is not None and frame.state.type in ABORTED:
            machine.record(frame, ABORTED[frame.state.type])
    parent = frame.parent
    assert parent is not None
    assert parent.state is not None
    if parent.state.type == "Map":
        machine.record(frame, "MapIterationAborted", {"name": parent.state.name, "index": frame.path[-1]})
    else:
        machine.record(frame, "BranchAborted")


def _is_failed_task(frame: Frame) -> bool:
    return isinstance(frame.state, TaskPlan) and frame.todo == at.FAILED

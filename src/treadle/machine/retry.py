"""Retry, else catch, else fail the scope around: what becomes of a failure. ASL 'Errors'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.errors import StatesError
from treadle.language.plan import Catcher, Retrier, StatePlan, TaskPlan
from treadle.language.scope import Json
from treadle.machine.dataflow import assigned, finish
from treadle.machine.frame import Failure, Frame

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def recover_from(machine: Interpreter, frame: Frame, failure: Failure) -> None:
    """Retry the state if a retrier says so, else go on to its catchers."""
    state = frame.state
    assert state is not None
    retrier = None if failure.final or failure.here else first_match(state.retriers, state, failure)
    if retrier is not None:
        rule, done = state.retriers[retrier], frame.attempts.get(retrier, 0)
        # ASL 'Retrier Fields': a retrier that is used up does not hand over to a later one.
        if done < rule.attempts:
            delay = rule.delay(done)
            if rule.jitter:
                delay *= machine.random.random()
            machine.record(frame, "RetryScheduled", note={"retrier": retrier, "at": machine.now + delay})
            return
    if _shows_failure(frame, state, failure):
        machine.record(frame, f"{state.type}StateFailed", note=noted(failure))
    else:
        catch_or_fail(machine, frame, failure)


def _shows_failure(frame: Frame, state: StatePlan, failure: Failure) -> bool:
    """Observed on AWS: MapStateFailed follows an EvaluationFailed even when the Map had not started yet, but a
    States.Runtime of its own set-up goes straight to ExecutionFailed."""
    if failure.here or state.type not in ("Map", "Parallel"):
        return False
    inside = bool(frame.children) or frame.run is not None
    return inside or (state.type == "Map" and failure.error == "States.QueryEvaluationError")


def catch_or_fail(machine: Interpreter, frame: Frame, failure: Failure) -> None:
    """Leave the state through the first catcher that matches, else fail the scope."""
    state = frame.state
    assert state is not None
    found = None if failure.final or failure.here else first_match(state.catchers, state, failure)
    if found is None:
        fail(machine, frame, failure)
        return
    try:
        _catch(machine, frame, state, state.catchers[found], failure)
    except StatesError as error:
        # The same catcher would catch the failure of its own Output again, for ever.
        machine.evaluation_failed(frame, error, here=True)


def _catch(machine: Interpreter, frame: Frame, state: StatePlan, catcher: Catcher, failure: Failure) -> None:
    # Observed on AWS: an error without a cause (a timeout) is caught with an empty one.
    told_error: dict[str, Json] = {"Error": failure.error or "", "Cause": failure.cause or ""}
    scope = machine.scope(frame, told_error)
    scope.error = told_error
    placed = told_error if catcher.place is None else catcher.place(frame.input, told_error)
    output = placed if catcher.output is None else catcher.output(scope)
    finish(machine, frame, state, output, assigned(machine, catcher.assign, scope), catcher.next)


def fail(machine: Interpreter, frame: Frame, failure: Failure) -> None:
    """Nothing in this scope handles the failure: the Map or Parallel around it, or the execution, fails."""
    parent = frame.parent
    if parent is None:
        machine.close("ExecutionFailed", failure)
        return
    note = noted(failure)
    if isinstance(frame.state, TaskPlan):
        note["task"] = True
    assert parent.state is not None
    if parent.state.type == "Map":
        machine.record(frame, "MapIterationFailed", {"name": parent.state.name, "index": frame.path[-1]}, note)
    else:
        machine.record(frame, "BranchFailed", note=note)
    machine.wake(parent)


def told(failure: Failure) -> dict[str, Json]:
    """Error and cause as the details of an event; what is absent is left out."""
    details: dict[str, Json] = {}
    if failure.error is not None:
        details["error"] = failure.error
    if failure.cause is not None:
        details["cause"] = failure.cause
    return details


def noted(failure: Failure) -> dict[str, Json]:
    """All of a failure, but for what concerns only the state in which it happened."""
    note = told(failure)
    if failure.also is not None:
        note["also"] = failure.also
    if failure.final:
        note["final"] = True
    if failure.task:
        note["task"] = True
    return note


def first_match(rules: tuple[Retrier, ...] | tuple[Catcher, ...], state: StatePlan, failure: Failure) -> int | None:
    """The index of the first retrier or catcher that a failure of a state matches."""
    names = failure.names()
    for index, rule in enumerate(rules):
        if not rule.errors.isdisjoint(names) or "States.ALL" in rule.errors:
            return index
        # AWS 'Error names': TaskFailed stands for every error of a Task except its timeout.
        of_task = failure.task or isinstance(state, TaskPlan)
        if of_task and "States.TaskFailed" in rule.errors and failure.error != "States.Timeout":
            return index
    return None

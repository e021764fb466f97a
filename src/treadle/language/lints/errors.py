"""Retry and Catch: which errors they name, whether those can occur, and what the next state then gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from treadle.language.lints.finding import Finding, error, warning
from treadle.language.lints.outline import Fields, Scope, State
from treadle.language.lints.slots import reading, slots
from treadle.language.places import Path
from treadle.language.resources import parse_resource
from treadle.language.values import is_array

Findings = Iterator[Finding]

_ALL: Final = "States.ALL"
_TASK_FAILED: Final = "States.TaskFailed"

# ASL 'Errors' and AWS 'Handling errors in Step Functions workflows'.
_PREDEFINED: Final = frozenset(
    {
        _ALL,
        _TASK_FAILED,
        "States.Timeout",
        "States.HeartbeatTimeout",
        "States.Permissions",
        "States.ResultPathMatchFailure",
        "States.ParameterPathFailure",
        "States.IntrinsicFailure",
        "States.BranchFailed",
        "States.NoChoiceMatched",
        "States.ExceedToleratedFailureThreshold",
        "States.ItemReaderFailed",
        "States.ResultWriterFailed",
        "States.QueryEvaluationError",
        "States.DataLimitExceeded",
        "States.Runtime",
        "States.Http.Socket",
    }
)
_HTTP_STATUS: Final = re.compile(r"States\.Http\.StatusCode\.\d{3}")

_OF_CONTAINERS: Final = frozenset(
    {
        "States.BranchFailed",
        "States.NoChoiceMatched",
        "States.ExceedToleratedFailureThreshold",
        "States.ItemReaderFailed",
        "States.ResultWriterFailed",
    }
)
_PARTS: Final = ("ItemReader", "ResultWriter")
_OF_JSONPATH: Final = frozenset(
    {"States.ResultPathMatchFailure", "States.ParameterPathFailure", "States.IntrinsicFailure"}
)


def _handlers(state: State) -> Iterator[tuple[Path, list[Fields]]]:
    """The lists of retriers and catchers of a state."""
    for name in ("Retry", "Catch"):
        handlers = [fields for _, fields in state.blocks(name)]
        if handlers and len(handlers) == len(state.fields[name]):
            yield (*state.path, name), handlers


def _names(handler: Fields) -> list[str]:
    names = handler.get("ErrorEquals")
    return [name for name in names if isinstance(name, str)] if is_array(names) else []


def misplaced_wildcards(machine: Scope) -> Findings:
    """ASL 'Complex retry scenarios': States.ALL stands alone, in the last retrier or catcher."""
    for state in machine.every_state():
        for path, handlers in _handlers(state):
            for index, handler in enumerate(handlers):
                names = _names(handler)
                at = (*path, index, "ErrorEquals")
                if _ALL in names and len(names) > 1:
                    yield error(f"'{_ALL}' must be the only error in ErrorEquals", at, "Remove the other names.")
                if _ALL in names and index < len(handlers) - 1:
                    yield error(f"'{_ALL}' must be in the last element of {path[-1]}", at, "Move it to the end.")


def impossible(machine: Scope) -> Findings:
    """Retriers and catchers that never act."""
    raised = _raised_by_fail_states(machine)
    for state in machine.every_state():
        for path, handlers in _handlers(state):
            earlier: set[str] = set()
            for index, handler in enumerate(handlers):
                names = _names(handler)
                for name in names:
                    reason = "" if name in raised and state.scopes else why_impossible(name, state)
                    if reason := reason or why_shadowed(name, earlier):
                        message = f"'{name}' never matches here: {reason}"
                        at = (*path, index, "ErrorEquals")
                        yield warning("RETRY_CANNOT_OCCUR", message, at, "Remove the name, or correct it.")
                earlier.update(names)


def _raised_by_fail_states(machine: Scope) -> frozenset[str]:
    """The error names that Fail states write, reserved ones too (observed on published definitions)."""
    errors = (state.fields.get("Error") for state in machine.every_state() if state.type == "Fail")
    return frozenset(name for name in errors if isinstance(name, str))


def why_impossible(name: str, state: State) -> str:
    """Why a state itself never fails with this error; nothing where it may. What is inside it may still raise it."""
    if not name.startswith("States."):
        return ""
    if name == "States.Runtime":
        return "it can be neither retried nor caught"
    is_http = name.startswith("States.Http.")
    if name not in _PREDEFINED and not _HTTP_STATUS.fullmatch(name):
        return "there is no such predefined error, and names that begin with 'States.' are reserved"
    if state.is_distributed_map:
        # Its children are executions of their own, so none of their errors is its own.
        return next(
            (
                f"the Map has no {part}"
                for part in _PARTS
                if name == f"States.{part}Failed" and part not in state.fields
            ),
            "",
        )
    if state.type != "Task":
        return ""
    return next(
        (
            reason
            for applies, reason in (
                (name in _OF_CONTAINERS, "no Task fails with it"),
                (name in _OF_JSONPATH and state.language == "JSONata", "it belongs to JSONPath"),
                (name == "States.QueryEvaluationError" and state.language == "JSONPath", "it belongs to JSONata"),
                (is_http and not _is_http(state), "it belongs to HTTP tasks"),
                (name == "States.HeartbeatTimeout" and not _has_heartbeat(state), "the task has no heartbeat"),
            )
            if applies
        ),
        "",
    )


def _is_http(state: State) -> bool:
    written = state.fields.get("Resource")
    resource = parse_resource(written) if isinstance(written, str) else None
    return resource is None or resource.kind == "http"


def _has_heartbeat(state: State) -> bool:
    return "HeartbeatSeconds" in state.fields or "HeartbeatSecondsPath" in state.fields


def why_shadowed(name: str, earlier: set[str]) -> str:
    """Why a retrier or catcher never gets an error for which earlier ones name these; nothing where it may."""
    if name in earlier:
        return "an earlier element of the list names it"
    # ASL 'Error names': States.TaskFailed stands for any failure of a task but a timeout.
    if _TASK_FAILED in earlier and not name.startswith("States."):
        return f"'{_TASK_FAILED}' in an earlier element of the list includes it"
    return ""


_ERROR_FIELDS: Final = frozenset({"Error", "Cause"})
_INPUT_FIELD: Final = re.compile(r"\$states\s*\.\s*input\s*\.\s*([A-Za-z_]\w*)")


def dropped_input(machine: Scope) -> Findings:
    """Catchers that replace the data by the error, before a state that reads the data."""
    for scope in machine.every_scope():
        lost = {name: sorted(set(_fields_read(state)) - _ERROR_FIELDS) for name, state in scope.states.items()}
        for state in scope.states.values():
            for path, catcher in state.blocks("Catch"):
                target = str(catcher.get("Next"))
                if lost.get(target) and not _keeps_input(catcher, state):
                    names = ", ".join(lost[target])
                    message = f"The catcher passes on the error alone, and '{target}' reads {names} of its input"
                    yield warning("CATCH_DROPS_INPUT", message, path, _remedy(state))


def _keeps_input(catcher: Fields, state: State) -> bool:
    if state.language == "JSONata":
        return "Output" in catcher
    return catcher.get("ResultPath", "$") != "$"


def _remedy(state: State) -> str:
    if state.language == "JSONata":
        return "Set Output, for example `{% $merge([$states.input, {'error': $states.errorOutput}]) %}`."
    return 'Set ResultPath, for example "$.error", to keep the input beside the error.'


def _fields_read(state: State) -> Iterator[str]:
    """Fields of its input that a state cannot do without. A Choice may test for them first."""
    if state.type == "Choice":
        return
    for slot in slots(state):
        if slot.phase != "input" or (slot.kind and slot.kind.writes) or _is_after_work(slot.field, state):
            continue
        if slot.language == "JSONata":
            if "$exists" not in slot.text:
                yield from _INPUT_FIELD.findall(slot.text)
        else:
            yield from (_first_name(query.text) for query in reading(slot).queries if query.root == "input")


def _is_after_work(field: Path, state: State) -> bool:
    """Whether a field of the state sees its result instead of its input, or an input that InputPath cut."""
    return field[len(state.path)] in ("ResultSelector", "OutputPath", "Assign") or (
        "InputPath" in state.fields and field[len(state.path)] != "InputPath"
    )


def _first_name(text: str) -> str:
    match = re.match(r"\$\.([A-Za-z_]\w*)", text)
    return match.group(1) if match else "Error"

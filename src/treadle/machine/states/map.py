"""Map: run the same states for every item. ASL 'Map State'.

An inline Map runs its iterations as frames of this execution. A distributed one hands its items, or what reads them, to
a map run (map_run.py), whose children are executions of their own, and waits for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from treadle.language.plan import Distribution, MapPlan
from treadle.language.scope import Expr, Json, Scope
from treadle.machine.dataflow import taken
from treadle.machine.frame import Frame, child, map_item

if TYPE_CHECKING:
    from treadle.machine.interpreter import Interpreter


def run(machine: Interpreter, frame: Frame, state: MapPlan) -> None:
    """Find the items, then start."""
    given = taken(machine, frame, state)
    scope = machine.scope(frame, given)
    items: list[Json] | dict[str, Json] = [] if state.items is None else state.items(scope)
    note: dict[str, Any] = {"taken": given, "concurrency": 0}
    # AWS 2025-09: an object is mapped over as its keys and values.
    if isinstance(items, dict):
        note["keys"] = list(items)
        items = list(items.values())
    note["items"] = items
    if state.distribution is None:
        limit = 0 if state.max_concurrency is None else state.max_concurrency(scope)
        note["concurrency"] = limit or machine.limits.inline_concurrency
    machine.record(frame, "MapStateStarted", {"length": len(items)}, note)


def spawn(machine: Interpreter, frame: Frame, state: MapPlan) -> None:
    """Start the next iteration, or end when all have ended."""
    index = frame.started
    if index == len(frame.items):
        machine.record(frame, "MapStateSucceeded")
        return
    given = frame.items[index]
    if state.selector is not None:
        given = state.selector(machine.scope(frame, frame.taken, item=map_item(frame, index)))
    iteration = child(frame, index)
    machine.record(iteration, "MapIterationStarted", {"name": state.name, "index": index}, {"input": given})
    machine.wake(iteration)


def launch(machine: Interpreter, frame: Frame, state: MapPlan) -> None:
    """Start the map run of a distributed Map."""
    distribution = state.distribution
    identity = machine.execution.identity
    assert distribution is not None
    assert identity is not None
    settings = _settings(state, distribution, machine.scope(frame, frame.taken))
    head, _, machine_name = identity.machine_arn.rpartition(":stateMachine:")
    digits = f"{machine.random.getrandbits(128):032x}"
    unique = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    arn = f"{head}:mapRun:{machine_name.split(':')[0]}/{distribution.label}:{unique}"
    machine.record(frame, "MapRunStarted", {"mapRunArn": arn}, {"settings": settings})


def relaunch(machine: Interpreter, frame: Frame, state: MapPlan) -> None:
    """Redrive the map run."""
    run = frame.run
    assert run is not None
    details = {"mapRunArn": run.arn, "redriveCount": run.redrive + 1}
    machine.record(frame, "MapRunRedriven", details, {"settings": run.settings})


def _settings(state: MapPlan, distribution: Distribution, scope: Scope) -> dict[str, Json]:
    """All that the map run needs and that is evaluated in the parent."""

    def value(expr: Expr | None, otherwise: Json = None) -> Json:
        return otherwise if expr is None else expr(scope)

    reader, batcher, writer = distribution.reader, distribution.batcher, distribution.writer
    settings: dict[str, Json] = {
        "concurrency": value(state.max_concurrency, 0),
        "toleratedCount": value(distribution.tolerated_count),
        "toleratedPercentage": value(distribution.tolerated_percentage),
        "input": scope.input,
        "taken": scope.root,
        "variables": dict(scope.variables),
        "context": scope.context,
    }
    if reader is not None:
        settings["reader"] = {
            "resource": reader.resource.arn,
            "arguments": value(reader.arguments),
            "config": value(reader.config),
            "maxItems": value(reader.max_items),
        }
    if batcher is not None:
        settings["batcher"] = {
            "maxItems": value(batcher.max_items),
            "maxBytes": value(batcher.max_bytes),
            "input": value(batcher.input),
        }
    if writer is not None:
        settings["writer"] = {
            "resource": None if writer.resource is None else writer.resource.arn,
            "arguments": value(writer.arguments),
            "outputType": writer.output_type,
            "transformation": writer.transformation,
        }
    return settings

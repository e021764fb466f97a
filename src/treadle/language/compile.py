"""Definition text -> plan, or every finding of lint at once.

    text -> parse -> lint -> plan

Owns the shape of a plan. It never checks (lint.py has) and knows of the query languages only that there are two: what a
field means in each stands in jsonpath_slots.py and jsonata_slots.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, Literal

from treadle.errors import DefinitionError
from treadle.language import jsonata_slots, jsonpath_slots
from treadle.language.definition import parse
from treadle.language.lint import lint
from treadle.language.plan import (
    Batcher,
    ChoicePlan,
    Distribution,
    FailPlan,
    MapPlan,
    ParallelPlan,
    PassPlan,
    Plan,
    Reader,
    Retrier,
    StatePlan,
    SucceedPlan,
    TaskPlan,
    WaitPlan,
    Writer,
)
from treadle.language.resources import Resource, parse_resource
from treadle.language.slots import Fields, Slots

SLOTS: Final[dict[str, Slots]] = {"JSONPath": jsonpath_slots, "JSONata": jsonata_slots}


def compile_definition(text: str, type: Literal["STANDARD", "EXPRESS"] = "STANDARD") -> Plan:
    """Compile a definition, JSON or YAML. Raises DefinitionError with all diagnostics when AWS would refuse it."""
    definition, diagnostics = parse(text)
    if definition is not None:
        diagnostics = [*diagnostics, *lint(definition, type)]
    if definition is None or any(each.severity == "ERROR" for each in diagnostics):
        raise DefinitionError(diagnostics)
    return plan_of(definition.root)


def plan_of(machine: Fields) -> Plan:
    """The plan of a definition that has passed lint."""
    return _scope(machine, machine.get("QueryLanguage", "JSONPath"), machine.get("TimeoutSeconds"))


def _scope(scope: Fields, language: str, timeout: float | None = None) -> Plan:
    states = {name: _state(name, fields, language) for name, fields in scope["States"].items()}
    return Plan(scope["StartAt"], states, timeout)


def _state(name: str, fields: Fields, language: str) -> StatePlan:
    # A state's own QueryLanguage is for its own fields: inside it the machine's holds again.
    slots = SLOTS[fields.get("QueryLanguage", language)]
    flow = slots.dataflow(fields)
    shared: dict[str, Any] = {
        "name": name,
        "next": fields.get("Next"),
        "flow": flow,
        "plain": flow.plain,
        "retriers": tuple(_retrier(each) for each in fields.get("Retry", ())),
        "catchers": tuple(
            slots.catcher(each, f"Catch[{index}]/") for index, each in enumerate(fields.get("Catch", ()))
        ),
    }
    return _BUILDERS[fields["Type"]](fields, slots, language, shared)


def _retrier(fields: Fields) -> Retrier:
    """ASL 'Retrier Fields' gives the defaults."""
    return Retrier(
        errors=frozenset(fields["ErrorEquals"]),
        interval=fields.get("IntervalSeconds", 1),
        attempts=fields.get("MaxAttempts", 3),
        rate=fields.get("BackoffRate", 2.0),
        longest=fields.get("MaxDelaySeconds"),
        jitter=fields.get("JitterStrategy") == "FULL",
    )


def _resource(arn: str) -> Resource:
    resource = parse_resource(arn)
    assert resource is not None, "lint refuses other resources"
    return resource


def _pass(fields: Fields, slots: Slots, language: str, shared: dict[str, Any]) -> StatePlan:
    return PassPlan(result=(fields["Result"],) if "Result" in fields else None, **shared)


def _succeed(fields: Fields, slots: Slots, language: str, shared: dict[str, Any]) -> StatePlan:
    return SucceedPlan(**shared)


def _fail(fields: Fields, slots: Slots, language: str, shared: dict[str, Any]) -> StatePlan:
    return FailPlan(error=slots.text(fields, "Error"), cause=slots.text(fields, "Cause"), **shared)


def _wait(fields: Fields, slots: Slots, language: str, shared: dict[str, Any]) -> StatePlan:
    return WaitPlan(until=slots.until(fields), **shared)


def _choice(fields: Fields, slots: Slots, language: str, shared: dict[str, Any]) -> StatePlan:
    shared["next"] = fields.get("Default")
    rules = tuple(slots.rule(each, fields, f"Choices[{index}]/") for index, each in enumerate(fields["Choices"]))
    return ChoicePlan(rules=rules, **shared)


def _task(fields: Fields, slots: Slots, language: str, shared: dict[str, Any]) -> StatePlan:
    return TaskPlan(
        resource=_resource(fields["Resource"]),
        timeout=slots.seconds(fields, "TimeoutSeconds"),
        heartbeat=slots.seconds(fields, "HeartbeatSeconds"),
        credentials=slots.template_field(fields, "Credentials", ""),
        **shared,
    )


def _parallel(fields: Fields, slots: Slots, language: str, shared: dict[str, Any]) -> StatePlan:
    return ParallelPlan(branches=tuple(_scope(branch, language) for branch in fields["Branches"]), **shared)


def _map(fields: Fields, slots: Slots, language: str, shared: dict[str, Any]) -> StatePlan:
    processor = fields.get("ItemProcessor") or fields["Iterator"]
    config = processor.get("ProcessorConfig", {})
    distributed = config.get("Mode") == "DISTRIBUTED"
    return MapPlan(
        processor=_scope(processor, language),
        items=None if "ItemReader" in fields else slots.items(fields, distributed),
        selector=slots.selector(fields),
        max_concurrency=slots.number(fields, "MaxConcurrency", int, _not_negative_integer),
        distribution=_distribution(fields, slots, config, shared["name"]) if distributed else None,
        **shared,
    )


def _not_negative_integer(value: float) -> str | None:
    # Observed on AWS: a negative MaxConcurrency is told like one that is no integer.
    return 'The {name}Path field refers to value "{value}" which is not a valid {noun}: {path}' if value < 0 else None


def _not_negative(value: float) -> str | None:
    return "{name} cannot be negative." if value < 0 else None


def _percentage(value: float) -> str | None:
    return None if 0 <= value <= 100 else "{name} must be between 0 and 100."


def _distribution(fields: Fields, slots: Slots, config: Fields, name: str) -> Distribution:
    return Distribution(
        execution_type=config["ExecutionType"],
        label=fields.get("Label") or hashlib.sha256(name.encode()).hexdigest()[:32],
        reader=_optional(fields, "ItemReader", slots, _reader),
        batcher=_optional(fields, "ItemBatcher", slots, _batcher),
        writer=_optional(fields, "ResultWriter", slots, _writer),
        tolerated_count=slots.number(fields, "ToleratedFailureCount", int, _not_negative),
        tolerated_percentage=slots.number(fields, "ToleratedFailurePercentage", float, _percentage),
    )


def _optional(fields: Fields, name: str, slots: Slots, build: Callable[[Fields, Slots], Any]) -> Any:
    return build(fields[name], slots) if name in fields else None


def _reader(fields: Fields, slots: Slots) -> Reader:
    config: Fields = fields.get("ReaderConfig", {})
    numbers = ("MaxItems", "MaxItemsPath")
    plain = {"ReaderConfig": {key: value for key, value in config.items() if key not in numbers}}
    return Reader(
        resource=_resource(fields["Resource"]),
        arguments=slots.template_field(fields, slots.ARGUMENTS, "ItemReader/"),
        config=slots.template_field(plain, "ReaderConfig", "ItemReader/"),
        max_items=slots.number(config, "MaxItems", within="ItemReader/ReaderConfig/"),
    )


def _batcher(fields: Fields, slots: Slots) -> Batcher:
    return Batcher(
        max_items=slots.number(fields, "MaxItemsPerBatch", within="ItemBatcher/"),
        max_bytes=slots.number(fields, "MaxInputBytesPerBatch", within="ItemBatcher/"),
        input=slots.template_field(fields, "BatchInput", "ItemBatcher/"),
    )


def _writer(fields: Fields, slots: Slots) -> Writer:
    config: Fields = fields.get("WriterConfig", {})
    exported = "Resource" in fields
    return Writer(
        resource=_resource(fields["Resource"]) if exported else None,
        arguments=slots.template_field(fields, slots.ARGUMENTS, "ResultWriter/"),
        output_type=config.get("OutputType", "JSON"),
        transformation=config.get("Transformation", "NONE" if exported else "COMPACT"),
    )


_BUILDERS: Final[dict[str, Callable[[Fields, Slots, str, dict[str, Any]], StatePlan]]] = {
    "Pass": _pass,
    "Succeed": _succeed,
    "Fail": _fail,
    "Wait": _wait,
    "Choice": _choice,
    "Task": _task,
    "Parallel": _parallel,
    "Map": _map,
}

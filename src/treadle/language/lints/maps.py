"""What only Map states have: labels, processors, readers, batches and writers; and the list rules of Choice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from treadle.language.fields import DISTRIBUTED_ONLY
from treadle.language.lints.finding import Finding, error, warning
from treadle.language.lints.outline import Fields, Scope, State
from treadle.language.places import leaves
from treadle.language.values import is_number, is_object

Findings = Iterator[Finding]

LABEL_LIMIT: Final = 40
INLINE_CONCURRENCY: Final = 40
"""Iterations of an inline Map that AWS runs at once, whatever MaxConcurrency says."""

# AWS 'Map state in Distributed mode': Label.
_NOT_IN_LABELS: Final = re.compile(r"[\s?*<>{}\[\]:;,\\|^~$#%&`\"\x00-\x1f\x7f-\x9f]")


def _maps(machine: Scope) -> Iterator[State]:
    return (state for state in machine.every_state() if state.type == "Map")


def bad_labels(machine: Scope) -> Findings:
    """Labels become part of ARNs."""
    seen: set[str] = set()
    for state in _maps(machine):
        label, path = state.fields.get("Label"), (*state.path, "Label")
        if not isinstance(label, str):
            continue
        if not label:
            yield error("Label cannot be empty", path, "Write a label or remove the field.", code="INVALID_LABEL_NAME")
        elif len(label) > LABEL_LIMIT:
            message = f"The label has {len(label)} characters; the limit is {LABEL_LIMIT}"
            yield error(message, path, "Shorten it.", code="INVALID_LABEL_NAME")
        elif found := _NOT_IN_LABELS.search(label):
            message = f"The label must not have the character {found.group()!r}"
            yield error(message, path, "Use letters, digits, '-' and '_'.", code="INVALID_LABEL_NAME")
        elif label in seen:
            message = f"Duplicate label: {label}"
            yield error(message, path, "Give each Map a label of its own.", code="DUPLICATE_LABEL_NAME")
        seen.add(label)


def bad_processors(machine: Scope) -> Findings:
    """ASL 'Map State': a distributed processor says what its children are."""
    for state in _maps(machine):
        for scope in state.scopes:
            config = scope.fields.get("ProcessorConfig")
            if not is_object(config):
                continue
            path = (*scope.path, "ProcessorConfig")
            if scope.distributed and "ExecutionType" not in config:
                yield error("These fields are required: [ExecutionType]", path, "Set it to STANDARD or EXPRESS.")


def distributed_fields(machine: Scope) -> Findings:
    """Fields of DISTRIBUTED mode in an inline Map."""
    for state in _maps(machine):
        if state.is_distributed_map:
            continue
        remedy = "Set ProcessorConfig's Mode to DISTRIBUTED, or remove the field."
        for name in state.fields:
            if name in DISTRIBUTED_ONLY:
                message = f"Field '{name}' is not supported in INLINE mode"
                yield error(message, state.path, remedy, at=(*state.path, name))


def bad_batches(machine: Scope) -> Findings:
    """A batch has a limit, a writer something to write."""
    for state in _maps(machine):
        batcher = state.fields.get("ItemBatcher")
        if is_object(batcher) and not any(name.startswith("Max") for name in batcher):
            message = "One of these fields is required: [MaxItemsPerBatch, MaxInputBytesPerBatch]"
            yield error(message, (*state.path, "ItemBatcher"), "Say how large a batch may grow.")
        writer = state.fields.get("ResultWriter")
        if is_object(writer):
            yield from _writer(writer, state)


def _writer(writer: Fields, state: State) -> Findings:
    path = (*state.path, "ResultWriter")
    if not writer:
        yield error("Value cannot be empty", path, "Name a bucket, set WriterConfig, or remove the field.")
    elif ("Resource" in writer) != bool({"Parameters", "Arguments"} & writer.keys()):
        arguments = "Arguments" if state.language == "JSONata" else "Parameters"
        message = f"Resource and {arguments} must come together"
        yield error(message, path, f"Write both Resource and {arguments}, or WriterConfig alone.")


def wide_maps(machine: Scope) -> Findings:
    """More iterations at once than an inline Map runs."""
    for state in _maps(machine):
        most = state.fields.get("MaxConcurrency")
        if not state.is_distributed_map and is_number(most) and most > INLINE_CONCURRENCY:
            message = f"An inline Map runs about {INLINE_CONCURRENCY} iterations at once on AWS, not {most}"
            remedy = "Use Mode DISTRIBUTED for more, or lower MaxConcurrency."
            yield warning("INLINE_CONCURRENCY", message, (*state.path, "MaxConcurrency"), remedy)


def bad_rules(machine: Scope) -> Findings:
    """ASL 'Choice State': a comparison has a Variable; And, Or and Not have none, and hold no Next."""
    for state in machine.every_state():
        if state.type != "Choice" or state.language == "JSONata":
            continue
        for path, rule in state.blocks("Choices"):
            conditions = ((at, each) for at, each in leaves(_tests(rule), path) if is_object(each))
            for at, each in conditions:
                combined = {"And", "Or", "Not"} & each.keys()
                if not combined and "Variable" not in each:
                    yield error("These fields are required: [Variable]", at, "Name the value to compare.")


def _tests(rule: Fields) -> Fields:
    return {name: value for name, value in rule.items() if name not in ("Assign", "Output")}

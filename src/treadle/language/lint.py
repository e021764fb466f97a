"""Every rule that finds a fault in a definition.

Owns the list of rules and the way from a finding to a `Diagnostic`. Errors are exactly what AWS Step Functions refuses;
what it lets pass is at most a warning. Lint never raises, whatever the shape of the document. The rules themselves are
in `lints`, one idea per module; a new rule is one function there and one line here, with a section in
docs/reference/diagnostics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from treadle.language.definition import Definition, location
from treadle.language.diagnostics import Diagnostic
from treadle.language.lints import errors, flow, maps, queries, shape, tasks, variables
from treadle.language.lints.finding import Finding
from treadle.language.lints.outline import Scope, outline
from treadle.language.values import is_object

Rule = Callable[[Scope], Iterator[Finding]]

RULES: Final[tuple[Rule, ...]] = (
    shape.malformed,
    queries.mixed_languages,
    flow.bad_names,
    maps.bad_labels,
    maps.bad_processors,
    maps.distributed_fields,
    maps.bad_batches,
    maps.bad_rules,
    tasks.unknown_resources,
    tasks.express_limits,
    tasks.bad_credentials,
    errors.misplaced_wildcards,
    queries.bad_queries,
    variables.bad_variable_names,
    variables.shadowing,
    flow.missing_targets,
    flow.unreachable,
    flow.endless,
    queries.lookalikes,
    tasks.open_ended,
    tasks.late_heartbeats,
    tasks.missing_tokens,
    tasks.not_on_aws,
    maps.wide_maps,
    errors.impossible,
    errors.dropped_input,
)

# A field in the wrong place may hold the assignment or the reading that these rules would miss.
RULES_FOR_WELL_FORMED: Final[tuple[Rule, ...]] = (variables.unassigned, variables.unused)


def lint(definition: Definition, type: Literal["STANDARD", "EXPRESS"] = "STANDARD") -> list[Diagnostic]:
    """Everything that is wrong with a definition as a state machine of this type, the errors first."""
    if not is_object(definition.root):
        # Observed on AWS, with an empty location.
        message, remedy = "Definition must be a valid JSON object", "Write an object with StartAt and States."
        return [Diagnostic("ERROR", "INVALID_JSON_DESCRIPTION", message, "", *definition.place(()), remedy)]
    machine = outline(definition.root, type)
    findings = _apply(RULES, machine)
    if all(each.severity == "WARNING" for each in findings):
        findings += _apply(RULES_FOR_WELL_FORMED, machine)
    findings.sort(key=lambda each: each.severity == "WARNING")
    return [
        Diagnostic(each.severity, each.code, each.message, location(each.path), *definition.place(each.at), each.remedy)
        for each in findings
    ]


def _apply(rules: Iterable[Rule], machine: Scope) -> list[Finding]:
    return [finding for rule in rules for finding in rule(machine)]

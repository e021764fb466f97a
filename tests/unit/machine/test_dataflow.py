"""How data passes through states, and what is too large."""

from __future__ import annotations

from typing import Any

import pytest
from driven import chain, mapped, parallel, task

from treadle.machine.limits import Limits
from treadle.testing import run

FLOWS: list[tuple[str, dict[str, Any], Any]] = [
    ("nothing", {}, {"ok": 1}),
    ("InputPath", {"InputPath": "$.in", "ResultPath": None}, {"in": {"x": 1}, "n": 2}),
    ("ResultSelector", {"ResultSelector": {"picked.$": "$.ok"}}, {"picked": 1}),
    ("ResultPath", {"ResultPath": "$.r"}, {"in": {"x": 1}, "n": 2, "r": {"ok": 1}}),
    (
        "ResultPath after InputPath",
        {"InputPath": "$.in", "ResultPath": "$.r"},
        {"in": {"x": 1}, "n": 2, "r": {"ok": 1}},
    ),
    ("OutputPath", {"ResultPath": "$.r", "OutputPath": "$.r.ok"}, 1),
    ("OutputPath of null", {"OutputPath": None}, {}),
    (
        "all of them",
        {
            "InputPath": "$.in",
            "Parameters": {"given.$": "$.x"},
            "ResultSelector": {"s.$": "$.ok"},
            "ResultPath": "$.in.r",
            "OutputPath": "$.in",
        },
        {"x": 1, "r": {"s": 1}},
    ),
]


@pytest.mark.parametrize(("fields", "expected"), [row[1:] for row in FLOWS], ids=[row[0] for row in FLOWS])
def test_fields_apply_in_the_order_of_the_specification(fields: dict[str, Any], expected: Any) -> None:
    assert run(chain(T=task(**fields)), {"in": {"x": 1}, "n": 2}, {"T": {"ok": 1}}).output == expected


def test_a_task_is_given_what_input_path_and_parameters_make() -> None:
    given: list[Any] = []
    definition = chain(T=task(InputPath="$.in", Parameters={"given.$": "$.x", "fixed": 2}))
    run(definition, {"in": {"x": 1}}, {"T": given.append})
    assert given == [{"given": 1, "fixed": 2}]


def test_assigned_variables_are_seen_by_the_next_state_and_not_before() -> None:
    definition = chain(
        A={"Type": "Pass", "Assign": {"a": 1, "b": 2}},
        B={"Type": "Pass", "Assign": {"a.$": "$b", "b.$": "$a"}},
        C={"Type": "Pass", "Parameters": {"a.$": "$a", "b.$": "$b"}},
    )
    assert run(definition).output == {"a": 2, "b": 1}


def test_an_inner_scope_reads_outer_variables_and_keeps_its_own() -> None:
    inner = chain(
        I={"Type": "Pass", "Assign": {"inner.$": "$outer"}}, J={"Type": "Pass", "Parameters": {"v.$": "$inner"}}
    )
    definition = chain(A={"Type": "Pass", "Assign": {"outer": 7}}, P=parallel(inner))
    result = run(definition)
    assert result.output == [{"v": 7}]
    assert result.execution.root.variables == {"outer": 7}


def test_the_assign_of_a_rule_stands_in_for_that_of_its_choice() -> None:
    rule = {"Variable": "$.n", "IsPresent": True, "Next": "P", "Assign": {"v": "rule"}}
    definition = chain(
        C={"Type": "Choice", "Choices": [rule], "Default": "P", "Assign": {"v": "default"}},
        P={"Type": "Pass", "Parameters": {"v.$": "$v"}},
    )
    assert [run(definition, input).output for input in ({"n": 1}, {})] == [{"v": "rule"}, {"v": "default"}]


def test_jsonata_assign_and_output_both_see_values_as_of_the_entry() -> None:
    definition = chain(
        A={"Type": "Pass", "Assign": {"v": 1}},
        T=task(
            QueryLanguage="JSONata",
            Assign={"v": "{% $states.result.ok + 1 %}"},
            Output="{% {'was': $v, 'is': $states.result.ok} %}",
        ),
        P={"Type": "Pass", "Parameters": {"out.$": "$", "v.$": "$v"}},
    )
    assert run(definition, tasks={"T": {"ok": 1}}).output == {"out": {"was": 1, "is": 1}, "v": 2}


LARGE = "x" * 300
TOO_LARGE = [
    ("the output of a Pass", chain(S={"Type": "Pass", "Result": LARGE}), {}),
    ("the result of a task", chain(S=task()), {"S": LARGE}),
    ("the arguments of a task", chain(S=task(Parameters={"x": LARGE})), {}),
    ("a variable", chain(S={"Type": "Pass", "Assign": {"v": LARGE}}), {}),
    (
        "the results of a Map",
        chain(S=mapped(chain(I={"Type": "Pass", "Result": "x" * 100}), ItemsPath="$.items")),
        {},
    ),
]


@pytest.mark.parametrize(("definition", "tasks"), [row[1:] for row in TOO_LARGE], ids=[row[0] for row in TOO_LARGE])
def test_what_exceeds_the_payload_limit_ends_the_execution(definition: Any, tasks: dict[str, Any]) -> None:
    result = run(definition, {"items": [1, 2, 3]}, tasks, limits=Limits(payload_bytes=250))
    assert (result.status, result.error) == ("FAILED", "States.DataLimitExceeded")


def test_the_payload_limit_counts_bytes_and_not_characters() -> None:
    limits = Limits(payload_bytes=12)
    assert run(chain(S={"Type": "Pass", "Result": "é" * 5}), limits=limits).status == "SUCCEEDED"
    assert run(chain(S={"Type": "Pass", "Result": "é" * 6}), limits=limits).status == "FAILED"


def test_all_variables_together_have_a_limit() -> None:
    definition = chain(A={"Type": "Pass", "Assign": {"a": "x" * 60}}, B={"Type": "Pass", "Assign": {"b": "x" * 60}})
    limits = Limits(payload_bytes=100, variables_bytes=120)
    assert run(definition, limits=limits).error == "States.DataLimitExceeded"

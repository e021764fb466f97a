"""Retriers and catchers: which one an error meets, how long a retry waits, what a catcher leaves behind."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from driven import ACTIVITY, LAMBDA, TOKEN, Driven, chain, distributed, mapped, parallel, task

from treadle.machine.events import MapRunClosed, TaskErred, TaskPickedUp, TaskReturned, TimerDue
from treadle.machine.limits import Limits
from treadle.runtime.clock import START
from treadle.testing import Fails, InTurn, Never, Returns, run


def retrier(*errors: str, **fields: Any) -> dict[str, Any]:
    return {"ErrorEquals": list(errors), **fields}


def delays(*rules: dict[str, Any], answers: list[Any]) -> list[float]:
    """The seconds between the attempts of a task."""
    result = run(chain(T=task(Retry=list(rules))), tasks={"T": InTurn(answers)})
    starts = [entry.at for entry in result.journal if entry.type == "LambdaFunctionScheduled"]
    return [later - earlier for earlier, later in pairwise(starts)]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, [1, 2, 4]),
        ({"IntervalSeconds": 3, "MaxAttempts": 2}, [3, 6]),
        ({"BackoffRate": 1.0}, [1, 1, 1]),
        ({"BackoffRate": 1.5, "IntervalSeconds": 2}, [2, 3, 4.5]),
        ({"MaxDelaySeconds": 3, "MaxAttempts": 4}, [1, 2, 3, 3]),
        ({"MaxAttempts": 0}, []),
    ],
)
def test_a_retry_waits_interval_times_rate_to_the_power_of_its_number(
    rule: dict[str, Any], expected: list[float]
) -> None:
    assert delays(retrier("States.ALL", **rule), answers=[Fails("E")]) == expected


def test_a_rate_too_large_for_a_float_waits_as_long_as_it_may() -> None:
    rule = retrier("States.ALL", BackoffRate=1e200, MaxDelaySeconds=7)
    assert delays(rule, answers=[Fails("E")]) == [1, 7, 7]


def test_full_jitter_draws_once_between_nothing_and_the_delay_and_records_the_moment() -> None:
    driven = Driven(chain(T=task(Retry=[retrier("States.ALL", IntervalSeconds=100, JitterStrategy="FULL")])), seed=5)
    driven.give(TaskErred(driven.number(), "E"))
    at = driven.last("RetryScheduled").note["at"]
    assert START < at < START + 100
    assert driven.timer().at == at
    again = Driven(chain(T=task(Retry=[retrier("States.ALL")])), journal=driven.journal)
    assert again.timer().at == at


def test_every_retrier_has_a_counter_of_its_own() -> None:
    rules = (retrier("A", MaxAttempts=1), retrier("B", MaxAttempts=2, IntervalSeconds=5))
    answers = [Fails("B"), Fails("A"), Fails("B"), Fails("B")]
    assert delays(*rules, answers=answers) == [5, 1, 10]


def test_a_retrier_that_is_used_up_does_not_hand_over_to_a_later_one() -> None:
    rules = (retrier("A", MaxAttempts=1), retrier("States.ALL", MaxAttempts=5))
    assert delays(*rules, answers=[Fails("A")]) == [1]


def test_counters_begin_again_with_the_next_visit_of_the_state() -> None:
    definition = chain(
        T=task(Retry=[retrier("A", MaxAttempts=1)], Next="C", ResultPath="$.n"),
        C={"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "T"}], "Default": "S"},
        S={"Type": "Succeed"},
    )
    result = run(definition, tasks={"T": InTurn([Fails("A"), 1, Fails("A"), 2])})
    assert result.status == "SUCCEEDED"
    assert [entry.note["retrier"] for entry in result.journal if entry.type == "RetryScheduled"] == [0, 0]


def test_a_retried_map_starts_all_its_iterations_again() -> None:
    definition = chain(M=mapped(chain(I=task()), ItemsPath="$.items", MaxConcurrency=1, Retry=[retrier("States.ALL")]))
    result = run(definition, {"items": [1, 2]}, {"I": InTurn([1, Fails("E"), 10, 20])})
    assert result.output == [10, 20]


def test_a_retry_of_a_distributed_map_starts_a_new_map_run() -> None:
    driven = Driven(chain(M=distributed(ItemsPath="$.items", Retry=[retrier("E")])), {"items": [1]})
    first = driven.run()
    driven.give(MapRunClosed(first.wait, error="E"))
    driven.give(TimerDue(driven.number()))
    assert driven.run().arn != first.arn
    assert driven.run().redrive == 0


# ---- which names match -------------------------------------------------------------------------------------------

TIMEOUT, HEARTBEAT = "timeout", "heartbeat"
TOO_LARGE = Returns("x" * 300)


def caught_by(answer: Any, *names: str, kind: str = "Catch") -> bool:
    """Whether a catcher, or retrier, of these names takes what a task brings."""
    rule: dict[str, Any] = {"ErrorEquals": list(names)}
    fields = {"Catch": [{**rule, "Next": "Caught"}]} if kind == "Catch" else {"Retry": [{**rule, "MaxAttempts": 1}]}
    definition = chain(T=task(TOKEN, HeartbeatSeconds=50, TimeoutSeconds=100, **fields), Caught={"Type": "Succeed"})
    driven = Driven(definition, limits=Limits(payload_bytes=250))
    number = driven.number()
    match answer:
        case "timeout" | "heartbeat":
            driven.give(TimerDue(number, answer))
        case Returns(value):
            driven.give(TaskReturned(number, value))
        case _:
            driven.give(TaskErred(number, answer))
    return driven.status == "SUCCEEDED" if kind == "Catch" else driven.status == "RUNNING"


MATCHES = [
    ("E", ["E"], True),
    ("E", ["F"], False),
    ("E", ["F", "E"], True),
    ("E", ["States.ALL"], True),
    ("E", ["States.TaskFailed"], True),
    (None, ["States.ALL"], True),
    (None, ["States.TaskFailed"], True),
    ("States.TaskFailed", ["States.TaskFailed"], True),
    ("States.Permissions", ["States.TaskFailed"], True),
    (TIMEOUT, ["States.Timeout"], True),
    (TIMEOUT, ["States.ALL"], True),
    (TIMEOUT, ["States.TaskFailed"], False),
    (TIMEOUT, ["States.HeartbeatTimeout"], False),
    (HEARTBEAT, ["States.HeartbeatTimeout"], True),
    (HEARTBEAT, ["States.Timeout"], True),
    (HEARTBEAT, ["States.ALL"], True),
    (HEARTBEAT, ["States.TaskFailed"], False),
    (TOO_LARGE, ["States.DataLimitExceeded"], True),
    (TOO_LARGE, ["States.ALL"], True),
    ("States.Runtime", ["States.Runtime"], False),
    ("States.Runtime", ["States.ALL"], False),
    ("States.Runtime", ["States.TaskFailed"], False),
]


@pytest.mark.parametrize("kind", ["Catch", "Retry"])
@pytest.mark.parametrize(("answer", "names", "expected"), MATCHES)
def test_error_names_match_as_on_aws(answer: Any, names: list[str], expected: bool, kind: str) -> None:
    assert caught_by(answer, *names, kind=kind) is expected


MISSING_INDEX = {"Parameters": {"x.$": "States.ArrayGetItem($.a, 9)"}}
UNDEFINED = {"QueryLanguage": "JSONata", "Arguments": "{% $no.no %}"}
FLOWS = [
    ({"Parameters": {"x.$": "$.missing"}}, "States.ALL", False),
    ({"Parameters": {"x.$": "$.missing"}}, "States.Runtime", False),
    (MISSING_INDEX, "States.IntrinsicFailure", True),
    (MISSING_INDEX, "States.ALL", True),
    (UNDEFINED, "States.QueryEvaluationError", True),
    (UNDEFINED, "States.ALL", True),
]


@pytest.mark.parametrize(("fields", "name", "expected"), FLOWS)
def test_failures_of_the_data_flow_match_as_on_aws(fields: dict[str, Any], name: str, expected: bool) -> None:
    catch = {"Catch": [{"ErrorEquals": [name], "Next": "Caught"}]}
    driven = Driven(chain(T=task(**fields, **catch), Caught={"Type": "Succeed"}), {"a": [1]})
    assert (driven.status == "SUCCEEDED") is expected


def test_an_output_that_is_too_large_is_final() -> None:
    definition = chain(
        P=parallel(
            chain(B={"Type": "Pass", "Result": "x" * 300}),
            Catch=[{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "C"}],
        ),
        C={"Type": "Succeed"},
    )
    result = run(definition, limits=Limits(payload_bytes=200))
    assert (result.status, result.error) == ("FAILED", "States.DataLimitExceeded")


@pytest.mark.parametrize("container", ["parallel", "map"])
@pytest.mark.parametrize(("answer", "expected"), [(Fails("E"), True), (Never(), False)])
def test_task_failed_matches_a_task_inside_a_map_or_parallel(container: str, answer: Any, expected: bool) -> None:
    inner = chain(I=task(TimeoutSeconds=3))
    outer = parallel(inner) if container == "parallel" else mapped(inner, ItemsPath="$.items")
    definition = chain(
        O={**outer, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "C"}]}, C={"Type": "Succeed"}
    )
    assert (run(definition, {"items": [1]}, {"I": answer}).status == "SUCCEEDED") is expected


def test_task_failed_does_not_match_a_fail_state_inside_a_parallel() -> None:
    definition = chain(
        O=parallel(
            chain(I={"Type": "Fail", "Error": "E"}), Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "C"}]
        ),
        C={"Type": "Succeed"},
    )
    assert run(definition).status == "FAILED"


# ---- what a catcher leaves ---------------------------------------------------------------------------------------

OUTPUTS = [
    ({}, {"Error": "E", "Cause": "C"}),
    ({"ResultPath": "$.e"}, {"a": 1, "e": {"Error": "E", "Cause": "C"}}),
    ({"ResultPath": None}, {"a": 1}),
]


@pytest.mark.parametrize(("fields", "expected"), OUTPUTS)
def test_a_catcher_places_error_and_cause(fields: dict[str, Any], expected: Any) -> None:
    definition = chain(
        T=task(Catch=[{"ErrorEquals": ["E"], "Next": "S", **fields}]),
        S={"Type": "Succeed"},
    )
    assert run(definition, {"a": 1}, {"T": Fails("E", "C")}).output == expected


def test_a_cause_that_is_absent_is_caught_as_an_empty_one() -> None:
    definition = chain(T=task(Catch=[{"ErrorEquals": ["E"], "Next": "S"}]), S={"Type": "Succeed"})
    assert run(definition, tasks={"T": Fails("E")}).output == {"Error": "E", "Cause": ""}


def test_the_first_catcher_that_matches_wins() -> None:
    catchers = [{"ErrorEquals": ["A"], "Next": "X"}, {"ErrorEquals": ["E"], "Next": "Y"}]
    definition = chain(T=task(Catch=catchers), X={"Type": "Succeed"}, Y={"Type": "Succeed"})
    assert run(definition, tasks={"T": Fails("E")}).path == ["T", "Y"]


def test_a_catchers_assign_is_seen_by_the_next_state() -> None:
    definition = chain(
        T=task(Catch=[{"ErrorEquals": ["E"], "Next": "S", "Assign": {"e.$": "$.Error"}}]),
        S={"Type": "Pass", "Parameters": {"was.$": "$e"}},
    )
    assert run(definition, tasks={"T": Fails("E")}).output == {"was": "E"}


def test_a_catcher_of_a_map_assigns_in_the_outer_scope() -> None:
    definition = chain(
        M=mapped(chain(I=task()), ItemsPath="$.items", Catch=[{"ErrorEquals": ["E"], "Next": "S", "Assign": {"v": 1}}]),
        S={"Type": "Pass", "Parameters": {"v.$": "$v"}},
    )
    assert run(definition, {"items": [1]}, {"I": Fails("E")}).output == {"v": 1}


def test_a_catcher_whose_own_output_fails_does_not_catch_itself() -> None:
    catcher = {"ErrorEquals": ["States.ALL"], "Next": "S", "Output": "{% $nothing.there %}"}
    definition = chain(T=task(QueryLanguage="JSONata", Catch=[catcher]), S={"Type": "Succeed"})
    result = run(definition, tasks={"T": Fails("E")})
    assert (result.status, result.error) == ("FAILED", "States.QueryEvaluationError")


def test_a_map_says_once_that_it_failed_though_its_catcher_fails_too() -> None:
    catcher = {"ErrorEquals": ["States.ALL"], "Next": "S", "Output": "{% $nothing.there %}"}
    inner = chain(I={"Type": "Fail", "QueryLanguage": "JSONata", "Error": "E"})
    definition = chain(
        M=mapped(inner, QueryLanguage="JSONata", Items=[1], Catch=[catcher]),
        S={"Type": "Succeed"},
    )
    types = [event["type"] for event in run(definition).history]
    assert types.count("MapStateFailed") == 1
    assert types[-3:] == ["MapStateFailed", "EvaluationFailed", "ExecutionFailed"]


def test_retry_is_asked_before_catch() -> None:
    definition = chain(
        T=task(
            Retry=[retrier("E", MaxAttempts=1)],
            Catch=[{"ErrorEquals": ["E"], "Next": "S"}],
        ),
        S={"Type": "Succeed"},
    )
    result = run(definition, tasks={"T": Fails("E")})
    assert [entry.type for entry in result.journal].count("LambdaFunctionFailed") == 2
    assert result.status == "SUCCEEDED"


@pytest.mark.parametrize("resource", [LAMBDA, TOKEN, ACTIVITY])
def test_every_attempt_has_a_wait_and_a_token_of_its_own(resource: str) -> None:
    driven = Driven(chain(T=task(resource, Retry=[retrier("States.ALL")])))
    first = driven.task()
    driven.give(TaskPickedUp(first.wait))
    driven.give(TaskErred(first.wait, "E"))
    driven.give(TimerDue(driven.number()))
    second = driven.task()
    assert second.wait != first.wait
    assert (second.attempt, first.attempt) == (1, 0)
    assert (second.token == first.token) == (resource == LAMBDA)

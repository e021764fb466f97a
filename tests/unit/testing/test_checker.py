"""The history checker: good journals pass, and every rule trips when a journal is bent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from treadle.language.compile import plan_of
from treadle.machine.events import RedriveRequested
from treadle.machine.journal import Entry
from treadle.testing import Fails, InTurn, Never, World, run
from treadle.testing.checker import BrokenHistory, check_journal

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
RETRY = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]
INNER = {"StartAt": "I", "States": {"I": {"Type": "Task", "Resource": LAMBDA, "End": True}}}
BRANCH = {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 5, "End": True}}}
OTHER = {"StartAt": "C", "States": {"C": {"Type": "Task", "Resource": LAMBDA, "End": True}}}


def of(**states: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


PASS = of(P={"Type": "Pass", "Next": "Q"}, Q={"Type": "Pass", "End": True})
TASK = of(T={"Type": "Task", "Resource": LAMBDA, "Retry": RETRY, "End": True})
WAIT = of(W={"Type": "Wait", "Seconds": 5, "End": True})
MAP = of(M={"Type": "Map", "MaxConcurrency": 2, "ItemProcessor": INNER, "End": True})
PARALLEL = of(X={"Type": "Parallel", "Branches": [BRANCH, OTHER], "End": True})
EVALUATION = of(E={"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $x.y %}", "End": True})
DISTRIBUTED = of(
    D={
        "Type": "Map",
        "ItemProcessor": {**INNER, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
        "End": True,
    }
)


def journal_of(definition: dict[str, Any], tasks: dict[str, Any] | None = None) -> list[Entry]:
    return list(run(definition, [1, 2, 3], tasks).journal)


GOOD: dict[str, list[Entry]] = {
    "pass": journal_of(PASS),
    "task": journal_of(TASK, {"T": 1}),
    "retried": journal_of(TASK, {"T": InTurn([Fails("E"), 1])}),
    "failed": journal_of(TASK, {"T": Fails("E")}),
    "wait": journal_of(WAIT),
    "map": journal_of(MAP, {"I": 1}),
    "failed map": journal_of(MAP, {"I": InTurn([Never(), Fails("E")])}),
    "parallel": journal_of(PARALLEL, {"C": 1}),
    "failed parallel": journal_of(PARALLEL, {"C": Fails("E")}),
    "evaluation": journal_of(EVALUATION),
    "distributed": journal_of(DISTRIBUTED, {"I": 1}),
}
PLANS = {"retried": plan_of(TASK), "failed": plan_of(TASK), "task": plan_of(TASK)}


@pytest.mark.parametrize("name", GOOD)
def test_what_the_machine_writes_passes(name: str) -> None:
    check_journal(GOOD[name], PLANS.get(name))


def test_a_redriven_execution_passes() -> None:
    world = World({"I": InTurn([1, Fails("E"), 1])})
    started = world.start(MAP, [1, 2, 3])
    world.run()
    world.send(started, RedriveRequested())
    world.run()
    assert started.status == "SUCCEEDED"
    check_journal(started.journal, plan_of(MAP))


# ---- bending -----------------------------------------------------------------------------------------------------

Bend = Callable[[list[Entry]], list[Entry]]


def place(journal: list[Entry], type: str, nth: int = 0) -> int:
    return [index for index, entry in enumerate(journal) if entry.type == type][nth]


def renumbered(journal: list[Entry]) -> list[Entry]:
    """Ids dense again, so that nothing but what was bent is wrong; links keep naming the event they named."""
    ids = {0: 0}
    for entry in journal:
        if entry.id:
            ids.setdefault(entry.id, len(ids))
    given = iter(range(1, len(journal) + 1))
    return [
        msgspec.structs.replace(
            entry, id=next(given) if entry.id else 0, previous=min(ids.get(entry.previous, 0), max(ids.values()))
        )
        for entry in journal
    ]


def change(changed: str, nth: int = 0, /, **fields: Any) -> Bend:
    def bend(journal: list[Entry]) -> list[Entry]:
        index = place(journal, changed, nth)
        return [*journal[:index], msgspec.structs.replace(journal[index], **fields), *journal[index + 1 :]]

    return bend


def drop(type: str, nth: int = 0) -> Bend:
    def bend(journal: list[Entry]) -> list[Entry]:
        index = place(journal, type, nth)
        return renumbered([*journal[:index], *journal[index + 1 :]])

    return bend


def repeat(type: str, nth: int = 0) -> Bend:
    def bend(journal: list[Entry]) -> list[Entry]:
        index = place(journal, type, nth)
        return renumbered([*journal[: index + 1], *journal[index:]])

    return bend


def swap(type: str, nth: int = 0) -> Bend:
    """The entry and the one after it change places."""

    def bend(journal: list[Entry]) -> list[Entry]:
        index = place(journal, type, nth)
        first, second = journal[index : index + 2]
        second = msgspec.structs.replace(second, at=first.at)
        return renumbered([*journal[:index], second, first, *journal[index + 2 :]])

    return bend


def append(type: str, **fields: Any) -> Bend:
    def bend(journal: list[Entry]) -> list[Entry]:
        last = journal[-1]
        entry = msgspec.structs.replace(last, type=type, id=last.id + 1, previous=last.id, **fields)
        return [*journal, entry]

    return bend


BENT: list[tuple[str, str, Bend, str]] = [
    ("time that runs backwards", "task", change("LambdaFunctionSucceeded", at=0.0), "time runs backwards"),
    ("a type that does not exist", "pass", change("PassStateExited", type="PassStateLeft"), "no such type"),
    ("a hidden entry with an id", "wait", change("TimerFired", id=4), "a hidden entry has no id"),
    ("a gap in the ids", "pass", change("PassStateExited", id=9), "ids are dense"),
    ("a link to the future", "pass", change("PassStateExited", previous=9), "previousEventId points back"),
    ("no beginning", "pass", drop("ExecutionStarted"), "comes first and once"),
    ("two beginnings", "pass", repeat("ExecutionStarted"), "comes first and once"),
    ("an event after the end", "pass", repeat("ExecutionSucceeded"), "nothing but a redrive follows the end"),
    (
        "a redrive of what succeeded",
        "pass",
        append("ExecutionRedriven", details={"redriveCount": 1}),
        "only what ended unhappily",
    ),
    (
        "a redrive that is not counted",
        "failed",
        append("ExecutionRedriven", details={"redriveCount": 2}),
        "redrives are counted",
    ),
    ("an end of an inner scope", "map", change("ExecutionSucceeded", frame=(0,)), "the execution is the outermost"),
    ("a scope that nobody started", "pass", change("PassStateEntered", frame=(0,)), "no such scope is running"),
    ("two states at once", "pass", drop("PassStateExited"), "has been entered and not left"),
    ("an exit from nowhere", "pass", drop("PassStateEntered"), "has not been entered"),
    ("two exits", "pass", repeat("PassStateExited"), "has not been entered"),
    (
        "an exit from another state",
        "pass",
        change("PassStateExited", details={"name": "Z", "output": 1}),
        "Pass Z has not been entered",
    ),
    ("an exit of another type", "pass", change("PassStateExited", type="WaitStateExited"), "has not been entered"),
    ("an end with a state open", "pass", drop("PassStateExited", 1), "state Q is still open"),
    ("an exit while the task runs", "task", drop("LambdaFunctionSucceeded"), "not left in phase started"),
    ("a task that was not scheduled", "task", drop("LambdaFunctionScheduled"), "does not follow in phase fresh"),
    ("a task that did not start", "task", drop("LambdaFunctionStarted"), "does not follow in phase scheduled"),
    ("a task that starts twice", "task", repeat("LambdaFunctionStarted"), "does not follow in phase started"),
    ("a task that succeeds twice", "task", repeat("LambdaFunctionSucceeded"), "does not follow in phase succeeded"),
    ("a task in a Pass", "pass", change("PassStateExited", type="TaskScheduled"), "belongs to a Task"),
    ("a new attempt without a retry", "retried", drop("RetryScheduled"), "a timer was started"),
    ("a retry that does not wait", "retried", drop("TimerFired"), "does not follow in phase retrying"),
    ("a retry of a task that runs", "retried", swap("LambdaFunctionFailed"), "no retry in phase started"),
    (
        "more retries than allowed",
        "retried",
        change("RetryScheduled", note={"retrier": 1, "at": 1e12}),
        "the state has that retrier",
    ),
    ("a retry in the past", "retried", change("RetryScheduled", note={"retrier": 0, "at": 0}), "a retry comes later"),
    ("a Wait that does not wait", "wait", drop("WaitScheduled"), "a timer was started"),
    ("a Wait left too early", "wait", drop("TimerFired"), "not left in phase waiting"),
    ("an iteration out of turn", "map", change("MapIterationStarted", 1, frame=(2,)), "in the order of the items"),
    (
        "an iteration with another's index",
        "map",
        change("MapIterationStarted", 1, details={"name": "M", "index": 2}),
        "in the order of the items",
    ),
    (
        "an iteration of another Map",
        "map",
        change("MapIterationStarted", details={"name": "N", "index": 0}),
        "is named by its Map",
    ),
    (
        "more iterations than items",
        "map",
        change("MapStateStarted", details={"length": 2}),
        "an item for every iteration",
    ),
    ("an iteration too few", "map", change("MapStateStarted", details={"length": 4}), "every iteration has succeeded"),
    (
        "a Map that succeeds while an iteration runs",
        "map",
        drop("MapIterationSucceeded", 2),
        "what runs inside has ended",
    ),
    (
        "an iteration that ends as another",
        "map",
        change("MapIterationSucceeded", details={"name": "M", "index": 2}),
        "an iteration is named by its index",
    ),
    ("an iteration that ends in a state", "map", drop("TaskStateExited"), "is still open"),
    ("a Map left while it runs", "map", drop("MapStateSucceeded"), "a Map that is through says so"),
    ("an iteration that ends twice", "map", repeat("MapIterationSucceeded"), "no such scope is running"),
    ("a Map without a start", "map", drop("MapStateStarted"), "the Map has started"),
    ("a failure without its siblings' end", "failed map", drop("MapIterationAborted"), "is aborted first"),
    ("an abort of what is not there", "failed map", change("TaskStateAborted", type="WaitStateAborted"), "is open"),
    ("two aborts", "failed map", repeat("TaskStateAborted"), "aborted once"),
    ("a life after the abort", "failed map", repeat("MapIterationAborted"), "nothing happens in a scope after its end"),
    (
        "an abort that points elsewhere",
        "failed map",
        change("TaskStateAborted", previous=1),
        "previousEventId is one of",
    ),
    (
        "a failed task shown as aborted in a Map",
        "failed map",
        change("TaskStateAborted", frame=(1,)),
        "nothing happens in a scope after its end",
    ),
    (
        "a branch that ends twice",
        "parallel",
        repeat("BranchSucceeded"),
        "a scope has one state at least",
    ),
    ("a branch that ends unseen", "parallel", drop("BranchSucceeded"), "what runs inside has ended"),
    (
        "a branch that goes on beside a failure",
        "failed parallel",
        change("WaitStateAborted", type="EvaluationFailed", details={"state": "B"}),
        "beside a failure all is aborted",
    ),
    (
        "a Parallel that fails by itself",
        "parallel",
        change("ParallelStateSucceeded", type="ParallelStateFailed"),
        "does not follow in phase running",
    ),
    (
        "an iteration in a Parallel",
        "parallel",
        change("BranchSucceeded", type="MapIterationSucceeded", id=8),
        "",
    ),
    (
        "an evaluation in another state",
        "evaluation",
        change("EvaluationFailed", details={"state": "Z"}),
        "the failing state is open",
    ),
    ("an EvaluationFailed with a link", "evaluation", change("EvaluationFailed", previous=2), "is one of [0]"),
    ("a first state with a link", "pass", change("PassStateEntered", previous=1), "is one of [0], not 1"),
    ("a state that points past its predecessor", "pass", change("PassStateEntered", 1, previous=2), "is one of [3]"),
    ("a link to MapStateSucceeded", "map", change("MapStateExited", previous=29), ""),
    ("an iteration that points elsewhere", "map", change("MapIterationStarted", 2, previous=3), "is one of"),
    ("a map run that never started", "distributed", drop("MapRunStarted"), "does not follow in phase running"),
    ("a map run that never ended", "distributed", drop("MapRunSucceeded"), "does not follow in phase launched"),
]


@pytest.mark.parametrize(("name", "bend", "rule"), [row[1:] for row in BENT], ids=[row[0] for row in BENT])
def test_a_bent_journal_breaks_the_rule(name: str, bend: Bend, rule: str) -> None:
    with pytest.raises(BrokenHistory) as broken:
        check_journal(bend(GOOD[name]), PLANS.get(name))
    assert rule in str(broken.value)


def test_a_plan_bounds_the_retries() -> None:
    rules = of(T={"Type": "Task", "Resource": LAMBDA, "Retry": [{**RETRY[0], "MaxAttempts": 0}], "End": True})
    with pytest.raises(BrokenHistory, match="no more retries than MaxAttempts"):
        check_journal(GOOD["retried"], plan_of(rules))


def test_a_plan_knows_the_types_of_its_states() -> None:
    with pytest.raises(BrokenHistory, match="P is no Pass"):
        check_journal(GOOD["pass"], plan_of(of(P={"Type": "Succeed"}, Q={"Type": "Pass", "End": True})))


def test_a_broken_history_says_which_entry() -> None:
    with pytest.raises(BrokenHistory, match=r"entry 3, PassStateExited \(id 9\) of frame \(\): ids are dense"):
        check_journal(change("PassStateExited", id=9)(GOOD["pass"]))

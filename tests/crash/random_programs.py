"""Random programs for the crash properties: definitions as ASL, built so that a failing one shrinks.

Whatever is wrong with a definition shows at run time alone, as it would on AWS. Small limits keep every run short: a
loop ends when the history is full, a payload that doubles when it is too large.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import strategies as st

from treadle.language.compile import plan_of
from treadle.language.plan import Plan
from treadle.machine.limits import Limits

Draw = Callable[[st.SearchStrategy[Any]], Any]
State = dict[str, Any]

DEPTH = 2
"""How deep Map and Parallel may be nested."""


@dataclass(frozen=True)
class Program:
    """What one random execution runs."""

    definition: dict[str, Any]
    input: Any
    limits: Limits

    @property
    def plan(self) -> Plan:
        """The compiled definition."""
        return plan_of(self.definition)


@st.composite
def lucks(draw: Draw) -> bytes:
    """What happens to a program, as bytes for a world to draw from; the simplest is that all goes well."""
    return random.Random(draw(st.integers(0, 2**32))).randbytes(draw(st.sampled_from((0, 40, 400, 400, 400))))


@st.composite
def programs(draw: Draw) -> Program:
    """A random program; the simplest is a single Pass."""
    definition = _scope(draw, 0, count())
    if _chance(draw, 15):
        definition["TimeoutSeconds"] = draw(st.integers(3, 40))
    items = [{"n": n} for n in range(draw(st.integers(0, 4)))]
    limits = Limits(
        payload_bytes=draw(st.sampled_from((4_000, 4_000, 250))),
        history_events=draw(st.sampled_from((160, 160, 50, 12))),
        inline_concurrency=draw(st.sampled_from((40, 2))),
        variables_bytes=draw(st.sampled_from((100_000, 300))),
    )
    return Program(definition, {"items": items, "short": items[:2], "far": "2026-01-01T00:00:09Z"}, limits)


def _chance(draw: Draw, percent: int) -> bool:
    return draw(st.integers(0, 99)) >= 100 - percent


def _one_of(draw: Draw, usual: tuple[State, ...], failing: tuple[State, ...] = ()) -> State:
    """Some fields; now and then such as fail at run time."""
    return draw(st.sampled_from(failing if failing and _chance(draw, 8) else usual))


# ---- scopes ------------------------------------------------------------------------------------------------------


def _scope(draw: Draw, depth: int, numbers: Iterator[int]) -> dict[str, Any]:
    names = [f"S{next(numbers)}" for _ in range(draw(st.integers(1, 4 - depth)))]
    states: dict[str, State] = {}
    for index, name in enumerate(names):
        following = names[index + 1] if index + 1 < len(names) else None
        kinds = _INNER if depth >= DEPTH else _KINDS
        if following is not None:
            kinds += ("Choice",)
        elif _chance(draw, 30):
            kinds = ("Succeed", "Fail")
        states[name] = _KIND[draw(st.sampled_from(kinds))](draw, _Place(depth, numbers, tuple(names), following))
    # Explicit, since the states inside a JSONata Map or Parallel would be JSONata too.
    states = {name: {"QueryLanguage": "JSONPath", **each} for name, each in states.items()}
    return {"StartAt": names[0], "States": states}


@dataclass(frozen=True)
class _Place:
    """Where a state stands: what it may name."""

    depth: int
    numbers: Iterator[int]
    names: tuple[str, ...]
    following: str | None

    @property
    def onward(self) -> State:
        return {"End": True} if self.following is None else {"Next": self.following}

    @property
    def variable(self) -> str:
        """The variable that states of this depth assign; inner scopes read the outer ones."""
        return f"v{self.depth}"


def _readable(draw: Draw, place: _Place) -> str:
    return f"$v{draw(st.integers(0, place.depth))}"


# ---- states ------------------------------------------------------------------------------------------------------


def _pass(draw: Draw, place: _Place) -> State:
    usual = (
        {},
        {"Result": {"n": 1}},
        {"Result": {"n": [1, 2]}, "ResultPath": None},
        {"Parameters": {"id.$": "States.UUID()", "was.$": "$"}},
        {"Assign": {place.variable: "set"}},
        {"Assign": {f"{place.variable}.$": "$"}},
        {"QueryLanguage": "JSONata", "Output": "{% {'u': $uuid(), 'r': $random()} %}"},
        {"QueryLanguage": "JSONata", "Assign": {place.variable: "{% $states.context.State.EnteredTime %}"}},
    )
    failing = (
        {"Result": [1, 2], "ResultPath": "$.r"},
        {"Parameters": {"read.$": _readable(draw, place)}},
        {"Result": "x" * 300},
        {"OutputPath": "$.missing"},
        {"QueryLanguage": "JSONata", "Output": "{% $states.input.missing %}"},
    )
    extra = _one_of(draw, usual, failing)
    return {"Type": "Pass", **extra, **place.onward}


def _wait(draw: Draw, place: _Place) -> State:
    usual = (
        {"Seconds": 1},
        {"Seconds": 0},
        {"Seconds": 20},
        {"Timestamp": "2026-01-01T00:00:05Z"},
        {"TimestampPath": "$$.Execution.Input.far"},
        {"Seconds": 2, "Assign": {place.variable: "waited"}},
    )
    failing = (
        {"SecondsPath": "$.missing"},
        {"QueryLanguage": "JSONata", "Seconds": "{% $states.input.missing %}"},
        {"Seconds": 1, "OutputPath": "$.missing"},
    )
    until = _one_of(draw, usual, failing)
    return {"Type": "Wait", **until, **place.onward}


def _choice(draw: Draw, place: _Place) -> State:
    target = draw(st.sampled_from(place.names[-1:] if _chance(draw, 60) else place.names))
    default = {} if _chance(draw, 10) else {"Default": place.following}
    if _chance(draw, 30):
        rule = {"Condition": "{% $random() < 0.5 %}", "Next": target, "Assign": {place.variable: "{% $uuid() %}"}}
        return {"Type": "Choice", "QueryLanguage": "JSONata", "Choices": [rule], **default}
    variable = draw(st.sampled_from(("$.n", "$.r", "$$.State.Name")))
    rules = [{"Variable": variable, "IsPresent": draw(st.booleans()), "Next": target}]
    if _chance(draw, 10):
        rules[0] = {"Variable": variable, "NumericGreaterThan": 1, "Next": target}
    return {"Type": "Choice", "Choices": rules, **default}


def _succeed(draw: Draw, place: _Place) -> State:
    return {"Type": "Succeed", **_one_of(draw, ({}, {"InputPath": None}), ({"OutputPath": "$.missing"},))}


def _fail(draw: Draw, place: _Place) -> State:
    told = ({"Error": "Boom"}, {}, {"Error": "Other", "Cause": "because"}, {"Error": "E", "CausePath": "$.missing"})
    return {"Type": "Fail", **draw(st.sampled_from(told))}


LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"
RESOURCES = (
    LAMBDA,
    ACTIVITY,
    "arn:aws:states:::lambda:invoke",
    "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "arn:aws:states:::states:startExecution.sync:2",
    "arn:aws:states:::aws-sdk:s3:getObject",
    "arn:aws:states:::http:invoke",
)


def _task(draw: Draw, place: _Place) -> State:
    resource = draw(st.sampled_from(RESOURCES))
    state: State = {"Type": "Task", "Resource": resource, **place.onward}
    if _chance(draw, 50):
        state["TimeoutSeconds"] = draw(st.integers(2, 9))
    if _chance(draw, 20):
        state["HeartbeatSeconds"] = 1
    if resource.endswith(("waitForTaskToken", ":a")):
        state["Parameters"] = {"token.$": "$$.Task.Token", "try.$": "$$.State.RetryCount"}
    if _chance(draw, 15):
        state |= _jsonata_work(draw, place)
    else:
        state |= _jsonpath_work(draw, place, state)
    return _guarded(draw, place, state)


def _jsonata_work(draw: Draw, place: _Place) -> State:
    usual = (
        {"Arguments": "{% {'u': $uuid()} %}", "Output": "{% $states.result %}"},
        {"Assign": {place.variable: "{% $states.result %}"}, "Output": "{% $random() %}"},
    )
    failing = ({"Arguments": "{% $states.input.missing %}"}, {"Output": "{% $states.result.missing %}"})
    return {"QueryLanguage": "JSONata", **_one_of(draw, usual, failing)}


def _jsonpath_work(draw: Draw, place: _Place, state: State) -> State:
    if "Parameters" in state:
        before: State = {}
    else:
        usual = ({}, {}, {"Parameters": {"id.$": "States.UUID()"}}, {"Credentials": {"RoleArn": "role"}})
        before = _one_of(draw, usual, ({"Parameters": {"gone.$": "$.missing"}}, {"HeartbeatSecondsPath": "$.missing"}))
    if "HeartbeatSecondsPath" in before:
        state.pop("HeartbeatSeconds", None)
    usual = ({}, {"ResultSelector": {"all.$": "$"}}, {"ResultPath": None}, {"Assign": {f"{place.variable}.$": "$"}})
    failing = ({"ResultSelector": {"picked.$": "$.ok"}}, {"OutputPath": "$.missing"}, {"ResultPath": "$.r"})
    return {**before, **_one_of(draw, usual, failing)}


def _parallel(draw: Draw, place: _Place) -> State:
    branches = [_scope(draw, place.depth + 1, place.numbers) for _ in range(draw(st.integers(1, 3)))]
    usual = ({}, {"ResultPath": None}, {"Parameters": {"n": 1}})
    extra = _one_of(draw, usual, ({"OutputPath": "$.missing"}, {"ResultPath": "$.p"}, {"InputPath": "$.missing"}))
    return _guarded(draw, place, {"Type": "Parallel", "Branches": branches, **extra, **place.onward})


_SELECTORS: tuple[State, ...] = ({}, {"ItemSelector": {"v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"}})
_FAILING_SELECTORS: tuple[State, ...] = (
    # Fails for the third item, when the first may still be running.
    {"ItemSelector": {"v.$": "States.ArrayGetItem($$.Execution.Input.short, $$.Map.Item.Index)"}},
    {"ItemSelector": {"v.$": "$$.Map.Item.Value.missing"}},
)


def _map(draw: Draw, place: _Place) -> State:
    state: State = {"Type": "Map", "ItemProcessor": _scope(draw, place.depth + 1, place.numbers), **place.onward}
    if _chance(draw, 20):
        selector = "{% $states.context.Map.Item.Index < 1 ? 1 : $error('no') %}"
        state |= {"QueryLanguage": "JSONata", "Items": "{% [1, 2, 3] %}"}
        usual = ({}, {"Output": "{% $states.input %}"}, {"ItemSelector": "{% $states.context.Map.Item.Value %}"})
        failing = ({"ItemSelector": selector}, {"Output": "{% $states.input.missing %}"})
        state |= _one_of(draw, usual, failing * 3)
    else:
        state["ItemsPath"] = "$.missing" if _chance(draw, 5) else "$$.Execution.Input.items"
        state |= _one_of(draw, _SELECTORS, _FAILING_SELECTORS)
        state |= _one_of(draw, ({}, {"ResultPath": None}, {"Assign": {f"{place.variable}.$": "$"}}))
    if _chance(draw, 20):
        config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        state["ItemProcessor"]["ProcessorConfig"] = config
        if _chance(draw, 20) and "QueryLanguage" not in state:
            state["ToleratedFailureCountPath"] = "$.missing"
    elif concurrency := draw(st.integers(0, 3)):
        state["MaxConcurrency"] = concurrency
    return _guarded(draw, place, state)


# ---- Retry and Catch ---------------------------------------------------------------------------------------------

_ERRORS = (["Boom"], ["States.TaskFailed"], ["States.Timeout"], ["States.HeartbeatTimeout", "Other"], ["States.ALL"])


def _guarded(draw: Draw, place: _Place, state: State) -> State:
    """The state with retriers and catchers."""
    if _chance(draw, 50):
        state["Retry"] = [_retrier(draw) for _ in range(draw(st.integers(1, 2)))]
    if _chance(draw, 60):
        state["Catch"] = [_catcher(draw, place, state) for _ in range(draw(st.integers(1, 2)))]
    return state


def _retrier(draw: Draw) -> State:
    capped = {"IntervalSeconds": 3, "BackoffRate": 1.5, "MaxDelaySeconds": 4, "JitterStrategy": "FULL"}
    timing = _one_of(draw, ({}, {"JitterStrategy": "FULL"}, capped))
    return {"ErrorEquals": draw(st.sampled_from(_ERRORS)), "MaxAttempts": draw(st.integers(0, 2)), **timing}


def _catcher(draw: Draw, place: _Place, state: State) -> State:
    catcher: State = {"ErrorEquals": draw(st.sampled_from(_ERRORS)), "Next": place.names[-1]}
    if _chance(draw, 20):
        catcher["Next"] = draw(st.sampled_from(place.names))
    if state.get("QueryLanguage") == "JSONata":
        extras = ({}, {"Output": "{% $states.errorOutput %}"}, {"Output": "{% $states.input.missing %}"})
    else:
        extras = ({}, {"ResultPath": "$.error"}, {"ResultPath": None}, {"Assign": {f"{place.variable}.$": "$.Error"}})
    return {**catcher, **draw(st.sampled_from(extras))}


_KIND: dict[str, Callable[[Draw, _Place], State]] = {
    "Pass": _pass,
    "Wait": _wait,
    "Choice": _choice,
    "Succeed": _succeed,
    "Fail": _fail,
    "Task": _task,
    "Parallel": _parallel,
    "Map": _map,
}
_INNER = ("Pass", "Task", "Task", "Wait", "Task")
_KINDS = ("Pass", "Task", "Parallel", "Map", "Wait", "Parallel", "Map", "Task")

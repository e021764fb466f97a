"""What every integration does: the contract of `treadle.runtime.ports.Integration` as rules that a test module runs.

    @pytest.mark.parametrize("rule", RULES, ids=name)
    def test_my_integration(rule: Rule) -> None:
        asyncio.run(rule(my_subject))

A rule is given a function that opens a `Subject`: the integration at a real service, and calls that show what it does.
Must not need a test framework. `pytest.register_assert_rewrite("treadle.testing.integration_contract")` makes its
failures speak. Neighbour: store_contract.py, the same for stores.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, get_args

from treadle.errors import StatesError
from treadle.language.resources import parse_resource
from treadle.language.scope import Json
from treadle.language.values import is_object
from treadle.machine.journal import json_text
from treadle.machine.limits import Limits
from treadle.runtime.ports import Call, Integration, Redelivery

PATIENCE: Final = 10.0
"""Seconds in which whatever must end has to end, also on a busy machine."""

_DATA_LIMIT: Final = "States.DataLimitExceeded"


@dataclass(frozen=True, slots=True)
class Failing:
    """A call that fails, and the error name it fails with."""

    error: str
    call: Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An integration at work, and calls that show what it does.

    `works` succeed. `fails` fail. `unknown` names an action that the integration does not have. `huge` is answered with
    more than a state may hold. `lasting` does not end by itself within any time that a test has. `late` is ended by the
    integration's own time limit; None where it has none and the state's alone counts. `tokens` gives the idempotency
    tokens that the service has been given; None where the service knows none, and then `repeats` says why it is
    harmless that a call is made again. `under_way` counts what the service is still working on for the integration.
    """

    integration: Integration
    works: Sequence[Call]
    fails: Sequence[Failing]
    unknown: Call
    huge: Failing
    lasting: Call
    under_way: Callable[[], int]
    late: Failing | None = None
    tokens: Callable[[], Sequence[str]] | None = None
    repeats: str = ""


Make: TypeAlias = Callable[[], AbstractAsyncContextManager[Subject]]
"""Opens a subject; everything that it opened is closed with it."""

Rule: TypeAlias = Callable[[Make], Awaitable[None]]

RULES: Final[list[Rule]] = []
"""The contract, rule by rule."""


def call_of(resource: str, arguments: Json = None, idempotency: str = "00c0ffee", token: str | None = None) -> Call:
    """A call as the runtime makes it."""
    execution = "arn:aws:states:us-east-1:123456789012:execution:orders:one"
    return Call(execution, 3, resource, arguments, token, None, 0, idempotency, state="Task")


def name(rule: Rule) -> str:
    """The rule as an identifier, for the report of a test run."""
    return getattr(rule, "__name__", repr(rule))


def _rule(rule: Rule) -> Rule:
    RULES.append(rule)
    return rule


async def outcome(integration: Integration, call: Call) -> Json | StatesError:
    """What becomes of the task of a call: its output, or what it fails with."""
    parsed = parse_resource(call.resource)
    try:
        async with asyncio.timeout(PATIENCE):
            output = await integration.call(call)
            if parsed is not None and parsed.pattern in ("sync", "sync:2"):
                output = await integration.poll(replace(call, job=output))
    except StatesError as error:
        return error
    assert _is_json(output), f"{call.resource} gives {output!r}"
    # The machine looks at the size of whatever an integration gives.
    if len(json_text(output).encode()) > Limits().payload_bytes:
        return StatesError(_DATA_LIMIT, "too large")
    return output


def _named(given: Json | StatesError) -> str | None:
    return given.name if isinstance(given, StatesError) else None


# ---- the rules ---------------------------------------------------------------------------------------------------


@_rule
async def it_says_what_becomes_of_a_call_when_the_process_dies(make: Make) -> None:
    async with make() as subject:
        assert subject.integration.redelivery in get_args(Redelivery)


@_rule
async def what_it_gives_is_json(make: Make) -> None:
    async with make() as subject:
        assert subject.works
        for call in subject.works:
            given = await outcome(subject.integration, call)
            assert not isinstance(given, StatesError), f"{call.resource}: {given}"


@_rule
async def a_call_leaves_its_arguments_as_they_are(make: Make) -> None:
    async with make() as subject:
        for call in subject.works:
            before = json_text(call.arguments)
            await outcome(subject.integration, call)
            assert json_text(call.arguments) == before


@_rule
async def a_failure_is_an_error_of_the_workflow_with_its_name_and_a_cause(make: Make) -> None:
    async with make() as subject:
        assert subject.fails
        for failing in subject.fails:
            given = await outcome(subject.integration, failing.call)
            assert isinstance(given, StatesError), f"{failing.error}: {given}"
            assert given.name == failing.error, f"{given.name}: {given.cause}"
            assert given.cause, f"{failing.error} has no cause"


@_rule
async def an_action_that_it_does_not_have_is_refused_by_name(make: Make) -> None:
    async with make() as subject:
        given = await outcome(subject.integration, subject.unknown)
        assert isinstance(given, StatesError) and given.name
        parsed = parse_resource(subject.unknown.resource)
        assert parsed is not None and parsed.action.lower() in (given.cause or "").lower(), given.cause


@_rule
async def whatever_the_arguments_are_it_gives_json_or_an_error_of_the_workflow(make: Make) -> None:
    async with make() as subject:
        for call in subject.works:
            for arguments in _odd(call.arguments):
                given = await outcome(subject.integration, replace(call, arguments=arguments))
                assert not isinstance(given, StatesError) or given.name, f"{arguments!r}: {given}"


@_rule
async def an_answer_that_is_too_large_fails_the_task(make: Make) -> None:
    async with make() as subject:
        given = await outcome(subject.integration, subject.huge.call)
        assert _named(given) == subject.huge.error, str(given)[:300]


@_rule
async def a_call_that_is_made_again_has_the_same_idempotency_token_and_another_call_another(make: Make) -> None:
    async with make() as subject:
        call = subject.works[0]
        if subject.tokens is None:
            assert subject.integration.redelivery == "fail" or subject.repeats
            assert _named(await outcome(subject.integration, replace(call, again=True))) is None
            return
        await outcome(subject.integration, call)
        await outcome(subject.integration, replace(call, again=True))
        await outcome(subject.integration, replace(call, idempotency="0therca11"))
        first, second, third = subject.tokens()[-3:]
        assert first == second != third


@_rule
async def its_own_time_limit_ends_a_call(make: Make) -> None:
    async with make() as subject:
        if subject.late is None:
            # Then the state's time limit is all there is, and that works by cancelling.
            assert await _cancelled(subject.integration, subject.lasting, turns=50)
            return
        given = await outcome(subject.integration, subject.late.call)
        assert _named(given) == subject.late.error, given
        await _quiet(subject)


@_rule
async def a_call_may_be_cancelled_at_any_await_and_leaves_nothing_open(make: Make) -> None:
    async with make() as subject:
        turns = 0
        while turns < 400:
            assert await _cancelled(subject.integration, subject.lasting, turns)
            turns += 1 + turns // 4
        await _quiet(subject)
        assert _named(await outcome(subject.integration, subject.works[0])) is None, "it works on after cancellations"


@_rule
async def a_call_that_is_cancelled_anywhere_does_not_harm_others(make: Make) -> None:
    async with make() as subject:
        for turns in range(0, 60, 4):
            other = asyncio.create_task(outcome(subject.integration, subject.works[0]))
            await _cancelled(subject.integration, subject.works[0], turns)
            assert _named(await other) is None
        await _quiet(subject)


@_rule
async def many_calls_at_once_each_get_their_own_answer(make: Make) -> None:
    async with make() as subject:
        calls = [replace(call, idempotency=f"{n:x}") for n in range(20) for call in subject.works]
        alone = [_shape(await outcome(subject.integration, call)) for call in subject.works]
        together = await asyncio.gather(*(outcome(subject.integration, call) for call in calls))
        assert [_shape(given) for given in together] == alone * 20


@_rule
async def nothing_runs_on_after_it_is_closed(make: Make) -> None:
    before = asyncio.all_tasks()
    async with make() as subject:
        for call in subject.works:
            await outcome(subject.integration, call)
        await _cancelled(subject.integration, subject.lasting, turns=30)
    async with asyncio.timeout(PATIENCE):
        while asyncio.all_tasks() - before:
            await asyncio.sleep(0.001)


# ---- what they are made with -------------------------------------------------------------------------------------


async def _cancelled(integration: Integration, call: Call, turns: int) -> bool:
    """Cancel a call after so many turns of the event loop; whether it ended by that. It must end soon."""
    task = asyncio.create_task(_task_of(integration, call))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=PATIENCE)
    assert done, f"{call.resource} goes on although it was cancelled"
    return task.cancelled()


async def _task_of(integration: Integration, call: Call) -> None:
    output = await integration.call(call)
    parsed = parse_resource(call.resource)
    if parsed is not None and parsed.pattern != "request-response":
        await integration.poll(replace(call, job=output))


async def _quiet(subject: Subject) -> None:
    """Return when the service works on nothing any more for the integration."""
    async with asyncio.timeout(PATIENCE):
        while subject.under_way():
            await asyncio.sleep(0.001)


_ODD: Final[tuple[Json, ...]] = (None, 7, [], {}, "", "\ud800")


def _odd(arguments: Json) -> Iterator[Json]:
    yield from (None, [], {}, "text", 7)
    if is_object(arguments):
        for member in arguments:
            yield {key: value for key, value in arguments.items() if key != member}
            yield from ({**arguments, member: value} for value in _ODD)


def _is_json(value: Json) -> bool:
    try:
        json_text(value)
    except (TypeError, ValueError):
        return False
    return True


def _shape(value: Json | StatesError) -> Json:
    """What of an answer must be the same for each call: its members, and what they are."""
    if isinstance(value, StatesError):
        return value.name
    return {key: type(each).__name__ for key, each in value.items()} if is_object(value) else value

"""Quotas: what is beyond one is refused in AWS's words, and the server goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from api_serving import PASS, ROLE, WAITS, Served, until
from botocore.exceptions import ClientError

from treadle.api.quotas import AWS_RATES, QuotaError, Quotas, Rate
from treadle.api.rates import Rates
from treadle.errors import ApiError

SMALL = "open-executions=2 state-machines=2 activities=1 versions=1 aliases=1 request-bytes=5000 ListExecutions=3/0"


def refused(call: Callable[..., Any], **given: Any) -> str:
    """The code of the error that a call gets."""
    with pytest.raises(ClientError) as raised:
        call(**given)
    response: Any = raised.value.response
    return response["Error"]["Code"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Served]:
    options = [option for each in SMALL.split() for option in ("--quota", each)]
    served = Served(tmp_path, *options)
    yield served
    assert served.stop() == 0


def test_what_is_beyond_a_quota_is_refused_and_what_makes_room_helps_after_a_kill_too(small: Served) -> None:
    states = small.client()
    arn = states.create_state_machine(name="waits", definition=WAITS, roleArn=ROLE)["stateMachineArn"]
    first = states.start_execution(stateMachineArn=arn)["executionArn"]
    states.start_execution(stateMachineArn=arn)
    assert refused(states.start_execution, stateMachineArn=arn) == "ExecutionLimitExceeded"
    small.stop(signal.SIGKILL)
    small.start()
    states = small.client()
    assert refused(states.start_execution, stateMachineArn=arn) == "ExecutionLimitExceeded"
    states.stop_execution(executionArn=first)
    states.start_execution(stateMachineArn=arn)
    assert refused(states.start_execution, stateMachineArn=arn) == "ExecutionLimitExceeded"

    second = states.create_state_machine(name="second", definition=PASS, roleArn=ROLE)["stateMachineArn"]
    # Nothing new: the same call again is answered as before.
    assert states.create_state_machine(name="second", definition=PASS, roleArn=ROLE)["stateMachineArn"] == second
    more = {"name": "third", "definition": PASS, "roleArn": ROLE}
    assert refused(states.create_state_machine, **more) == "StateMachineLimitExceeded"
    version = states.publish_state_machine_version(stateMachineArn=second)["stateMachineVersionArn"]
    routes = [{"stateMachineVersionArn": version, "weight": 100}]
    alias = states.create_state_machine_alias(name="live", routingConfiguration=routes)["stateMachineAliasArn"]
    beyond = {"name": "next", "routingConfiguration": routes}
    assert refused(states.create_state_machine_alias, **beyond) == "ServiceQuotaExceededException"
    states.update_state_machine(stateMachineArn=second, definition=WAITS)
    assert refused(states.publish_state_machine_version, stateMachineArn=second) == "ServiceQuotaExceededException"
    states.delete_state_machine_alias(stateMachineAliasArn=alias)
    states.delete_state_machine(stateMachineArn=second)
    until(lambda: all(each["name"] != "second" for each in states.list_state_machines()["stateMachines"]))
    states.create_state_machine(**more)

    activity = states.create_activity(name="one")["activityArn"]
    assert refused(states.create_activity, name="two") == "ActivityLimitExceeded"
    states.delete_activity(activityArn=activity)
    states.create_activity(name="two")
    states.close()


def test_overload_is_told_and_who_ends_the_waits_gets_through(tmp_path: Path) -> None:
    served = Served(tmp_path, "--quota", "long-polls=2", "--quota", "activity-workers=1", "--quota", "requests=10")
    states = served.client()
    first, second = (states.create_activity(name=each)["activityArn"] for each in ("one", "two"))
    with ThreadPoolExecutor(4) as pool:
        polls: list[Future[Any]] = []
        told: list[str] = []
        for arn in (first, second):
            # Of two polls one waits, and the other is refused: then the first one surely waits.
            both = [pool.submit(served.client().get_activity_task, activityArn=arn) for _ in range(2)]
            done, waits = wait(both, timeout=20, return_when=FIRST_COMPLETED)
            error: Any = done.pop().exception()
            told.append(error.response["Error"]["Code"])
            polls += waits
        assert told == ["ActivityWorkerLimitExceeded", "ThrottlingException"]
        tested = {"definition": '{"Type": "Succeed"}', "roleArn": ROLE}
        assert refused(states.test_state, **tested) == "ThrottlingException"
        assert len(states.list_activities()["activities"]) == 2
        assert served.stop() == 0
        assert [poll.result()["ResponseMetadata"]["HTTPStatusCode"] for poll in polls] == [200, 200]
    states.close()


def test_calls_per_second_and_sizes_are_bounded(small: Served) -> None:
    states = small.client()
    arn = states.create_state_machine(name="pass", definition=PASS, roleArn=ROLE)["stateMachineArn"]
    for _ in range(3):
        states.list_executions(stateMachineArn=arn)
    assert refused(states.list_executions, stateMachineArn=arn) == "ThrottlingException"
    padded = {"name": "long", "definition": PASS + " " * 6_000, "roleArn": ROLE}
    assert refused(states.create_state_machine, **padded) == "RequestEntityTooLargeException"
    states.close()


def test_a_bucket_fills_again_up_to_its_size_and_never_by_a_clock_that_was_set_back() -> None:
    now = 100.0
    rates = Rates({"StartExecution": Rate(2, 0.5)}, lambda: now)

    def taken() -> int:
        count = 0
        while True:
            try:
                rates.take("StartExecution")
            except ApiError as error:
                assert error.code == "ThrottlingException"
                return count
            count += 1

    assert taken() == 2
    now = 102.0
    assert taken() == 1
    now = 50.0
    assert taken() == 0
    now = 1_000.0
    assert taken() == 2
    for _ in range(10):
        rates.take("DescribeExecution")


def test_settings_are_read_and_what_is_wrong_is_told_with_what_there_is() -> None:
    quotas = Quotas.given(["open-executions=5", "StartExecution=10/2.5", "rates=aws"])
    assert (quotas.open_executions, quotas.rates["StartExecution"]) == (5, Rate(10, 2.5))
    assert quotas.rates["StopExecution"] == AWS_RATES["StopExecution"]
    assert Quotas.given([]) == Quotas()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("executions=5", "there are request-bytes, requests,"),
        ("open-executions", "a whole number from 1"),
        ("open-executions=0", "a whole number from 1"),
        ("open-executions=many", "a whole number from 1"),
        ("StartExecution=5", "BUCKET/REFILL"),
        ("rates=all", "the value aws"),
    ],
)
def test_a_setting_that_is_no_good(setting: str, told: str) -> None:
    with pytest.raises(QuotaError, match=told):
        Quotas.given([setting])

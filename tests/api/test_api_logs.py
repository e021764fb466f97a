"""What a state machine logs, read back from the log group in the local cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import boto3
import pytest
from api_serving import FAILS, PASS, ROLE, Served, machine, until
from botocore.exceptions import ClientError

REGION = "us-east-1"


class Logged:
    """A server with a local cloud, and its log groups."""

    def __init__(self, served: Served) -> None:
        self.states = served.client()
        self.logs: Any = boto3.client(
            "logs", REGION, endpoint_url=served.endpoint, aws_access_key_id="t", aws_secret_access_key="t"
        )
        self._numbers = count()

    def group(self) -> str:
        """The ARN of a new log group, as a loggingConfiguration wants it."""
        name = f"/aws/vendedlogs/states/g{next(self._numbers)}"
        self.logs.create_log_group(logGroupName=name)
        return self.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]["arn"]

    def machine(self, group: str, definition: str, level: str, data: bool, type: str = "STANDARD") -> str:
        destinations = [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]
        return self.states.create_state_machine(
            name=f"m{next(self._numbers)}",
            definition=definition,
            roleArn=ROLE,
            type=type,
            loggingConfiguration={"level": level, "includeExecutionData": data, "destinations": destinations},
        )["stateMachineArn"]

    def records(self, group: str, least: int) -> list[dict[str, Any]]:
        """What is in a log group, as soon as there is so much."""
        name = group.split(":log-group:")[1].removesuffix(":*")

        def found() -> list[dict[str, Any]] | None:
            streams = self.logs.describe_log_streams(logGroupName=name)["logStreams"]
            events = [
                json.loads(event["message"])
                for stream in streams
                for event in self.logs.get_log_events(
                    logGroupName=name, logStreamName=stream["logStreamName"], startFromHead=True
                )["events"]
            ]
            return events if len(events) >= least else None

        return until(found)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    served = Served(tmp_path_factory.mktemp("logged"))
    logged = Logged(served)
    yield logged
    logged.logs.close()
    logged.states.close()
    assert served.stop() == 0


@pytest.mark.parametrize("type", ["STANDARD", "EXPRESS"])
def test_the_whole_history_with_its_data_has_the_form_of_aws(logged: Logged, type: str) -> None:
    group = logged.group()
    arn = logged.machine(group, machine(A={"Type": "Pass", "Assign": {"x": 1}}), "ALL", True, type)
    started = logged.states.start_execution(stateMachineArn=arn, input='{"a" : 1}')["executionArn"]
    records = logged.records(group, 4)
    assert [each["type"] for each in records] == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    for number, each in enumerate(records, 1):
        assert set(each) == {
            "id",
            "type",
            "details",
            "previous_event_id",
            "event_timestamp",
            "execution_arn",
            "redrive_count",
        }
        assert all(isinstance(value, str) for key, value in each.items() if key != "details")
        assert (each["id"], each["execution_arn"], each["redrive_count"]) == (str(number), started, "0")
        assert len(each["event_timestamp"]) == 13
    assert records[0]["details"] == {"input": '{"a" : 1}', "inputDetails": {"truncated": False}, "roleArn": ROLE}
    assert records[2]["details"] == {
        "name": "A",
        "output": '{"a":1}',
        "outputDetails": {"truncated": False},
        "assignedVariables": {"x": "1"},
        "assignedVariablesDetails": {"truncated": False},
    }


@pytest.mark.parametrize("type", ["STANDARD", "EXPRESS"])
@pytest.mark.parametrize(
    ("level", "types"),
    [
        ("ALL", ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]),
        ("ERROR", ["FailStateEntered", "ExecutionFailed"]),
        ("FATAL", ["ExecutionFailed"]),
    ],
)
def test_a_level_chooses_events_and_data_stays_out_where_it_is_not_wanted(
    logged: Logged, level: str, types: list[str], type: str
) -> None:
    group = logged.group()
    for each in ("OFF", level):
        arn = logged.machine(group, FAILS, each, False, type)
        logged.states.start_execution(stateMachineArn=arn, input='{"secret": 1}')
    records = logged.records(group, len(types))
    assert [each["type"] for each in records] == types
    assert records[-1]["details"] == {"error": "Mine", "cause": "because"}
    assert "secret" not in json.dumps(records)


def test_what_is_too_long_is_cut_and_says_so(logged: Logged) -> None:
    group = logged.group()
    text = json.dumps("é" * 130_000, ensure_ascii=False)
    logged.states.start_execution(stateMachineArn=logged.machine(group, PASS, "ALL", True), input=text)
    records = logged.records(group, 4)
    assert records[0]["details"]["inputDetails"] == {"truncated": True}
    kept = records[0]["details"]["input"]
    assert 248 * 1024 - 2 <= len(kept.encode()) <= 248 * 1024
    assert text.startswith(kept)


def test_a_redrive_and_the_children_of_a_map_run_are_told_of(logged: Logged) -> None:
    group = logged.group()
    failing = logged.machine(group, FAILS, "FATAL", True)
    arn = logged.states.start_execution(stateMachineArn=failing)["executionArn"]
    logged.records(group, 1)
    logged.states.redrive_execution(executionArn=arn)
    assert [each["redrive_count"] for each in logged.records(group, 2)] == ["0", "1"]

    group = logged.group()
    mode = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    each = machine(M={"Type": "Map", "Label": "Each", "ItemProcessor": json.loads(FAILS) | mode})
    arn = logged.states.start_execution(stateMachineArn=logged.machine(group, each, "FATAL", True), input="[1]")
    runs = until(lambda: logged.states.list_map_runs(executionArn=arn["executionArn"])["mapRuns"])
    child, parent = sorted(logged.records(group, 2), key=lambda record: "map_run_arn" not in record)
    assert (child["map_run_arn"], "/Each:" in child["execution_arn"]) == (runs[0]["mapRunArn"], True)
    assert (parent["execution_arn"], parent["type"]) == (arn["executionArn"], "ExecutionFailed")


def test_a_log_group_that_is_not_there_is_no_destination(logged: Logged) -> None:
    group = logged.group()
    for change, told in (
        ({"destinations": []}, "Must specify exactly one Log Destination."),
        ({"destinations": [{}]}, "Must specify exactly one Log Destination."),
        (
            {"destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group.replace(":*", "-none:*")}}]},
            "Log Destination not found.",
        ),
    ):
        with pytest.raises(ClientError) as raised:
            logged.states.create_state_machine(
                name="none", definition=PASS, roleArn=ROLE, loggingConfiguration={"level": "ALL", **change}
            )
        error: Any = raised.value.response["Error"]
        assert (error["Code"], error["Message"]) == (
            "InvalidLoggingConfiguration",
            f"Invalid Logging Configuration: {told}",
        )
    arn = logged.machine(group, PASS, "ALL", True)
    shown = logged.states.describe_state_machine(stateMachineArn=arn)["loggingConfiguration"]
    assert shown["destinations"] == [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]
    logged.states.update_state_machine(stateMachineArn=arn, loggingConfiguration={"level": "OFF"})
    off = {"level": "OFF", "includeExecutionData": False}
    assert logged.states.describe_state_machine(stateMachineArn=arn)["loggingConfiguration"] == off

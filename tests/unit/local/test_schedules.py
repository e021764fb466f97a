import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from treadle.local.events.rules import Rules
from treadle.local.events.schedules import Schedules
from treadle.local.events.status import Told, status_event
from treadle.local.events.targets import Targets
from treadle.local.register import LocalRegister
from treadle.machine.commands import Status
from treadle.runtime.clock import VirtualClock
from treadle.runtime.ports import Summary
from treadle.stores import MemoryStore

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Bench:
    """Schedules and rules whose targets are kept in a list, as a state machine's starts."""

    def __init__(self) -> None:
        self.started: list[tuple[str, Any]] = []
        self.called: list[tuple[str, Any]] = []
        self.register = LocalRegister()
        self.targets = Targets(self.start, self.submit, self.client)
        self.store = MemoryStore()
        self.rules = Rules(self.register, self.targets, self.told, "us-east-1", "123456789012")
        self.input, self.output = "{}", "[1]"

    async def start(self, arn: str, name: str, text: str) -> None:
        assert arn == MACHINE
        self.started.append((name, json.loads(text)))

    async def submit(self, function: str, payload: bytes) -> None:
        self.called.append((function, json.loads(payload)))

    async def told(self, summary: Summary) -> Told:
        reason = None if summary.status == "FAILED" else f"Execution is {summary.status} and cannot be redriven"
        return Told(self.input, self.output, reason)

    def client(self, service: str) -> Any:
        raise AssertionError(f"{service} is no target here")

    async def fire(self, after: timedelta) -> datetime | None:
        clock = VirtualClock((BEGAN + after).timestamp())
        return await Schedules(self.register, self.targets, self.store, clock).fire_due()

    def schedule(self, expression: str, **more: Any) -> None:
        target = {"Arn": MACHINE, "Input": "{}", **more.pop("target", {})}
        self.register.put(
            "schedule", "k", {"ScheduleExpression": expression, "Target": target, "__name__": "s", **more}
        )


def test_a_schedule_fires_when_it_is_due_once_and_makes_up_for_one_that_was_missed() -> None:
    async def play() -> None:
        bench = Bench()
        bench.schedule("rate(10 minutes)")
        assert await bench.fire(timedelta()) == BEGAN + timedelta(minutes=10)
        assert await bench.fire(timedelta(minutes=9)) == BEGAN + timedelta(minutes=10)
        assert bench.started == []
        await bench.fire(timedelta(minutes=10))
        await bench.fire(timedelta(minutes=11))
        assert [name for name, _ in bench.started] == ["s-20260101T001000Z-0"]
        # Four moments came due meanwhile: the last one is made up for.
        await bench.fire(timedelta(minutes=55))
        assert [name for name, _ in bench.started][1:] == ["s-20260101T005000Z-0"]

    asyncio.run(play())


def test_what_is_older_than_its_grace_is_not_made_up_for() -> None:
    async def play() -> None:
        bench = Bench()
        bench.schedule("cron(0 1 * * ? *)", target={"RetryPolicy": {"MaximumEventAgeInSeconds": 600}})
        await bench.fire(timedelta())
        following = await bench.fire(timedelta(hours=2))
        assert bench.started == []
        assert following == BEGAN + timedelta(days=1, hours=1)

    asyncio.run(play())


def test_a_moment_that_was_over_when_the_schedule_was_made_never_comes() -> None:
    async def play() -> None:
        bench = Bench()
        bench.schedule("at(2025-12-31T23:59:00)")
        assert await bench.fire(timedelta()) is None
        assert bench.started == []
        bench.schedule("at(2026-01-01T00:05:00)")
        assert await bench.fire(timedelta(minutes=1)) == BEGAN + timedelta(minutes=5)
        await bench.fire(timedelta(minutes=6))
        await bench.fire(timedelta(minutes=7))
        assert len(bench.started) == 1

    asyncio.run(play())


def test_a_function_is_called_with_the_scheduled_event() -> None:
    async def play() -> None:
        bench = Bench()
        arn = "arn:aws:lambda:us-east-1:123456789012:function:tick:live"
        rule = {"ScheduleExpression": "rate(1 minute)", "Targets": [{"Arn": arn}], "__name__": "r"}
        bench.register.put("rule", "r", rule)
        await bench.fire(timedelta())
        await bench.fire(timedelta(minutes=1))
        ((function, event),) = bench.called
        assert (function, event["detail-type"], event["time"]) == ("tick", "Scheduled Event", "2026-01-01T00:01:00Z")

    asyncio.run(play())


def test_a_disabled_schedule_does_not_fire() -> None:
    async def play() -> None:
        bench = Bench()
        bench.schedule("rate(1 minute)", State="DISABLED")
        assert await bench.fire(timedelta()) is None

    asyncio.run(play())


def summary(status: Status) -> Summary:
    return Summary(
        arn="arn:e",
        machine_arn=MACHINE,
        name="e",
        definition="d",
        status=status,
        started_at=1.5,
        length=3,
        stopped_at=2.0,
    )


def test_the_end_of_an_execution_is_an_event_that_rules_wait_for() -> None:
    async def play() -> None:
        bench = Bench()
        target = {"Arn": MACHINE, "InputPath": "$.detail.status"}
        pattern = {"source": ["aws.states"], "detail": {"status": ["FAILED"]}}
        bench.register.put("rule", "r", {"EventPattern": pattern, "Targets": [target], "__name__": "r"})
        bench.register.put("rule", "o", {"ScheduleExpression": "rate(1 day)", "Targets": [target], "__name__": "o"})
        bench.rules.status_changed(summary("SUCCEEDED"))
        bench.rules.status_changed(summary("FAILED"))
        bench.rules.status_changed(summary("FAILED"))
        await bench.rules.close()
        assert [each for _, each in bench.started] == ["FAILED", "FAILED"]
        # The same change has the same name, which starts nothing twice.
        assert len({name for name, _ in bench.started}) == 1

    asyncio.run(play())


def test_an_event_of_an_execution_has_every_member_that_step_functions_gives_it() -> None:
    told = Told('{"a": 1}', "[1]", "Execution is SUCCEEDED and cannot be redriven")
    event = status_event(summary("SUCCEEDED"), told, "us-east-1", "123456789012")
    assert (event["source"], event["resources"], event["time"]) == ("aws.states", ["arn:e"], "1970-01-01T00:00:02Z")
    assert event["detail"] == {
        "executionArn": "arn:e",
        "stateMachineArn": MACHINE,
        "name": "e",
        "status": "SUCCEEDED",
        "startDate": 1500,
        "stopDate": 2000,
        "input": '{"a": 1}',
        "inputDetails": {"included": True},
        "output": "[1]",
        "outputDetails": {"included": True},
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
        "error": None,
        "cause": None,
    }
    failed = status_event(summary("FAILED"), Told("{}", "[1]"), "us-east-1", "123456789012")["detail"]
    assert (failed["output"], failed["outputDetails"], failed["redriveStatus"]) == (None, None, "REDRIVABLE")
    assert failed["redriveStatusReason"] is None


LARGE = "x" * 248 * 1024


@pytest.mark.parametrize(
    ("input", "output", "included"),
    [
        ("x" * (248 * 1024 - 1), "y", (True, True)),
        (LARGE, "y", (False, True)),
        ("x", LARGE, (False, True)),
        ("x", LARGE + "y", (False, False)),
        # Escaped, a quote counts twice.
        ('"' * 125 * 1024, "y", (False, True)),
        ("ä" * 124 * 1024, "", (True, True)),
    ],
)
def test_what_is_too_large_for_an_event_is_left_out_the_input_first(
    input: str, output: str, included: tuple[bool, bool]
) -> None:
    detail = status_event(summary("SUCCEEDED"), Told(input, output), "us-east-1", "123456789012")["detail"]
    assert (detail["inputDetails"]["included"], detail["outputDetails"]["included"]) == included
    assert (detail["input"] is not None, detail["output"] is not None) == included


def test_a_target_that_refuses_has_its_event_in_the_dead_letter_queue(local_cloud: Any) -> None:
    async def play() -> None:
        bench = Bench()
        sqs = local_cloud.client("sqs")
        bench.targets = Targets(bench.start, bench.submit, local_cloud.client)
        name = local_cloud.unique("dead")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        dead = f"arn:aws:sqs:us-east-1:123456789012:{name}"
        lost = {"Arn": "arn:aws:sns:us-east-1:123456789012:nowhere", "DeadLetterConfig": {"Arn": dead}}
        await bench.targets.deliver("r", lost, {"id": "1", "detail": {}}, "n")
        message = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]
        told = {key: each["StringValue"] for key, each in message["MessageAttributes"].items()}
        assert json.loads(message["Body"]) == {"id": "1", "detail": {}}
        assert (told["TARGET_ARN"], told["ERROR_CODE"]) == (lost["Arn"], "NotFound")

    asyncio.run(play())


def test_streams_log_groups_and_queues_are_targets_too(local_cloud: Any) -> None:
    async def play() -> None:
        bench = Bench()
        targets = Targets(bench.start, bench.submit, local_cloud.client)
        name, event = local_cloud.unique("t"), {"id": "e-1", "detail": {"key": "k"}}
        kinesis, logs, sqs = (local_cloud.client(each) for each in ("kinesis", "logs", "sqs"))
        kinesis.create_stream(StreamName=name, ShardCount=1)
        logs.create_log_group(logGroupName=f"/aws/events/{name}")
        url = sqs.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        path = {"PartitionKeyPath": "$.detail.key"}
        for target in (
            {"Arn": f"arn:aws:kinesis:us-east-1:123456789012:stream/{name}", "KinesisParameters": path},
            {"Arn": f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/events/{name}:*"},
            {"Arn": f"arn:aws:sqs:us-east-1:123456789012:{name}.fifo", "SqsParameters": {"MessageGroupId": "g"}},
        ):
            await targets.deliver("r", target, event, "n")
        shard = kinesis.describe_stream(StreamName=name)["StreamDescription"]["Shards"][0]["ShardId"]
        where = kinesis.get_shard_iterator(StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        record = kinesis.get_records(ShardIterator=where["ShardIterator"])["Records"][0]
        assert (json.loads(record["Data"]), record["PartitionKey"]) == (event, "k")
        kept = logs.get_log_events(logGroupName=f"/aws/events/{name}", logStreamName="e-1")["events"]
        assert [json.loads(each["message"]) for each in kept] == [event]
        assert json.loads(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"]) == event

    asyncio.run(play())


def test_a_bus_passes_events_on_once() -> None:
    async def play() -> None:
        bench = Bench()
        here = "arn:aws:events:us-east-1:123456789012:event-bus"
        pattern = {"source": ["shop"]}
        for name, bus, targets in (
            ("a", "default", [{"Arn": f"{here}/second"}]),
            ("b", "second", [{"Arn": f"{here}/third"}, {"Arn": MACHINE}]),
            ("c", "third", [{"Arn": MACHINE}]),
        ):
            rule = {"EventPattern": pattern, "EventBusName": bus, "Targets": targets, "__name__": name}
            bench.register.put("rule", name, rule)
        await bench.rules.put_events({"Entries": [{"Source": "shop", "DetailType": "sold", "Detail": "{}"}]})
        assert [name[:2] for name, _ in bench.started] == ["b-"]

    asyncio.run(play())


def test_what_is_put_goes_to_the_rules_of_its_bus_and_what_is_wrong_with_an_entry_is_told() -> None:
    async def play() -> None:
        bench = Bench()
        pattern = {"source": ["shop"]}
        for bus, name in (("default", "a"), ("orders", "b")):
            rule = {"EventPattern": pattern, "EventBusName": bus, "Targets": [{"Arn": MACHINE}], "__name__": name}
            bench.register.put("rule", name, rule)
        good = {"Source": "shop", "DetailType": "sold", "Detail": '{"n": 1}', "EventBusName": "orders"}
        wrong = [{**good, "Detail": "["}, {**good, "Source": "aws.s3"}, {"Source": "shop"}]
        told = await bench.rules.put_events({"Entries": [good, *wrong]})
        assert told["FailedEntryCount"] == 3
        assert [each.get("ErrorCode") for each in told["Entries"]] == [
            None,
            "MalformedDetail",
            "NotAuthorizedForSourceException",
            "InvalidArgument",
        ]
        ((name, event),) = bench.started
        assert name.startswith("b-")
        assert (event["detail-type"], event["detail"], event["source"]) == ("sold", {"n": 1}, "shop")

    asyncio.run(play())

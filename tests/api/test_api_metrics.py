"""Every metric of AWS/States: each is there once what it counts has happened, and counts it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from api_serving import FAILS, PASS, ROLE, WAITS, Served, machine, until
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from treadle.observation.counts import MOST, OTHER, Counts, Family, gauge

ENDS = ("Succeeded", "Failed", "Aborted", "TimedOut")
TASKS = ("Scheduled", "Started", "Succeeded", "Failed", "TimedOut")
AWS = {
    "ExecutionsStarted",
    *(f"Executions{each}" for each in ENDS),
    "ExecutionTime",
    "ExpressExecutionBilledDuration",
    "ExpressExecutionBilledMemory",
    "ExpressExecutionMemory",
    "ExecutionsRedriven",
    *(f"RedrivenExecutions{each}" for each in ENDS),
    "OpenExecutionCount",
    "OpenExecutionLimit",
    "ApproximateOpenMapRunCount",
    "OpenMapRunLimit",
    "ApproximateMapRunBacklogSize",
    "AliasCount",
    "VersionCount",
    *(f"Activities{each}" for each in (*TASKS, "HeartbeatTimedOut")),
    *(f"LambdaFunctions{each}" for each in TASKS),
    *(f"ServiceIntegrations{each}" for each in TASKS),
    *(f"{kind}{each}" for kind in ("Activity", "LambdaFunction", "ServiceIntegration") for each in ("Time", "RunTime")),
    *(f"{kind}ScheduleTime" for kind in ("Activity", "LambdaFunction", "ServiceIntegration")),
    "ThrottledEvents",
    "ConsumedCapacity",
    "ProvisionedBucketSize",
    "ProvisionedRefillRate",
    "StateMachineCount",
    "ActivityCount",
    "OpenExecutionCountPerStateMachine",
}
"""All but ExecutionThrottled: no transition is throttled here."""

FUNCTION = """
import time

def handler(event, context):
    if event == "fail":
        raise ValueError("no")
    time.sleep(3600 if event == "sleep" else 0)
"""
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:does"


class Workload:
    """State machines and their executions on a server."""

    def __init__(self, served: Served) -> None:
        self.served, self.states = served, served.client()
        self._numbers = count()

    def made(self, definition: str, **more: Any) -> str:
        name = f"m{next(self._numbers)}"
        return self.states.create_state_machine(name=name, definition=definition, roleArn=ROLE, **more)[
            "stateMachineArn"
        ]

    def started(self, arn: str, input: Any = None) -> str:
        return self.states.start_execution(stateMachineArn=arn, input=json.dumps(input))["executionArn"]

    def ended(self, arn: str) -> str:
        until(lambda: self.states.describe_execution(executionArn=arn)["status"] != "RUNNING")
        return arn

    def redriven(self, arn: str) -> str:
        self.states.redrive_execution(executionArn=self.ended(arn))
        return arn

    def token(self, activity: str) -> str:
        return until(lambda: self.states.get_activity_task(activityArn=activity).get("taskToken"))

    def families(self) -> dict[str, Any]:
        """What /metrics has, by AWS's names."""
        with urllib.request.urlopen(f"{self.served.endpoint}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return {
            family.documentation.removesuffix(" of AWS/States"): family
            for family in text_string_to_metric_families(text)
        }

    def sum_of(self, name: str, **labels: str) -> float:
        """What all series of a metric with these labels have together."""
        family = self.families()[name]
        return sum(
            sample.value
            for sample in family.samples
            if not sample.name.endswith(("_bucket", "_sum")) and labels.items() <= sample.labels.items()
        )


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workload]:
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "functions").mkdir()
    (folder / "functions" / "does.py").write_text(FUNCTION)
    quotas = ("open-map-runs=1", "ListTagsForResource=1/0")
    served = Served(
        folder / "data",
        "--no-cloud",
        "--functions",
        str(folder / "functions"),
        *(option for each in quotas for option in ("--quota", each)),
    )
    yield Workload(served)
    assert served.stop() == 0


def ends_of_executions(work: Workload) -> None:
    for definition in (FAILS, WAITS, json.dumps(json.loads(WAITS) | {"TimeoutSeconds": 1})):
        arn = work.started(work.made(definition))
        if definition == WAITS:
            work.states.stop_execution(executionArn=arn)
        work.redriven(arn)
        if definition == WAITS:
            work.states.stop_execution(executionArn=arn)
        work.ended(arn)


def tasks_of_an_activity(work: Workload) -> None:
    activity = work.states.create_activity(name="a")["activityArn"]
    task = {"Type": "Task", "Resource": activity}
    arn = work.started(work.made(machine(T=task)))
    work.states.send_task_failure(taskToken=work.token(activity), error="Mine")
    work.redriven(arn)
    work.states.send_task_success(taskToken=work.token(activity), output="1")
    work.ended(arn)
    for limit in ("HeartbeatSeconds", "TimeoutSeconds"):
        arn = work.started(work.made(machine(T={**task, limit: 1})))
        work.token(activity)
        work.ended(arn)


def tasks_that_call(work: Workload) -> None:
    calls = work.made(machine(T={"Type": "Task", "Resource": LAMBDA, "TimeoutSeconds": 1}))
    waits = work.made(WAITS)
    nested = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync"}
    arns = [work.started(calls, each) for each in ("fail", "sleep")]
    arns.append(work.started(work.made(machine(T={"Type": "Task", "Resource": LAMBDA})), "good"))
    for target, more in ((waits, {"TimeoutSeconds": 1}), (work.made(PASS), {}), (f"{waits}-none", {})):
        arns.append(
            work.started(work.made(machine(T={**nested, **more, "Parameters": {"StateMachineArn": target}})), {})
        )
    for arn in arns:
        work.ended(arn)


def versions_and_express(work: Workload) -> None:
    work.started(work.made(WAITS))
    work.states.start_sync_execution(stateMachineArn=work.made(PASS, type="EXPRESS"), input=json.dumps("x" * 1000))
    arn = work.made(PASS, publish=True)
    routes = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
    for name in ("live", "next"):
        work.states.create_state_machine_alias(name=name, routingConfiguration=routes)
    work.ended(work.started(f"{arn}:live"))
    work.ended(work.started(arn))
    assert work.sum_of("AliasCount", resource_arn=arn) == 2
    assert work.sum_of("VersionCount", resource_arn=arn) == 1
    assert work.sum_of("ExecutionsStarted", state_machine_arn=arn) == 2
    assert work.sum_of("ExecutionsStarted", state_machine_arn=arn, version="1", alias="live") == 1
    assert work.sum_of("ConsumedCapacity", state_machine_arn=arn, service_metric="StateTransition") == 2
    work.states.delete_state_machine_alias(stateMachineAliasArn=f"{arn}:next")
    assert work.sum_of("AliasCount", resource_arn=arn) == 1


def map_runs(work: Workload) -> None:
    activity = work.states.create_activity(name="mapped")["activityArn"]
    task = json.loads(machine(T={"Type": "Task", "Resource": activity}))
    task["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    arn = work.made(machine(M={"Type": "Map", "ItemProcessor": task}))
    first, second, third = (work.started(arn, [1]) for _ in range(3))
    until(lambda: work.sum_of("ApproximateMapRunBacklogSize") == 2)
    assert work.sum_of("ApproximateOpenMapRunCount") == work.sum_of("OpenMapRunLimit") == 1
    assert work.sum_of("OpenExecutionCountPerStateMachine", state_machine_arn=arn) == 3
    [waiting] = work.states.list_map_runs(executionArn=third)["mapRuns"]
    described = work.states.describe_map_run(mapRunArn=waiting["mapRunArn"])
    assert (described["status"], described["itemCounts"]["pending"], described["itemCounts"]["total"]) == (
        "RUNNING",
        1,
        1,
    )
    assert work.states.list_executions(mapRunArn=waiting["mapRunArn"])["executions"] == []
    with pytest.raises(ClientError, match="before it has begun"):
        work.states.update_map_run(mapRunArn=waiting["mapRunArn"], maxConcurrency=1)
    # One that nobody wants any more leaves the backlog; the next one begins when the first one has ended.
    work.states.stop_execution(executionArn=second)
    until(lambda: work.sum_of("ApproximateMapRunBacklogSize") == 1)
    for each in (first, third):
        work.states.send_task_success(taskToken=work.token(activity), output="1")
        work.ended(each)
    until(lambda: work.sum_of("ApproximateOpenMapRunCount") == 0)


def calls_that_are_throttled(work: Workload) -> None:
    arn = work.made(PASS)
    work.states.list_tags_for_resource(resourceArn=arn)
    for _ in range(2):
        with pytest.raises(ClientError, match="ThrottlingException"):
            work.states.list_tags_for_resource(resourceArn=arn)
    limited = {"api_name": "ListTagsForResource"}
    names = ("ThrottledEvents", "ConsumedCapacity", "ProvisionedBucketSize", "ProvisionedRefillRate")
    assert [work.sum_of(name, **limited) for name in names] == [2, 1, 1, 0]


def test_each_metric_of_the_service_counts_what_happens(workload: Workload) -> None:
    work = workload
    for happens in (
        ends_of_executions,
        tasks_of_an_activity,
        tasks_that_call,
        versions_and_express,
        map_runs,
        calls_that_are_throttled,
    ):
        happens(work)
    assert AWS - set(work.families()) == set()
    once = [f"RedrivenExecutions{each}" for each in ENDS]
    once += ["ActivitiesHeartbeatTimedOut", "ActivitiesTimedOut"]
    once += [f"{each}TimedOut" for each in ("LambdaFunctions", "ServiceIntegrations")]
    assert {name: work.sum_of(name) for name in once} == dict.fromkeys(once, 1.0)
    assert work.sum_of("ServiceIntegrationTime") == work.sum_of("ServiceIntegrationsScheduled") == 3
    assert work.sum_of("StateMachineCount") == len(work.states.list_state_machines(maxResults=1000)["stateMachines"])
    memory = work.families()["ExpressExecutionMemory"].samples
    assert 4_000 < next(each.value for each in memory if each.name.endswith("_sum")) < 10_000


def test_a_metric_has_so_many_series_and_then_one_for_all_others() -> None:
    family = Family("x", "X", ("arn",))
    counts = Counts()
    for number in range(MOST + 5):
        counts.add(family, (str(number),))
    (metric,) = counts.collect()
    shown = {sample.labels["arn"]: sample.value for sample in metric.samples}
    assert len(shown) == MOST + 1
    assert shown[OTHER] == 5
    shown = {
        sample.labels["arn"]: sample.value
        for sample in gauge(family, {(str(number),): number for number in range(MOST + 2)}).samples
    }
    assert len(shown) == MOST + 1
    assert (shown[OTHER], str(MOST + 1) in shown) == (1, True)

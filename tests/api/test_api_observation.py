"""What is seen of a running server: its health, its metrics."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from api_serving import FAILS, PASS, Served, machine, until
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families


def page(served: Served, path: str, **headers: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(served.endpoint + path, headers=headers), timeout=20) as answer:
        return answer.read().decode()


def samples(served: Served, label: str, value: str) -> dict[str, float]:
    """The metrics of a resource, without the buckets."""
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(page(served, "/metrics"))
        for sample in family.samples
        if sample.labels.get(label) == value and "le" not in sample.labels
    }


def test_health_tells_that_the_store_takes_writes(served: Served) -> None:
    told = json.loads(page(served, "/health"))
    assert (told["status"], told["storeWritable"]) == ("ok", True)
    assert told["version"] and told["uptimeSeconds"] >= 0


def test_executions_are_counted_by_their_state_machine(served: Served, states: Any, create: Callable[..., str]) -> None:
    good, bad, express = create(PASS), create(FAILS), create(PASS, type="EXPRESS")
    for arn in (good, good, bad):
        made = states.start_execution(stateMachineArn=arn)["executionArn"]
        until(lambda made=made: states.describe_execution(executionArn=made)["status"] != "RUNNING")
    states.start_sync_execution(stateMachineArn=express)
    found = until(
        lambda: (
            (each := samples(served, "state_machine_arn", good)).get("treadle_executions_succeeded_total") == 2 and each
        )
    )
    assert found["treadle_executions_started_total"] == 2
    assert found["treadle_execution_time_seconds_count"] == 2
    assert samples(served, "state_machine_arn", bad)["treadle_executions_failed_total"] == 1
    assert samples(served, "state_machine_arn", express)["treadle_executions_succeeded_total"] == 1


def test_tasks_are_counted_by_what_they_call(
    served: Served, states: Any, create: Callable[..., str], name: str
) -> None:
    activity = states.create_activity(name=name)["activityArn"]
    started = states.start_execution(stateMachineArn=create(machine(T={"Type": "Task", "Resource": activity})))
    token = states.get_activity_task(activityArn=activity)["taskToken"]
    states.send_task_success(taskToken=token, output="{}")
    until(lambda: states.describe_execution(executionArn=started["executionArn"])["status"] == "SUCCEEDED")
    found = samples(served, "activity_arn", activity)
    for word in ("scheduled", "started", "succeeded"):
        assert found[f"treadle_activities_{word}_total"] == 1
    for word in ("", "schedule_", "run_"):
        assert found[f"treadle_activity_{word}time_seconds_count"] == 1


def test_open_executions_stand_beside_their_limit_in_openmetrics_too(served: Served) -> None:
    told = page(served, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    found = {family.name: family.samples[0].value for family in openmetrics.text_string_to_metric_families(told)}
    assert 0 <= found["treadle_open_execution_count"] <= found["treadle_open_execution_limit"] == 1_000_000

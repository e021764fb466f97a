"""Distributed Maps in `treadle up`: over a folder, and over S3 at the endpoint that it was told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from api_serving import ROLE, Served, ended

from local_cloud import LocalCloud
from mapped_rows import check, in_folder, in_s3, machine


def ran(served: Served, bucket: str) -> Any:
    """What comes of the Map."""
    try:
        states = served.client()
        made = states.create_state_machine(name="rows", definition=json.dumps(machine(bucket)), roleArn=ROLE)
        started = states.start_execution(stateMachineArn=made["stateMachineArn"])

        told = ended(states, started["executionArn"])
        states.close()
        assert told["status"] == "SUCCEEDED", told
        return json.loads(told["output"])
    finally:
        assert served.stop() == 0


def test_rows_of_a_folder_become_results_in_it(tmp_path: Path) -> None:
    bucket, source, read = in_folder(tmp_path / "data")
    check(ran(Served(tmp_path / "store"), bucket), source, read)


def test_rows_of_s3_become_results_at_the_endpoint_that_was_named(tmp_path: Path, local_cloud: LocalCloud) -> None:
    bucket, source, read = in_s3(local_cloud)
    served = Served(tmp_path / "store", "--aws-endpoint-url", local_cloud.endpoint)
    check(ran(served, bucket), source, read)


def test_what_was_never_started_is_counted_and_written_and_children_are_redriven_with_their_run(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    bucket, _, read = in_folder(folder)
    definition = machine(bucket)
    each = definition["States"]["Each"] | {"MaxConcurrency": 1}
    each["ItemProcessor"] |= {"StartAt": "Break", "States": {"Break": {"Type": "Fail", "Error": "Nuts"}}}
    definition["States"]["Each"] = each
    served = Served(tmp_path / "store")
    try:
        states = served.client()
        made = states.create_state_machine(name="rows", definition=json.dumps(definition), roleArn=ROLE)
        started = states.start_execution(stateMachineArn=made["stateMachineArn"])
        told = ended(states, started["executionArn"])
        assert (told["error"], told["redriveStatus"]) == ("States.ExceedToleratedFailureThreshold", "REDRIVABLE")
        [run] = states.list_map_runs(executionArn=started["executionArn"])["mapRuns"]
        map_run = states.describe_map_run(mapRunArn=run["mapRunArn"])
        counts = {key: number for key, number in map_run["itemCounts"].items() if number}
        assert counts == {"failed": 1, "pending": 1, "total": 2, "resultsWritten": 1}
        [child] = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
        shown = states.describe_execution(executionArn=child["executionArn"])
        assert (shown["redriveStatus"], "redriveStatusReason" in shown) == ("REDRIVABLE_BY_MAP_RUN", False)
        waiting = states.list_executions(mapRunArn=run["mapRunArn"], statusFilter="PENDING_REDRIVE")
        assert waiting["executions"] == []
        states.close()
    finally:
        assert served.stop() == 0
    [place] = folder.glob("out/*/manifest.json")
    files = json.loads(place.read_text())["ResultFiles"]
    assert files["SUCCEEDED"] == []
    [failed] = json.loads(read(files["FAILED"][0]["Key"]))
    assert (failed["Status"], failed["RedriveStatus"]) == ("FAILED", "REDRIVABLE_BY_MAP_RUN")
    [pending] = json.loads(read(files["PENDING"][0]["Key"]))
    assert pending.keys() == {"Input", "InputDetails", "Status"}
    assert json.loads(pending["Input"])["Row"] == {"name": "bolts", "count": "12"}

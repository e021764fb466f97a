"""Distributed Maps in `treadle up`: over a folder, and over S3 at the endpoint that it was told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from api_serving import ROLE, Served, until

from local_cloud import LocalCloud
from mapped_rows import check, in_folder, in_s3, machine


def ran(served: Served, bucket: str) -> Any:
    """What comes of the Map."""
    try:
        states = served.client()
        made = states.create_state_machine(name="rows", definition=json.dumps(machine(bucket)), roleArn=ROLE)
        started = states.start_execution(stateMachineArn=made["stateMachineArn"])

        def ended() -> Any:
            told = states.describe_execution(executionArn=started["executionArn"])
            return None if told["status"] == "RUNNING" else told

        told = until(ended)
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

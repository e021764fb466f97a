"""Distributed Maps and AWS services within a program."""

from __future__ import annotations

from pathlib import Path

import pytest

import treadle
from local_cloud import LocalCloud
from mapped_rows import check, in_folder, in_s3, machine


def lead(monkeypatch: pytest.MonkeyPatch, cloud: LocalCloud) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)


async def test_rows_of_a_folder_become_results_in_it(tmp_path: Path) -> None:
    bucket, source, read = in_folder(tmp_path / "data")
    async with treadle.open("memory:") as engine:
        run = await engine.start(machine(bucket))
        check(await run.result(), source, read)


async def test_rows_of_s3_become_results_in_it(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    lead(monkeypatch, local_cloud)
    bucket, source, read = in_s3(local_cloud)
    async with treadle.open("memory:") as engine:
        run = await engine.start(machine(bucket))
        check(await run.result(), source, read)


async def test_aws_services_are_called(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    lead(monkeypatch, local_cloud)
    name = local_cloud.unique("bucket")
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:createBucket", "Parameters": {"Bucket": name}}
    async with treadle.open("memory:") as engine:
        run = await engine.start({"StartAt": "Make", "States": {"Make": {**task, "End": True}}})
        assert (await run.result())["Location"] == f"/{name}"


async def test_aws_itself_is_never_called_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    async with treadle.open("memory:") as engine:
        run = await engine.start(machine("somebodys-bucket"))
        with pytest.raises(treadle.ExecutionFailed, match=r"States\.ItemReaderFailed.*never called unasked"):
            await run.result()

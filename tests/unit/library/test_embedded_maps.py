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


async def test_members_of_an_object_in_a_folder_have_their_keys(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text('{"prices": {"nuts": 3, "bolts": 12}}')
    of_rows = machine(tmp_path.as_uri())
    each = {key: value for key, value in of_rows["States"]["Each"].items() if key != "ResultWriter"}
    each["ItemReader"]["ReaderConfig"] = {"InputType": "JSON", "ItemsPointer": "/prices"}
    each["ItemReader"]["Parameters"]["Key"] = "all.json"
    each["ItemSelector"] = {"Name.$": "$$.Map.Item.Key", "Price.$": "$$.Map.Item.Value"}
    async with treadle.open("memory:") as engine:
        run = await engine.start({"StartAt": "Each", "States": {"Each": each}})
        assert await run.result() == [{"Name": "nuts", "Price": 3}, {"Name": "bolts", "Price": 12}]


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

"""Listings, manifests, folders and S3: where items come from."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import GET, LIST, access, bucket, cause, folder, items, pages

from local_cloud import LocalCloud
from treadle.items import Access, DataSets, s3

CSV = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
JSONL = {"InputType": "JSONL"}
LOAD = {"Transformation": "LOAD_AND_FLATTEN"}


@pytest.fixture(params=["folder", "s3"])
def fill(request: pytest.FixtureRequest, tmp_path: Path, local_cloud: LocalCloud) -> Any:
    """Fills a new bucket of either kind; what it gives goes to `items` and `pages`."""

    def make(files: dict[str, bytes | str]) -> tuple[str, LocalCloud | None, str]:
        if request.param == "folder":
            where = folder(tmp_path, files)
            return where, None, where
        name = bucket(local_cloud, files)
        return name, local_cloud, f"S3://{name}"

    return make


def test_an_object_names_itself_as_the_source_of_its_items(fill: Any) -> None:
    where, cloud, source = fill({"in/file.csv": "id,name\n1,a\n2,b\n"})
    [page] = pages(where, {"Key": "in/file.csv"}, CSV, cloud=cloud)
    assert page.items == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]
    assert page.source == f"{source}/in/file.csv"


def test_an_empty_object_has_no_items(fill: Any) -> None:
    where, cloud, _ = fill({"none": ""})
    assert items(where, {"Key": "none"}, JSONL, cloud=cloud) == []


def test_a_listing_gives_what_it_knows_of_each_object(fill: Any) -> None:
    where, cloud, source = fill({"a/1": "x", "a/b/2": "xy", "a-3": "", "b": "z", "a/b-4": "1"})
    [page] = pages(where, {"Prefix": "a/"}, {}, cloud=cloud, resource=LIST)
    assert [item["Key"] for item in page.items] == ["a/1", "a/b-4", "a/b/2"]
    assert [item["Size"] for item in page.items] == [1, 1, 2]
    assert set(page.items[0]) == {"Etag", "Key", "LastModified", "Size", "StorageClass"}
    assert page.items[0]["StorageClass"] == "STANDARD"
    assert page.items[0]["Etag"].startswith('"')
    assert isinstance(page.items[0]["LastModified"], int)
    assert page.source == source
    everything = items(where, {}, {}, cloud=cloud, resource=LIST)
    assert [item["Key"] for item in everything] == ["a-3", "a/1", "a/b-4", "a/b/2", "b"]


def test_a_listing_of_many_objects_goes_page_by_page(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "KEYS", 3)
    name = bucket(local_cloud, {f"{number:02}": "" for number in range(8)})
    read = pages(name, {}, {}, cloud=local_cloud, resource=LIST)
    assert [len(page.items) for page in read] == [3, 3, 2]
    rest = items(name, {}, {}, cloud=local_cloud, resource=LIST, skip=4, most=7)
    assert [item["Key"] for item in rest] == ["04", "05", "06"]


def test_the_objects_of_a_listing_are_loaded_one_after_the_other(fill: Any) -> None:
    where, cloud, source = fill({"in/": "", "in/a.csv": "id\n1\n2\n", "in/b.csv": "id\n3\n", "other.csv": "id\n4\n"})
    read = pages(where, {"Prefix": "in/"}, {**LOAD, **CSV}, cloud=cloud, resource=LIST)
    assert [page.items for page in read] == [[{"id": "1"}, {"id": "2"}], [{"id": "3"}]]
    assert [page.source for page in read] == [f"{source}/in/a.csv", f"{source}/in/b.csv"]


@pytest.mark.parametrize("kind", ["JSON", "JSONL", "CSV", "PARQUET"])
def test_every_format_is_loaded_from_a_folder(kind: str, tmp_path: Path) -> None:
    def content(number: int) -> bytes:
        match kind:
            case "JSON":
                return json.dumps([{"id": number}]).encode()
            case "JSONL":
                return json.dumps({"id": number}).encode()
            case "CSV":
                return f"id\n{number}\n".encode()
            case _:
                out = io.BytesIO()
                pq.write_table(pa.table({"id": [number]}), out)
                return out.getvalue()

    where = folder(tmp_path, {f"in/{number}": content(number) for number in range(3)})
    read = items(where, {"Prefix": "in/"}, {**CSV, **LOAD, "InputType": kind}, resource=LIST)
    assert [int(item["id"]) for item in read] == [0, 1, 2]


def test_one_bad_object_among_many_is_named(fill: Any) -> None:
    where, cloud, source = fill({"in/a": "1\n", "in/b": "2\nx\n"})
    told = cause(lambda: items(where, {"Prefix": "in/"}, {**LOAD, **JSONL}, cloud=cloud, resource=LIST))
    assert told.startswith(f"{source}/in/b: line 2: is not JSON")


# ---- manifests ----


def inventory(holder: str) -> dict[str, bytes | str]:
    rows = gzip.compress(b'"photos","a%20b.jpg","12"\n"photos","c.jpg","13"\n')
    manifest = {
        "sourceBucket": "photos",
        "destinationBucket": f"arn:aws:s3:::{holder}",
        "version": "2016-11-30",
        "creationTimestamp": "1514944800000",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [{"key": "data/1.csv.gz", "size": len(rows), "MD5checksum": "f11166069f1990abeb9c97ace9cdfabc"}],
    }
    return {"manifest.json": json.dumps(manifest), "data/1.csv.gz": rows}


@pytest.mark.parametrize("config", [{"InputType": "MANIFEST"}, {"ManifestType": "S3_INVENTORY"}])
def test_the_rows_of_an_inventory_are_items(config: dict[str, str], fill: Any, local_cloud: LocalCloud) -> None:
    where, cloud, source = fill({})
    files = inventory(where)
    if cloud is None:
        where, cloud, source = fill(files)
    else:
        client = cloud.client("s3")
        for key, content in files.items():
            client.put_object(Bucket=where, Key=key, Body=content)
        client.close()
    [page] = pages(where, {"Key": "manifest.json"}, config, cloud=cloud)
    assert page.items == [
        {"Bucket": "photos", "Key": "a%20b.jpg", "Size": "12"},
        {"Bucket": "photos", "Key": "c.jpg", "Size": "13"},
    ]
    assert page.source == f"{source}/data/1.csv.gz"


def test_an_inventory_in_another_format_is_refused(tmp_path: Path) -> None:
    manifest = json.dumps({"fileFormat": "ORC", "fileSchema": "struct<>", "files": []})
    where = folder(tmp_path, {"orc.json": manifest, "other.json": '{"a": 1}'})
    config = {"InputType": "MANIFEST"}
    assert "the inventory's format is ORC" in cause(lambda: items(where, {"Key": "orc.json"}, config))
    assert "is no manifest of S3 Inventory" in cause(lambda: items(where, {"Key": "other.json"}, config))


def test_the_files_of_an_athena_manifest_are_read(local_cloud: LocalCloud) -> None:
    name = bucket(local_cloud, {"out/1.gz": gzip.compress(b"1,a\n"), "out/2.gz": gzip.compress(b"2,b\n")})
    client = local_cloud.client("s3")
    listed = f"s3://{name}/out/1.gz\ns3://{name}/out/2.gz\n"
    client.put_object(Bucket=name, Key="q-manifest.csv", Body=listed.encode())
    client.close()
    config = {"ManifestType": "ATHENA_DATA", "InputType": "CSV", "CSVHeaders": ["id", "name"]}
    read = pages(name, {"Key": "q-manifest.csv"}, config, cloud=local_cloud)
    assert [page.items for page in read] == [[{"id": "1", "name": "a"}], [{"id": "2", "name": "b"}]]
    assert [page.source for page in read] == [f"S3://{name}/out/1.gz", f"S3://{name}/out/2.gz"]


def test_a_manifest_opens_no_file_outside_of_its_folder(tmp_path: Path, local_cloud: LocalCloud) -> None:
    secret = tmp_path / "secret"
    secret.write_text("1\n")
    where = folder(tmp_path / "data", {"in.jsonl": "2\n", "good": f"in.jsonl\n{tmp_path.as_uri()}/data/in.jsonl\n"})
    config = {"ManifestType": "ATHENA_DATA", **JSONL}
    assert items(where, {"Key": "good"}, config) == [2, 2]
    for line in (secret.as_uri(), "../secret", f"{tmp_path.as_uri()}/data/../secret"):
        folder(tmp_path / "data", {"bad": f"in.jsonl\n{line}\n"})
        assert "secret" in cause(lambda: items(where, {"Key": "bad"}, config))
    name = bucket(local_cloud, {"bad": secret.as_uri()})
    told = cause(lambda: items(name, {"Key": "bad"}, config, cloud=local_cloud))
    assert told.startswith(f"S3://{name}/bad: line 1: ")


# ---- arguments and limits ----


@pytest.mark.parametrize(
    ("arguments", "config", "told"),
    [
        ({}, CSV, "The field 'Key' is required but was missing"),
        ({"Key": 5}, CSV, "The field 'Key' must be a string"),
        ({"Key": "file"}, {}, "ReaderConfig has no InputType"),
        ({"Key": "file"}, {"InputType": "XML"}, "InputType is 'XML'; it must be CSV, JSON"),
        ({"Key": "file"}, {"ManifestType": "X"}, "ManifestType is 'X'; it must be"),
        ({"Key": "file"}, {"ManifestType": "ATHENA_DATA", "InputType": "JSON"}, "must be CSV, JSONL or PARQUET"),
        ({"Key": "nothing"}, CSV, "/nothing: No such file or directory"),
        ({"Key": "in"}, CSV, "/in: is not a file"),
        ({"Key": "../outside"}, CSV, "the key '../outside' is no path of a file below this folder"),
        ({"Key": "/etc/passwd"}, CSV, "is no path of a file below this folder"),
        ({"Key": "away/passwd"}, CSV, "is no path of a file below this folder"),
        ({"Key": "file", "VersionId": "1"}, CSV, "/file: files have no versions"),
        ({"Key": "file", "ExpectedBucketOwner": "1"}, CSV, "a folder has no owner"),
    ],
)
def test_wrong_arguments_are_told(arguments: Any, config: Any, told: str, tmp_path: Path) -> None:
    where = folder(tmp_path / "data", {"file": "a\n1\n", "in/file": ""})
    (tmp_path / "outside").write_text("a\n1\n")
    (tmp_path / "data" / "away").symlink_to("/etc")
    assert told in cause(lambda: items(where, arguments, config))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "/pipe: is not a file" in cause(lambda: items(tmp_path.as_uri(), {"Key": "pipe"}, CSV))


@pytest.mark.parametrize("where", ["file://host/data", "file:data", "file://data"])
def test_a_folder_is_named_with_three_slashes(where: str) -> None:
    assert "write file:///path/to/folder" in cause(lambda: items(where, {"Key": "file"}, CSV))


def test_folders_can_be_held_to_some(tmp_path: Path) -> None:
    where = folder(tmp_path / "data", {"file": "1\n"})

    async def read(*allowed: Path) -> list[Any]:
        door = Access(folders=allowed)
        reader = {"resource": GET, "arguments": {"Bucket": where, "Key": "file"}, "config": JSONL}
        try:
            return [page.items async for page in DataSets(door).pages(reader, 0)]
        finally:
            await door.close()

    assert asyncio.run(read(tmp_path)) == [[1]]
    assert "outside the folders that workflows may use" in cause(lambda: asyncio.run(read(tmp_path / "other")))


@pytest.mark.parametrize(("most", "count"), [(None, 2500), (0, 2500), (1, 1), (1000, 1000), (1001, 1001), (9999, 2500)])
@pytest.mark.parametrize("skip", [0, 1, 999, 1000, 2499, 2500, 2600])
def test_items_are_skipped_and_limited(most: int | None, count: int, skip: int, tmp_path: Path) -> None:
    where = folder(tmp_path, {"file": "".join(f"{number}\n" for number in range(2500))})
    assert items(where, {"Key": "file"}, JSONL, skip=skip, most=most) == list(range(skip, count))


def test_a_negative_limit_is_refused_in_the_words_of_aws(tmp_path: Path) -> None:
    where = folder(tmp_path, {"file": "1\n"})
    assert cause(lambda: items(where, {"Key": "file"}, JSONL, most=-1)) == "field MaxItems must be positive"


def test_other_actions_read_nothing(tmp_path: Path) -> None:
    told = cause(lambda: items(tmp_path.as_uri(), {}, {}, resource="arn:aws:states:::s3:putObject"))
    assert told == "putObject reads no items; use s3:getObject or s3:listObjectsV2"


# ---- S3 ----


def test_what_s3_refuses_is_told_in_its_words(local_cloud: LocalCloud) -> None:
    name = bucket(local_cloud, {"file": "1\n"})
    told = cause(lambda: items(name, {"Key": "nothing"}, JSONL, cloud=local_cloud))
    assert told == (
        f"S3://{name}/nothing: The specified key does not exist. (Service: S3, Status Code: 404, Error Code: NoSuchKey)"
    )
    told = cause(lambda: items("no-such-bucket", {"Key": "file"}, JSONL, cloud=local_cloud))
    assert "Error Code: NoSuchBucket" in told
    told = cause(lambda: items("no-such-bucket", {}, {}, cloud=local_cloud, resource=LIST))
    assert "Error Code: NoSuchBucket" in told


def test_nobody_answering_is_told() -> None:
    nobody = LocalCloud("http://127.0.0.1:9")
    told = cause(lambda: items("bucket", {"Key": "file"}, JSONL, cloud=nobody))
    assert told.startswith("S3://bucket/file: Could not connect to the endpoint URL")


def test_a_version_is_read(local_cloud: LocalCloud) -> None:
    name = bucket(local_cloud, {})
    client = local_cloud.client("s3")
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket=name, Key="file", Body=b"1\n")["VersionId"]
    client.put_object(Bucket=name, Key="file", Body=b"2\n")
    client.close()
    assert items(name, {"Key": "file"}, JSONL, cloud=local_cloud) == [2]
    assert items(name, {"Key": "file", "VersionId": first}, JSONL, cloud=local_cloud) == [1]


def test_an_object_of_many_ranges_is_read_as_one(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "STRIDE", 1000)
    lines = [{"id": number} for number in range(2000)]
    name = bucket(local_cloud, {"file": "\n".join(map(json.dumps, lines))})
    assert items(name, {"Key": "file"}, JSONL, cloud=local_cloud) == lines


def test_an_object_that_is_replaced_while_it_is_read_is_told(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "STRIDE", 1000)
    name = bucket(local_cloud, {"file": "1\n" * 2000})

    async def read() -> None:
        door = access(local_cloud)
        reader = {"resource": GET, "arguments": {"Bucket": name, "Key": "file"}, "config": JSONL}
        source = DataSets(door).pages(reader, 0)
        try:
            await anext(source)
            client = local_cloud.client("s3")
            client.put_object(Bucket=name, Key="file", Body=b"2\n" * 2000)
            client.close()
            async for _ in source:
                pass
        finally:
            await source.aclose()
            await door.close()

    assert cause(lambda: asyncio.run(read())) == f"S3://{name}/file: was replaced while it was read"


def test_the_environment_leads_to_s3(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    name = bucket(local_cloud, {"file": "1\n"})
    for variable, value in local_cloud.environment.items():
        monkeypatch.setenv(variable, value)
    assert items(name, {"Key": "file"}, JSONL) == [1]


# ---- reading and letting go ----


def test_reading_can_be_given_up_at_any_time(tmp_path: Path) -> None:
    where = folder(tmp_path, {"file": "1\n" * 500_000})
    before = sorted(Path("/proc/self/fd").iterdir())

    async def read() -> None:
        door = access()
        reader = {"resource": GET, "arguments": {"Bucket": where, "Key": "file"}, "config": JSONL}

        async def all_of_it() -> None:
            source = DataSets(door).pages(reader, 0)
            try:
                async for _ in source:
                    pass
            finally:
                await source.aclose()

        for turns in range(0, 40, 3):
            task = asyncio.create_task(all_of_it())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        source = DataSets(door).pages(reader, 0)
        assert len((await anext(source)).items) == 1000
        await source.aclose()
        await door.close()

    asyncio.run(read())
    assert sorted(Path("/proc/self/fd").iterdir()) == before

"""Result files, written to folders and to S3."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from reading import access, bucket, cause, folder, items

from local_cloud import LocalCloud
from treadle.items import Access, ResultFiles, writer
from treadle.runtime.ports import MapResults

UNIQUE = "ad9b5f27-090b-3ac6-9beb-243cd77144a7"
RUN = f"arn:aws:states:us-east-1:123456789012:mapRun:orders/Map:{UNIQUE}"
PUT = "arn:aws:states:::s3:putObject"


def record(number: int, output: Any = None, status: str = "SUCCEEDED") -> dict[str, Any]:
    told = {
        "ExecutionArn": f"arn:aws:states:us-east-1:123456789012:execution:orders/Map:{number}",
        "Input": json.dumps(number),
        "InputDetails": {"Included": True},
        "Name": str(number),
        "RedriveCount": 0,
        "Status": status,
    }
    if status == "SUCCEEDED":
        return {**told, "Output": json.dumps(output), "OutputDetails": {"Included": True}}
    return {**told, "Error": "Oops", "Cause": "because"} if status == "FAILED" else told


def write(
    where: str,
    records: Sequence[Mapping[str, Any]],
    *,
    cloud: LocalCloud | None = None,
    transformation: str = "NONE",
    output_type: str = "JSON",
    arguments: Mapping[str, Any] | None = None,
    limit: int = writer.FILE_LIMIT,
    resource: str = PUT,
    between: Callable[[int], None] = lambda number: None,
) -> Any:
    """Write as a host does; what the Map puts out."""

    async def each() -> AsyncIterator[Mapping[str, Any]]:
        for number, one in enumerate(records):
            between(number)
            yield one

    async def go() -> Any:
        door: Access = access(cloud)
        given = {"Bucket": where, "Prefix": "out", **(arguments or {})}
        asked = {
            "resource": resource,
            "arguments": given,
            "outputType": output_type,
            "transformation": transformation,
        }
        try:
            return await ResultFiles(door, limit).write(asked, MapResults("Each", RUN, "arn:parent", each))
        finally:
            await door.close()

    return asyncio.run(go())


def why(work: Callable[[], object]) -> str:
    return cause(work, "States.ResultWriterFailed")


RECORDS = [
    record(0, {"n": 0}),
    record(1, status="FAILED"),
    record(2, [1, [2]]),
    record(3, status="TIMED_OUT"),
    record(4, status="ABORTED"),
    record(5, status="PENDING"),
    record(6, "é\n"),
]


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, local_cloud: LocalCloud) -> Any:
    """An empty bucket of either kind, and what finds an object in it."""
    if request.param == "folder":
        where = folder(tmp_path, {})
        return where, None, lambda key: (tmp_path / key).read_bytes()
    name = bucket(local_cloud, {})

    def get(key: str) -> bytes:
        client = local_cloud.client("s3")
        with client.get_object(Bucket=name, Key=key)["Body"] as body:
            content: bytes = body.read()
        client.close()
        return content

    return name, local_cloud, get


def test_the_manifest_names_the_files_of_each_status(place: Any) -> None:
    where, cloud, get = place
    output = write(where, RECORDS, cloud=cloud)
    key = f"out/{UNIQUE}/manifest.json"
    assert output == {"MapRunArn": RUN, "ResultWriterDetails": {"Bucket": where, "Key": key}}
    manifest = json.loads(get(key))
    assert list(manifest) == ["DestinationBucket", "MapRunArn", "ResultFiles"]
    assert (manifest["DestinationBucket"], manifest["MapRunArn"]) == (where, RUN)
    for kind, names in {"SUCCEEDED": "026", "FAILED": "134", "PENDING": "5"}.items():
        [told] = manifest["ResultFiles"][kind]
        assert told["Key"] == f"out/{UNIQUE}/{kind}_0.json"
        content = get(told["Key"])
        assert told["Size"] == len(content)
        assert json.loads(content) == [RECORDS[int(name)] for name in names]


FORMS = {
    ("COMPACT", "JSON"): '[{"n":0},[1,[2]],"é\\n"]',
    ("COMPACT", "JSONL"): '{"n":0}\n[1,[2]]\n"é\\n"\n',
    ("FLATTEN", "JSON"): '[{"n":0},1,[2],"é\\n"]',
    ("FLATTEN", "JSONL"): '{"n":0}\n1\n[2]\n"é\\n"\n',
}


@pytest.mark.parametrize(("transformation", "kind"), FORMS)
def test_outputs_are_written_as_the_transformation_says(transformation: str, kind: str, tmp_path: Path) -> None:
    write(folder(tmp_path, {}), RECORDS, transformation=transformation, output_type=kind)
    below = tmp_path / "out" / UNIQUE
    suffix = kind.lower()
    assert (below / f"SUCCEEDED_0.{suffix}").read_text() == FORMS[transformation, kind]
    failed = (below / f"FAILED_0.{suffix}").read_text()
    # AWS 'WriterConfig': what did not succeed is always written as it is.
    told = json.loads(failed) if kind == "JSON" else [json.loads(line) for line in failed.splitlines()]
    assert told == [RECORDS[1], RECORDS[3], RECORDS[4]]


def test_a_run_without_children_leaves_a_manifest_alone(tmp_path: Path) -> None:
    write(folder(tmp_path, {}), [])
    manifest = json.loads((tmp_path / "out" / UNIQUE / "manifest.json").read_text())
    assert manifest["ResultFiles"] == {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    assert [path.name for path in (tmp_path / "out" / UNIQUE).iterdir()] == ["manifest.json"]


def test_a_flattened_empty_list_leaves_nothing(tmp_path: Path) -> None:
    write(folder(tmp_path, {}), [record(0, [])], transformation="FLATTEN")
    assert [path.name for path in (tmp_path / "out" / UNIQUE).iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("prefix", [None, "", "a", "a/", "a/b"])
def test_the_prefix_is_a_folder(prefix: str | None, tmp_path: Path) -> None:
    output = write(folder(tmp_path, {}), [], arguments={"Prefix": prefix})
    above = f"{prefix.rstrip('/')}/" if prefix else ""
    assert output["ResultWriterDetails"]["Key"] == f"{above}{UNIQUE}/manifest.json"


@pytest.mark.parametrize("kind", ["JSON", "JSONL"])
@pytest.mark.parametrize("limit", [1, 20, 21, 22, 23, 24, 50, 1000])
def test_files_end_before_they_grow_beyond_the_limit(kind: str, limit: int, tmp_path: Path) -> None:
    where = folder(tmp_path, {})
    outputs = [f"{number:04}" for number in range(30)]
    records = [record(number, output) for number, output in enumerate(outputs)]
    write(where, records, transformation="COMPACT", output_type=kind, limit=limit)
    manifest = json.loads((tmp_path / "out" / UNIQUE / "manifest.json").read_text())
    told = manifest["ResultFiles"]["SUCCEEDED"]
    numbers = [each["Key"].rpartition("_")[2] for each in told]
    assert numbers == [f"{number}.{kind.lower()}" for number in range(len(told))]
    assert all(each["Size"] <= max(limit, 8) for each in told)
    read = [item for each in told for item in items(where, {"Key": each["Key"]}, {"InputType": kind})]
    assert read == outputs


def test_what_is_larger_than_a_part_is_written_in_parts(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    where, cloud, get = place
    large = [record(number, "x" * 3_000_000) for number in range(6)]
    write(where, large, cloud=cloud)
    assert json.loads(get(f"out/{UNIQUE}/SUCCEEDED_0.json")) == large


def test_writing_again_writes_the_same_files(tmp_path: Path) -> None:
    where = folder(tmp_path, {})

    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "out" / UNIQUE).iterdir()}

    first = write(where, RECORDS), content()
    assert (write(where, RECORDS), content()) == first


def test_what_fails_in_the_middle_leaves_no_file_behind(place: Any, local_cloud: LocalCloud) -> None:
    where, cloud, get = place
    write(where, RECORDS, cloud=cloud)
    before = get(f"out/{UNIQUE}/SUCCEEDED_0.json")

    def fail(number: int) -> None:
        if number == 5:
            raise RuntimeError("the store is gone")

    with pytest.raises(RuntimeError, match="the store is gone"):
        write(where, [record(number, "x" * 3_000_000) for number in range(6)], cloud=cloud, between=fail)
    assert get(f"out/{UNIQUE}/SUCCEEDED_0.json") == before
    if cloud:
        client = cloud.client("s3")
        assert "Uploads" not in client.list_multipart_uploads(Bucket=where)
        client.close()
    else:
        names = {path.name for path in Path(where.removeprefix("file://"), "out", UNIQUE).iterdir()}
        assert names == {"manifest.json", "SUCCEEDED_0.json", "FAILED_0.json", "PENDING_0.json"}


def test_what_s3_refuses_is_told(local_cloud: LocalCloud) -> None:
    told = why(lambda: write("no-such-bucket", RECORDS, cloud=local_cloud))
    assert told.startswith(f"S3://no-such-bucket/out/{UNIQUE}/")
    assert "Error Code: NoSuchBucket" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"Bucket": None}, "The arguments of the ResultWriter have no Bucket"),
        ({"Prefix": 5}, "Prefix and ExpectedBucketOwner of the ResultWriter must be strings"),
        ({"Prefix": "../outside"}, "is no path of a file below this folder"),
        ({"Prefix": "file/below"}, "Not a directory"),
        ({"ExpectedBucketOwner": "1"}, "a folder has no owner"),
    ],
)
def test_wrong_arguments_are_told(arguments: Mapping[str, Any], told: str, tmp_path: Path) -> None:
    where = folder(tmp_path / "data", {"file": ""})
    assert told in why(lambda: write(where, RECORDS, arguments=arguments))


def test_a_link_in_place_of_a_file_leads_nowhere(tmp_path: Path) -> None:
    where = folder(tmp_path / "data", {f"out/{UNIQUE}/": ""})
    (tmp_path / "data" / "out" / UNIQUE / ".manifest.json.part").symlink_to(tmp_path / "outside")
    assert "manifest.json: Too many levels of symbolic links" in why(lambda: write(where, []))
    assert not (tmp_path / "outside").exists()


def test_other_actions_write_nothing(tmp_path: Path) -> None:
    told = why(lambda: write(folder(tmp_path, {}), [], resource="arn:aws:states:::s3:getObject"))
    assert told == "getObject writes no results; use s3:putObject"

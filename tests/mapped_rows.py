"""A distributed Map over the rows of a CSV file, whose results are written beside it: what every host must do.

The bucket is one of S3 or a folder. The file is `rows.csv`; the results come below `out/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_cloud import LocalCloud

CSV = "name,count\nnuts,3\nbolts,12\n"


def machine(bucket: str) -> dict[str, Any]:
    """Each row is an execution that gives its row with the place it came from."""
    row = {"Row.$": "$$.Map.Item.Value", "From.$": "$$.Map.Item.Source"}
    each = {
        "Type": "Map",
        "Label": "each",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Parameters": {"Bucket": bucket, "Key": "rows.csv"},
        },
        "ItemSelector": row,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Keep",
            "States": {"Keep": {"Type": "Pass", "End": True}},
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": bucket, "Prefix": "out"},
        },
        "End": True,
    }
    return {"StartAt": "Each", "States": {"Each": each}}


def check(output: Any, source: str, read: Callable[[str], bytes]) -> None:
    """The manifest that the output names leads to the results. `read` gives the object of a key."""
    manifest = json.loads(read(output["ResultWriterDetails"]["Key"]))
    [file] = manifest["ResultFiles"]["SUCCEEDED"]
    outputs = [json.loads(record["Output"]) for record in json.loads(read(file["Key"]))]
    place = f"{source}/rows.csv"
    rows = [{"name": "nuts", "count": "3"}, {"name": "bolts", "count": "12"}]
    assert outputs == [{"Row": row, "From": place} for row in rows]


def in_folder(folder: Path) -> tuple[str, str, Callable[[str], bytes]]:
    """A folder with the file: as a bucket, as a source, and what reads it."""
    folder.mkdir()
    (folder / "rows.csv").write_text(CSV)
    return folder.as_uri(), folder.as_uri(), lambda key: (folder / key).read_bytes()


def in_s3(cloud: LocalCloud) -> tuple[str, str, Callable[[str], bytes]]:
    """A new bucket with the file: its name, as a source, and what reads it."""
    name = cloud.unique("rows")
    client = cloud.client("s3")
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="rows.csv", Body=CSV.encode())
    client.close()

    def read(key: str) -> bytes:
        reader = cloud.client("s3")
        try:
            return reader.get_object(Bucket=name, Key=key)["Body"].read()
        finally:
            reader.close()

    return name, f"S3://{name}", read

"""The result files of a map run: `manifest.json` beside SUCCEEDED_n, FAILED_n and PENDING_n, in S3 or in a folder.

In memory stands what one upload request takes, per status. All names follow from the map run's ARN, so that writing
again after a crash replaces each file; the manifest comes last, and whoever finds it finds all that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, Literal

import msgspec

from treadle.errors import StatesError
from treadle.items.access import Access, Lane
from treadle.items.objects import PART, Bucket, Fault, Upload
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object, json_text
from treadle.runtime.ports import MapResults

FILE_LIMIT: Final = 5 * 1024**3
"""AWS quota: the size of one result file, in bytes."""

Kind = Literal["FAILED", "PENDING", "SUCCEEDED"]

_KINDS: Final[Mapping[str, Kind]] = {
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "TIMED_OUT": "FAILED",
    "ABORTED": "FAILED",
}


class ResultFiles:
    """Writes what ResultWriter names, as `runtime.ports.ResultWriter` asks. `file_limit` is in bytes."""

    def __init__(self, access: Access, file_limit: int = FILE_LIMIT) -> None:
        self._access = access
        self._file_limit = file_limit

    async def write(self, writer: Mapping[str, Json], results: MapResults) -> Json:
        """Write all files; gives what the Map puts out. Raises States.ResultWriterFailed, and then leaves no file
        behind that was not complete."""
        try:
            with self._access.lane() as lane:
                return await self._write(lane, writer, results)
        except Fault as fault:
            raise StatesError("States.ResultWriterFailed", str(fault)) from None

    async def _write(self, lane: Lane, writer: Mapping[str, Json], results: MapResults) -> Json:
        action = str(writer["resource"]).rpartition(":")[2]
        if action != "putObject":
            raise Fault(f"{action} writes no results; use s3:putObject")
        name, owner, folder = _destination(writer.get("arguments"), results.map_run_arn)
        bucket = await lane.run(partial(self._access.bucket, name, owner))
        lines = writer["outputType"] == "JSONL"
        series: dict[Kind, _Series] = {
            kind: _Series(lane, bucket, f"{folder}{kind}", lines, self._file_limit)
            for kind in ("FAILED", "PENDING", "SUCCEEDED")
        }
        try:
            async for record in results.records():
                kind = _KINDS.get(record["Status"], "PENDING")
                for each in _results(record, writer["transformation"] if kind == "SUCCEEDED" else "NONE"):
                    await series[kind].add(json_text(each).encode("utf-8", "surrogatepass"))
            for each in series.values():
                await each.finish()
        except BaseException:
            for each in series.values():
                await each.abort()
            raise
        manifest = {
            "DestinationBucket": name,
            "MapRunArn": results.map_run_arn,
            "ResultFiles": {kind: each.files for kind, each in series.items()},
        }
        key = f"{folder}manifest.json"
        await lane.run(partial(_put, bucket, key, json_text(manifest).encode()))
        return {"MapRunArn": results.map_run_arn, "ResultWriterDetails": {"Bucket": name, "Key": key}}


def _destination(arguments: Json, map_run_arn: str) -> tuple[str, str | None, str]:
    """The bucket, its owner, and the folder that all keys begin with."""
    given: Mapping[str, Json] = arguments if is_object(arguments) else {}
    name, owner, prefix = given.get("Bucket"), given.get("ExpectedBucketOwner"), given.get("Prefix")
    if not isinstance(name, str) or not name:
        raise Fault("The arguments of the ResultWriter have no Bucket")
    if not isinstance(prefix, str | None) or not isinstance(owner, str | None):
        raise Fault("Prefix and ExpectedBucketOwner of the ResultWriter must be strings")
    above = f"{prefix.removesuffix('/')}/" if prefix else ""
    return name, owner, f"{above}{map_run_arn.rpartition(':')[2]}/"


def _results(record: Mapping[str, Json], transformation: str) -> list[Json]:
    """What stands in the file for a child. AWS 'WriterConfig': its record, its output, or its output's elements."""
    if transformation == "NONE":
        return [dict(record)]
    output: Json = record.get("Output")
    if isinstance(output, str):
        # A record has the output as text, as every AWS API has.
        output = msgspec.json.decode(output)
    return output if transformation == "FLATTEN" and is_array(output) else [output]


def _put(bucket: Bucket, key: str, content: bytes) -> None:
    upload = bucket.create(key, "application/json")
    try:
        upload.finish(content)
    except BaseException:
        upload.abort()
        raise


class _Series:
    """The files of one status: the next begins where one more result would be too much for the last."""

    def __init__(self, lane: Lane, bucket: Bucket, name: str, lines: bool, limit: int) -> None:
        self._lane = lane
        self._bucket = bucket
        self._name = name
        self._type = "application/jsonl" if lines else "application/json"
        self._suffix = "jsonl" if lines else "json"
        self._opening, self._between, self._closing = (b"", b"\n", b"\n") if lines else (b"[", b",", b"]")
        self._limit = limit
        self._upload: Upload | None = None
        self._buffer = bytearray()
        self._size = 0
        self.files: list[dict[str, Json]] = []

    async def add(self, result: bytes) -> None:
        """One more result, as text."""
        if self._upload is not None and self._size + len(result) + 2 > self._limit:
            await self.finish()
        if self._upload is None:
            create = partial(self._bucket.create, self._key(), self._type)
            self._upload = await self._lane.run(create)
            self._append(self._opening)
        else:
            self._append(self._between)
        self._append(result)
        if len(self._buffer) >= PART:
            part, self._buffer = bytes(self._buffer), bytearray()
            await self._lane.run(partial(self._upload.write, part))

    async def finish(self) -> None:
        """Complete the file that is open, where one is."""
        if self._upload is None:
            return
        self._append(self._closing)
        last, self._buffer = bytes(self._buffer), bytearray()
        await self._lane.run(partial(self._upload.finish, last))
        self.files.append({"Key": self._key(), "Size": self._size})
        self._upload, self._size = None, 0

    async def abort(self) -> None:
        """Leave nothing of the file that is open. What failed already is the fault to tell, not what follows it."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            await self._lane.run(partial(_abort, upload))

    def _key(self) -> str:
        return f"{self._name}_{len(self.files)}.{self._suffix}"

    def _append(self, text: bytes) -> None:
        self._buffer += text
        self._size += len(text)


def _abort(upload: Upload) -> None:
    try:
        upload.abort()
    except Fault:
        return

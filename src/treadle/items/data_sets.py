"""What an ItemReader names, as blocks of items: one object, all objects of a listing, or the objects of a manifest.

Owns the rules of ReaderConfig: which fields go together, and what a manifest says. How a format is read is the
business of its own module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import msgspec

from treadle.items.access import Access
from treadle.items.blocks import Block
from treadle.items.csv_rows import DELIMITERS, csv_blocks
from treadle.items.json_items import json_blocks
from treadle.items.json_lines import json_lines_blocks
from treadle.items.objects import Bucket, Fault, Listed, Object
from treadle.items.parquet_rows import parquet_blocks
from treadle.items.pieces import pieces
from treadle.language.members import Members
from treadle.language.scope import Json
from treadle.language.values import is_array, is_object

FILE_LIMIT: Final = 10 * 1024**3
"""AWS quota: the size of one file of a data set, in bytes."""

MANIFEST_LIMIT: Final = 64 * 1024 * 1024
"""An inventory's manifest is read as a whole; one of this size would name half a million files."""

_MEMBERS: Final = Members(Fault)

LIST, GET = "listObjectsV2", "getObject"


@dataclass(frozen=True, slots=True)
class Format:
    """How an object is read. `headers` is None where the first row of a CSV file has them."""

    type: str
    delimiter: str = ","
    headers: Sequence[str] | None = None
    pointer: str | None = None


def blocks(access: Access, resource: str, arguments: Json, config: Json) -> Iterator[Block]:
    """The data set's items. Raises Fault, now or while it is read."""
    given: Mapping[str, Json] = arguments if is_object(arguments) else {}
    settings: Mapping[str, Json] = config if is_object(config) else {}
    owner, version = _MEMBERS.optional_text(given, "ExpectedBucketOwner"), _MEMBERS.optional_text(given, "VersionId")
    bucket = access.bucket(_MEMBERS.required_text(given, "Bucket"), owner)
    match resource.rpartition(":")[2]:
        case "listObjectsV2":
            prefix = _MEMBERS.optional_text(given, "Prefix") or ""
            if settings.get("Transformation", "NONE") == "NONE":
                return _listed(bucket, prefix)
            return _loaded(bucket, prefix, _format(settings))
        case "getObject":
            return _object(access, bucket, owner, _MEMBERS.required_text(given, "Key"), version, settings)
        case action:
            raise Fault(f"{action} reads no items; use s3:{GET} or s3:{LIST}")


def _object(
    access: Access, bucket: Bucket, owner: str | None, key: str, version: str | None, settings: Mapping[str, Json]
) -> Iterator[Block]:
    manifest = settings.get("ManifestType") or ("S3_INVENTORY" if settings.get("InputType") == "MANIFEST" else None)
    match manifest:
        case None:
            format = _format(settings)
            if format.type == "PARQUET" and version is not None:
                # AWS 'ItemReader': Parquet files are read in their current version alone.
                raise Fault(f"{bucket.source}/{key}: VersionId cannot be used with PARQUET")
            return _read(bucket, key, version, format)
        case "S3_INVENTORY":
            return _inventory(access, bucket, owner, key, version)
        case "ATHENA_DATA":
            return _unloaded(access, bucket, owner, key, version, _format(settings, header=False))
        case _:
            raise Fault(f"ManifestType is {manifest!r}; it must be S3_INVENTORY or ATHENA_DATA")


# ---- what ReaderConfig says ------------------------------------------------------------------------------------------


def _format(settings: Mapping[str, Json], *, header: bool = True) -> Format:
    """The format of the objects; `header` tells whether CSV files may have one."""
    match kind := settings.get("InputType"):
        case "CSV":
            return Format("CSV", _delimiter(settings), _headers(settings, header=header))
        case "JSON":
            return Format("JSON", pointer=_MEMBERS.optional_text(settings, "ItemsPointer"))
        case "JSONL" | "PARQUET":
            return Format(kind)
        case None:
            raise Fault("ReaderConfig has no InputType; it must be CSV, JSON, JSONL, PARQUET or MANIFEST")
        case _:
            raise Fault(f"InputType is {kind!r}; it must be CSV, JSON, JSONL, PARQUET or MANIFEST")


def _delimiter(settings: Mapping[str, Json]) -> str:
    name = settings.get("CSVDelimiter", "COMMA")
    if not isinstance(name, str) or name not in DELIMITERS:
        raise Fault(f"CSVDelimiter is {name!r}; it must be one of {', '.join(DELIMITERS)}")
    return DELIMITERS[name]


def _headers(settings: Mapping[str, Json], *, header: bool) -> Sequence[str] | None:
    headers: Json = settings.get("CSVHeaders")
    match where := settings.get("CSVHeaderLocation", "GIVEN" if headers else "FIRST_ROW" if header else "GIVEN"):
        case "FIRST_ROW":
            return None
        case "GIVEN" if is_array(headers) and headers and all(isinstance(each, str) for each in headers):
            return headers
        case "GIVEN":
            raise Fault("CSVHeaders must be a list of the columns' names where CSVHeaderLocation is GIVEN")
        case _:
            raise Fault(f"CSVHeaderLocation is {where!r}; it must be FIRST_ROW or GIVEN")


# ---- sources ---------------------------------------------------------------------------------------------------------


def _read(bucket: Bucket, key: str, version: str | None, format: Format) -> Iterator[Block]:
    with bucket.open(key, version) as object:
        if object.size > FILE_LIMIT:
            raise Fault(f"{object.source}: is larger than {FILE_LIMIT} bytes")
        yield from _decoded(object, format)


def _decoded(object: Object, format: Format) -> Iterator[Block]:
    match format.type:
        case "CSV":
            return csv_blocks(object, format.delimiter, format.headers)
        case "JSON":
            return json_blocks(object, format.pointer)
        case "JSONL":
            return json_lines_blocks(object)
        case _:
            return parquet_blocks(object)


def _listed(bucket: Bucket, prefix: str) -> Iterator[Block]:
    for page in bucket.listing(prefix):
        yield Block(bucket.source, len(page), partial(map, _item, page))


def _item(listed: Listed) -> Json:
    return {
        "Etag": listed.etag,
        "Key": listed.key,
        "LastModified": int(listed.modified),
        "Size": listed.size,
        "StorageClass": listed.storage_class,
    }


def _loaded(bucket: Bucket, prefix: str, format: Format) -> Iterator[Block]:
    for page in bucket.listing(prefix):
        for listed in page:
            # The console makes empty objects to show folders.
            if listed.size or not listed.key.endswith("/"):
                yield from _read(bucket, listed.key, None, format)


# ---- manifests -------------------------------------------------------------------------------------------------------


def _whole(bucket: Bucket, key: str, version: str | None) -> tuple[str, bytes]:
    """A manifest's name and content."""
    with bucket.open(key, version) as object:
        if object.size > MANIFEST_LIMIT:
            raise Fault(f"{object.source}: a manifest of more than {MANIFEST_LIMIT} bytes is not read")
        return object.source, b"".join(pieces(object))


def _inventory(access: Access, bucket: Bucket, owner: str | None, key: str, version: str | None) -> Iterator[Block]:
    """S3 Inventory: gzipped CSV files without header, their columns named in the manifest."""
    source, text = _whole(bucket, key, version)
    try:
        manifest = msgspec.json.decode(text, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Fault(f"{source}: is no manifest of S3 Inventory: {error}") from None
    if manifest.fileFormat != "CSV":
        raise Fault(f"{source}: the inventory's format is {manifest.fileFormat}; only CSV can be read")
    format = Format("CSV", headers=[each.strip() for each in manifest.fileSchema.split(",")])
    # The files lie where the inventory was delivered, which need not be where this copy of the manifest lies.
    if bucket.source.startswith("S3:") and manifest.destinationBucket:
        bucket = access.bucket(manifest.destinationBucket.removeprefix("arn:aws:s3:::"), owner)
    for file in manifest.files:
        yield from _read(bucket, file.key, None, format)


class _InventoryFile(msgspec.Struct, frozen=True):
    key: str


class _Manifest(msgspec.Struct, frozen=True):
    fileFormat: str
    fileSchema: str
    files: list[_InventoryFile]
    destinationBucket: str = ""


def _unloaded(
    access: Access, bucket: Bucket, owner: str | None, key: str, version: str | None, format: Format
) -> Iterator[Block]:
    """Athena UNLOAD: a manifest with one URL of a data file per line."""
    if format.type not in ("CSV", "JSONL", "PARQUET"):
        raise Fault(f"InputType is {format.type}; with ATHENA_DATA it must be CSV, JSONL or PARQUET")
    source, text = _whole(bucket, key, version)
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        if url := line.strip().strip('"'):
            holder, name = _location(access, bucket, owner, url, f"{source}: line {number}")
            yield from _read(holder, name, None, format)


def _location(access: Access, bucket: Bucket, owner: str | None, url: str, place: str) -> tuple[Bucket, str]:
    """The bucket and key of a data file. What is written in a manifest opens no file outside the manifest's folder."""
    parts = urlsplit(url)
    if parts.scheme.lower() == "s3" and parts.netloc and len(parts.path) > 1:
        return access.bucket(parts.netloc, owner), url.split("/", 3)[3]
    if bucket.source.startswith("file:"):
        if not parts.scheme:
            return bucket, url
        if url.startswith(f"{bucket.source}/"):
            return bucket, url.removeprefix(f"{bucket.source}/")
    raise Fault(f"{place}: {url!r} is no s3:// URL of an object")

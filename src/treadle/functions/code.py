"""Code of functions on the disk, by its content: what was uploaded as a zip, and the folder that it is run from.

The zip is what counts: it is on the disk before anybody hears of it, and a folder that is missing is unpacked again. A
zip is unpacked beside its place and moved there in one step, so a folder is whole or absent. What is uploaded is not
trusted: nothing leaves the folder, nothing is a link, nothing is larger than Lambda allows.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Final

from treadle.errors import TreadleError

# Lambda 'Quotas', deployment package.
ZIP_LIMIT: Final = 50 * 1024 * 1024
"""Bytes of a zip that comes within a request."""
STORED_ZIP_LIMIT: Final = 250 * 1024 * 1024
"""Bytes of a zip that comes from S3."""
UNZIPPED_LIMIT: Final = 262_144_000
FILES_LIMIT: Final = 50_000
_CHUNK: Final = 1 << 20
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
)


class BadCode(TreadleError):
    """A zip that cannot be the code of a function. The message is Lambda's where Lambda has one."""


@dataclass(frozen=True, slots=True)
class Package:
    """Code that is kept. `digest` is the SHA-256 of the zip in hexadecimal, `size` its bytes."""

    digest: str
    size: int

    @property
    def sha256(self) -> str:
        """Lambda's CodeSha256."""
        return base64.b64encode(bytes.fromhex(self.digest)).decode()


def package_of(content: bytes, limit: int = ZIP_LIMIT) -> Package:
    """What a zip is known by. Raises BadCode."""
    if len(content) > limit:
        raise BadCode(f"Zipped size must be smaller than {limit} bytes")
    return Package(hashlib.sha256(content).hexdigest(), len(content))


class CodeFolder:
    """Keeps packages below a folder. Its methods block: call them on a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: bytes, limit: int = ZIP_LIMIT) -> Package:
        """Keep a zip, unpacked. On the disk when it returns; keeping it again changes nothing. Raises BadCode."""
        package = package_of(content, limit)
        archive = self._archive(package.digest)
        if not archive.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._unpack(content, package.digest)
            _write_through(archive, content)
        return package

    def folder(self, digest: str) -> Path:
        """Where a package can be run from. Raises BadCode where its zip is gone."""
        unpacked = self._folder / digest
        if not unpacked.is_dir():
            try:
                content = self._archive(digest).read_bytes()
            except OSError as error:
                raise BadCode(f"The code {digest} is not there any more: {error}") from None
            self._unpack(content, digest)
        return unpacked

    def archive(self, digest: str) -> Path:
        """The zip of a package."""
        return self._archive(digest)

    def _archive(self, digest: str) -> Path:
        return self._folder / f"{digest}.zip"

    def _unpack(self, content: bytes, digest: str) -> None:
        target = self._folder / digest
        beside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=self._folder))
        try:
            _extract(content, beside)
            beside.chmod(0o755)
            try:
                beside.rename(target)
            except OSError:
                # Somebody else was faster; what is there has the same content.
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _extract(content: bytes, folder: Path) -> None:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > FILES_LIMIT:
                raise BadCode(f"A deployment package has {FILES_LIMIT} files at the most")
            if not members:
                raise BadCode("Uploaded file must be a non-empty zip")
            left = UNZIPPED_LIMIT
            for member in members:
                left -= _extract_one(archive, member, folder, left)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise BadCode(
            f"Could not unzip uploaded file. Please check your file, then try to upload again. ({error})"
        ) from None


def _extract_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Unpack one member; gives its size, which is measured, not believed."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    mode = member.external_attr >> 16
    if path.is_absolute() or ".." in path.parts or "\0" in member.filename or ":" in path.parts[:1]:
        raise BadCode(f"The zip has a file outside of its folder: {member.filename[:200]!r}")
    if stat.S_ISLNK(mode):
        raise BadCode(f"The zip has a link, which cannot be used here: {member.filename[:200]!r}")
    target = folder.joinpath(*path.parts)
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(member) as source, target.open("wb") as sink:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise BadCode(f"Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes")
            sink.write(chunk)
    target.chmod(0o755 if mode & 0o111 else 0o644)
    return size


def _write_through(path: Path, content: bytes) -> None:
    """Write a file so that it is whole on the disk, or absent."""
    descriptor, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    with os.fdopen(descriptor, "wb") as sink:
        sink.write(content)
        sink.flush()
        os.fsync(sink.fileno())
    Path(name).replace(path)
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)

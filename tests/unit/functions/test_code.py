"""Code that is uploaded: kept by its content, unpacked with care."""

from __future__ import annotations

import io
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from treadle.functions import code as module
from treadle.functions.code import BadCode, CodeFolder


def zipped(*files: tuple[str, bytes], mode: int = 0o644, kind: int = stat.S_IFREG) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | mode) << 16
            archive.writestr(info, content)
    return sink.getvalue()


def test_a_package_is_kept_by_its_content_and_unpacked(tmp_path: Path) -> None:
    folder = CodeFolder(tmp_path / "code")
    content = zipped(("app.py", b"1"), ("lib/x.py", b"2"))
    package = folder.keep(content)
    assert folder.keep(content) == package and package.size == len(content)
    place = folder.folder(package.digest)
    assert (place / "app.py").read_bytes() == b"1" and (place / "lib" / "x.py").read_bytes() == b"2"
    assert folder.archive(package.digest).read_bytes() == content
    assert sorted(each.name for each in (tmp_path / "code").iterdir()) == sorted(
        (package.digest, f"{package.digest}.zip")
    )


def test_what_is_not_unpacked_any_more_is_unpacked_again(tmp_path: Path) -> None:
    folder = CodeFolder(tmp_path)
    digest = folder.keep(zipped(("app.py", b"1"))).digest
    shutil.rmtree(tmp_path / digest)
    assert (folder.folder(digest) / "app.py").read_bytes() == b"1"
    shutil.rmtree(tmp_path / digest)
    (tmp_path / f"{digest}.zip").unlink()
    with pytest.raises(BadCode, match="not there any more"):
        folder.folder(digest)


def test_programs_stay_programs(tmp_path: Path) -> None:
    folder = CodeFolder(tmp_path)
    place = folder.folder(folder.keep(zipped(("run", b"#!"), mode=0o755)).digest)
    assert stat.S_IMODE((place / "run").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "..\\evil", "a\\..\\..\\evil"], ids=lambda name: name.replace("/", "|")
)
def test_nothing_leaves_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    with pytest.raises(BadCode, match="outside of its folder"):
        CodeFolder(folder).keep(zipped(("app.py", b"1"), (name, b"evil")))
    assert list(folder.iterdir()) == [], "neither the package nor what was unpacked of it"
    assert not (tmp_path / "evil").exists()


def test_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCode, match="link"):
        CodeFolder(tmp_path).keep(zipped(("passwd", b"/etc/passwd"), kind=stat.S_IFLNK))


def test_what_is_too_large_is_refused_by_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = zipped(("zeros", bytes(1_000_000)))
    with pytest.raises(BadCode, match="Zipped size must be smaller than 100 bytes"):
        CodeFolder(tmp_path).keep(content, 100)
    monkeypatch.setattr(module, "UNZIPPED_LIMIT", 500_000)
    with pytest.raises(BadCode, match="Unzipped size must be smaller"):
        CodeFolder(tmp_path).keep(content)
    monkeypatch.setattr(module, "FILES_LIMIT", 1)
    with pytest.raises(BadCode, match="1 files"):
        CodeFolder(tmp_path).keep(zipped(("a", b""), ("b", b"")))


@pytest.mark.parametrize("content", [b"", b"no zip", zipped(("app.py", b"12345" * 50))[:-30], zipped()])
def test_what_is_no_zip_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadCode, match=r"unzip|non-empty"):
        CodeFolder(tmp_path).keep(content)

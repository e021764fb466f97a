"""Secrets at rest: who can open them, and what happens when keys change, are lost, or lie open."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from treadle.integrations.sealing import VARIABLE, Sealer, SealingError


def key(fill: bytes) -> str:
    return base64.b64encode(fill * 32).decode()


def test_what_is_sealed_is_opened_by_another_process_with_the_same_file(tmp_path: Path) -> None:
    sealed = Sealer(tmp_path / "k", {}).seal(b"secret", "here")
    assert b"secret" not in sealed
    assert Sealer(tmp_path / "k", {}).open(sealed, "here") == b"secret"


def test_the_key_file_is_for_its_owner_alone_and_is_refused_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "k"
    sealed = Sealer(path, {}).seal(b"secret", "here")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["k"]
    path.chmod(0o640)
    with pytest.raises(SealingError, match="chmod 600"):
        Sealer(path, {}).open(sealed, "here")


def test_the_same_secret_is_never_sealed_the_same_way_twice() -> None:
    sealer = Sealer(None, {})
    assert len({sealer.seal(b"secret", "here") for _ in range(100)}) == 100


def test_a_secret_cannot_be_moved_to_another_place_or_changed() -> None:
    sealer = Sealer(None, {})
    sealed = sealer.seal(b"secret", "here")
    with pytest.raises(SealingError, match="there was changed"):
        sealer.open(sealed, "there")
    for position in range(len(sealed)):
        broken = bytearray(sealed)
        broken[position] ^= 1
        with pytest.raises(SealingError):
            sealer.open(bytes(broken), "here")
    for length in range(len(sealed)):
        with pytest.raises(SealingError):
            sealer.open(sealed[:length], "here")


def test_after_a_rotation_old_secrets_open_and_new_ones_need_the_new_key(tmp_path: Path) -> None:
    path = tmp_path / "k"
    old = Sealer(path, {}).seal(b"old", "here")
    before = path.read_text()
    Sealer(path, {}).rotate()
    assert path.read_text().endswith(before) and stat.S_IMODE(path.stat().st_mode) == 0o600
    sealer = Sealer(path, {})
    new = sealer.seal(b"new", "here")
    assert (sealer.open(old, "here"), sealer.open(new, "here")) == (b"old", b"new")
    path.write_text(before)
    with pytest.raises(SealingError, match="another key"):
        Sealer(path, {}).open(new, "here")


def test_keys_of_the_environment_come_before_the_file_and_the_first_one_seals(tmp_path: Path) -> None:
    one, two = {VARIABLE: key(b"1")}, {VARIABLE: f"{key(b'2')},{key(b'1')}"}
    old = Sealer(tmp_path / "k", one).seal(b"old", "here")
    new = Sealer(tmp_path / "k", two).seal(b"new", "here")
    assert Sealer(None, two).open(old, "here") == b"old"
    with pytest.raises(SealingError):
        Sealer(None, one).open(new, "here")
    assert not (tmp_path / "k").exists()
    with pytest.raises(SealingError, match=VARIABLE):
        Sealer(None, one).rotate()


@pytest.mark.parametrize("keys", ["", "short", base64.b64encode(b"x" * 16).decode(), "%%%"])
def test_a_key_that_is_none_is_refused_without_being_shown(keys: str) -> None:
    with pytest.raises(SealingError, match="openssl rand") as refused:
        Sealer(None, {VARIABLE: keys}).seal(b"secret", "here")
    assert not keys or keys not in str(refused.value)


def test_a_lost_key_is_not_replaced_by_reading(tmp_path: Path) -> None:
    sealed = Sealer(tmp_path / "k", {}).seal(b"secret", "here")
    (tmp_path / "k").unlink()
    with pytest.raises(SealingError, match="restore it"):
        Sealer(tmp_path / "k", {}).open(sealed, "here")
    assert not (tmp_path / "k").exists()

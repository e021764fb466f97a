"""Secrets at rest: sealed with AES-256-GCM under a key that is not kept where they are.

Owns the keys and the form of what is sealed: a version, the name of the key, a nonce, the ciphertext. The first key
seals; all of them open, so that a key can be replaced while old secrets are still readable. What is sealed for one
place cannot be opened in another. Must never write a key or a plain secret anywhere but into the key file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from treadle.errors import TreadleError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VARIABLE: Final = "TREADLE_SECRET_KEY"
"""The environment variable that holds keys instead of a file: base64 of 32 bytes each, the current one first."""

_VERSION: Final = b"\x01"
_KEY: Final = 32
_NAME: Final = 8
_NONCE: Final = 12
_PUBLIC: Final = stat.S_IRWXG | stat.S_IRWXO


class SealingError(TreadleError):
    """A key is missing or unusable, or what was sealed cannot be opened. The message says what to do."""


class Sealer:
    """Seals and opens secrets with the keys of the environment, or else of a file, which it makes when it first seals.

    `path` is None where nothing outlives the process: the key does not either.
    """

    def __init__(self, path: Path | None, environment: Mapping[str, str] = os.environ) -> None:
        self._path = path
        self._given = environment.get(VARIABLE)
        self._keys: Sequence[bytes] = ()

    def seal(self, plain: bytes, place: str) -> bytes:
        """Seal for a place. Raises SealingError."""
        key = self._known(make=True)[0]
        nonce = secrets.token_bytes(_NONCE)
        return _VERSION + _name(key) + nonce + _cipher(key).encrypt(nonce, plain, _bound(place))

    def open(self, sealed: bytes, place: str) -> bytes:
        """Open what was sealed for this place. Raises SealingError."""
        from cryptography.exceptions import InvalidTag

        name, rest = sealed[1 : 1 + _NAME], sealed[1 + _NAME :]
        key = next((key for key in self._known(make=False) if _name(key) == name), None)
        if sealed[:1] != _VERSION or key is None:
            raise SealingError(f"{place} was sealed with another key: restore it in {self._where()}, or put it again.")
        try:
            return _cipher(key).decrypt(rest[:_NONCE], rest[_NONCE:], _bound(place))
        except (InvalidTag, ValueError):
            raise SealingError(f"{place} was changed after it had been sealed: put it again.") from None

    def rotate(self) -> None:
        """Seal with a new key from now on; the old ones still open. Raises SealingError."""
        if self._given is not None:
            raise SealingError(f"The keys come from {VARIABLE}: put a new one before the others there.")
        keys = self._known(make=True)
        self._keys = [secrets.token_bytes(_KEY), *keys]
        if self._path is not None:
            _replace(self._path, self._keys)

    def _known(self, make: bool) -> Sequence[bytes]:
        if not self._keys:
            self._keys = self._read(make)
        return self._keys

    def _read(self, make: bool) -> Sequence[bytes]:
        if self._given is not None:
            return _keys(self._given.replace(",", " ").split(), VARIABLE)
        if self._path is None:
            return [secrets.token_bytes(_KEY)] if make else []
        try:
            return _from_file(self._path)
        except FileNotFoundError:
            if not make:
                return []
        try:
            _write(self._path, [secrets.token_bytes(_KEY)])
        except FileExistsError:
            pass  # another process was faster, and its key counts
        except OSError as error:
            raise SealingError(f"{self._path}: the key cannot be kept: {error.strerror}.") from None
        return _from_file(self._path)

    def _where(self) -> str:
        return VARIABLE if self._given is not None else str(self._path or "this process")


def _from_file(path: Path) -> Sequence[bytes]:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _PUBLIC:
                raise SealingError(f"{path}: others may read the key. Run: chmod 600 {path}")
            return _keys(file.read().decode("ascii", "replace").split(), str(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SealingError(f"{path}: the key cannot be read: {error.strerror}.") from None


def _keys(texts: Sequence[str], where: str) -> Sequence[bytes]:
    keys: list[bytes] = []
    for number, text in enumerate(texts, 1):
        try:
            key = base64.b64decode(text, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY:
            raise SealingError(
                f"{where}: key {number} is not the base64 of {_KEY} bytes. Make one: openssl rand -base64 32"
            )
        keys.append(key)
    if not keys:
        raise SealingError(f"{where} has no key. Make one: openssl rand -base64 32")
    return keys


def _write(path: Path, keys: Sequence[bytes]) -> None:
    """Write a new file, which nobody else may read at any moment. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: who finds the file must find the key in it.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _draft(draft, keys)
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _replace(path: Path, keys: Sequence[bytes]) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _draft(draft, keys)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise SealingError(f"{path}: the key cannot be kept: {error.strerror}.") from None


def _draft(path: Path, keys: Sequence[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(base64.urlsafe_b64encode(key) + b"\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"treadle key name" + key).digest()[:_NAME]


def _bound(place: str) -> bytes:
    return place.encode("utf-8", "surrogatepass")


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)

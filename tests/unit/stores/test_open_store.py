from __future__ import annotations

from pathlib import Path

import pytest

from treadle.errors import StoreError
from treadle.stores import MemoryStore, SqliteStore, open_store


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/orders.db", "/var/lib/orders.db"),
        ("sqlite:////var/lib/orders.db", "/var/lib/orders.db"),
        ("sqlite:///var/lib/my%20orders.db", "/var/lib/my orders.db"),
        ("sqlite:///var/lib/orders", "/var/lib/orders/treadle.db"),
        ("/var/lib/orders.db", "/var/lib/orders.db"),
        ("/var/lib/orders", "/var/lib/orders/treadle.db"),
        ("/var/lib/orders.d/", "/var/lib/orders.d/treadle.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert store.path == Path(path)


def test_a_bare_path_starts_at_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.v2").mkdir()
    for url, path in ((".treadle", ".treadle/treadle.db"), ("data.v2", "data.v2/treadle.db"), ("a/b.db", "a/b.db")):
        store = open_store(url)
        assert isinstance(store, SqliteStore)
        assert store.path == tmp_path / path


def test_memory_is_a_store_as_well() -> None:
    assert isinstance(open_store("memory:"), MemoryStore)


@pytest.mark.parametrize("url", ["", "postgresql://localhost/treadle", "sqlite://", "sqlite://host/orders.db"])
def test_any_other_url_is_refused_with_the_ones_that_are_known(url: str) -> None:
    with pytest.raises(StoreError, match="memory:, sqlite:///path"):
        open_store(url)

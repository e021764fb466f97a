"""Every test that takes `store` runs on each store."""

from __future__ import annotations

from pathlib import Path

import pytest

from treadle.runtime.ports import Store
from treadle.stores import MemoryStore, SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store, not yet opened."""
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "treadle.db")

"""The wheel: everything that treadle needs is in it, and it works where nothing else of treadle is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the backend of the lock, from a copy, and without asking anybody for anything."""
    place = tmp_path_factory.mktemp("package")
    without = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", place / "source" / "src", ignore=without)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, place / "source" / name)
    pip(place, "wheel", "--no-build-isolation", "--wheel-dir", "made", str(place / "source"))
    [made] = (place / "made").glob("treadle-*.whl")
    return made


def pip(place: Path, what: str, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", what, "--no-index", "--no-deps", *words]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_of_the_source_is_in_the_wheel(wheel: Path) -> None:
    source = ROOT / "src"
    files = [each for each in (source / "treadle").rglob("*") if each.is_file() and "__pycache__" not in each.parts]
    with zipfile.ZipFile(wheel) as opened:
        packed = set(opened.namelist())
    missing = {str(each.relative_to(source)) for each in files} - packed
    assert missing == set(), "name them in package-data of pyproject.toml"
    # What a solution is made of, what starts functions, and what says that there are types.
    folder = "treadle/solutions/approval"
    for name in ("README.md", "template.yaml", "statemachine.asl.yaml", "terraform/main.tf", "functions/call.py"):
        assert f"{folder}/{name}" in packed
    assert {"treadle/functions/bootstrap/node.mjs", "treadle/py.typed"} <= packed
    assert not {each for each in packed if "__pycache__" in each}


def test_the_demo_of_the_approval_works_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    pip(tmp_path, "install", "--quiet", "--target", str(tmp_path / "installed"), str(wheel))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON", "TREADLE_"))}
    environment = kept | {"PYTHONPATH": str(tmp_path / "installed")}

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = run("-c", "import treadle.cli.demo, treadle.solutions.approval as s; print(s.__file__)")
    assert where.startswith(str(tmp_path / "installed"))
    told = run("-m", "treadle", "demo", "approval")
    assert "waits for PROJ-12345. Now the server is killed." in told
    assert "success decided by ann" in told and "\nSUCCEEDED\n" in told

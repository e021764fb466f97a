"""The rules of the architecture that a machine can check. CONTRIBUTING.md says why each of them holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "treadle").rglob("*.py"))
PURE = [path for path in SOURCES if path.relative_to(ROOT / "src" / "treadle").parts[0] in ("language", "machine")]

CLOCK = ("time", "sched")
CHANCE = ("random", "secrets", "uuid")
CONCURRENCY = ("asyncio", "concurrent", "contextvars", "multiprocessing", "queue", "threading")
FILES = ("glob", "io", "os", "pathlib", "shutil", "sqlite3", "tempfile")
NETWORK = ("http", "selectors", "socket", "ssl", "urllib")
PROCESS = ("ctypes", "logging", "signal", "subprocess")
WORLDLY = frozenset(CLOCK + CHANCE + CONCURRENCY + FILES + NETWORK + PROCESS)

# `datetime` itself is for computing with dates; only its clocks are forbidden.
CLOCKS = frozenset(("now", "today", "utcnow"))
BUILTINS_OF_THE_WORLD = frozenset(("open", "input", "print"))

# Longer modules hold two ideas more often than not.
LONGEST = 500
REASON = "Longer than 500 lines because"

REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com|proxy\.golang\.org|crates\.io")
CHECKOUT = re.compile(r"(?<![\w.~/-])/(?:home|root|Users|work|workspace|builds)/[A-Za-z.]")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def impurities(source: str) -> list[str]:
    """Everything in the source that reaches for the world, as `line: what`."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.expr | ast.stmt)]
    return [f"{node.lineno}: {name}" for node in nodes for name in impure_names(node)]


def impure_names(node: ast.expr | ast.stmt) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [each.name for each in names if each.name.split(".")[0] in WORLDLY]
        case ast.ImportFrom(module=str(module)):
            return [module] if module.split(".")[0] in WORLDLY else []
        case ast.Attribute(attr=attr, value=value):
            return [attr] if attr in CLOCKS and is_clock(value) else []
        case ast.Call(func=ast.Name(id=called)):
            return [called] if called in BUILTINS_OF_THE_WORLD else []
        case ast.AsyncFunctionDef(name=name):
            return [f"async def {name}"]
        case _:
            return []


def is_clock(value: ast.expr) -> bool:
    """Whether this is `datetime`, `date`, `datetime.datetime` or `datetime.date`: what has a clock behind `now`."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("datetime", "date")
        case _:
            return False


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_language_and_the_machine_never_reach_for_the_world(path: Path) -> None:
    assert impurities(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from random import random",
        "def f():\n    from uuid import uuid4",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.date.today()",
        "open('file')",
        "async def f(): ...",
    ],
)
def test_the_search_for_impurities_finds(source: str) -> None:
    assert impurities(source)


@pytest.mark.parametrize("source", ["from datetime import datetime", "scope.now", "moment.now + 1", "import re"])
def test_the_search_for_impurities_leaves_alone(source: str) -> None:
    assert not impurities(source)


def test_imports_point_from_the_outside_to_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_is_short_or_says_why_not(path: Path) -> None:
    source = path.read_text()
    opening = ast.get_docstring(ast.parse(source)) or ""
    assert len(source.splitlines()) <= LONGEST or REASON in opening


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Name and text of every file that git tracks."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listing.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            yield name, path.read_text(errors="replace")


def test_no_tracked_file_names_a_package_registry_or_a_place_on_one_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so nothing is tracked")
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if REGISTRY.search(line) or CHECKOUT.search(line)
    ]
    assert found == []


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN_TIME = [Requirement(each) for each in PROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(each) for each in PROJECT["project"]["optional-dependencies"]["dev"]]
BUILD = [Requirement(each) for each in PROJECT["build-system"]["requires"]]
LOCK = (ROOT / "requirements" / "dev.lock").read_text()


def imported_names(path: Path) -> set[str]:
    """The top-level names of everything that the module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(each.name.split(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    if path.parent.name == "functions" and "solutions" in path.parts:
        # Deployed functions have their own folder on the import path, and nothing of treadle.
        assert "treadle" not in names, path
        names -= {each.stem for each in path.parent.glob("*.py")}
    return names


def test_whatever_treadle_imports_is_a_declared_dependency() -> None:
    foreign = set[str]().union(*map(imported_names, SOURCES)) - sys.stdlib_module_names - {"treadle"}
    foreign -= {"pytest"}  # the plugin's own host: where it is not installed, nobody imports the plugin
    declared = {canonicalize_name(each.name) for each in RUN_TIME}
    providers = packages_distributions()
    undeclared = {name for name in foreign if not declared & set(map(canonicalize_name, providers.get(name, ())))}
    assert undeclared == set()


@pytest.mark.parametrize("requirement", RUN_TIME + DEVELOPMENT + BUILD, ids=str)
def test_the_lock_holds_each_dependency_in_a_version_that_the_project_accepts(requirement: Requirement) -> None:
    pins = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+) ", LOCK, re.M)}
    version = pins.get(canonicalize_name(requirement.name))
    assert version, "run `make lock`"
    assert requirement.specifier.contains(version), "run `make lock`"


def test_the_lock_holds_nothing_without_a_hash() -> None:
    entries = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.M)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []

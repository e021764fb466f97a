"""The documentation tells the truth where a machine can tell: links resolve, code runs, commands exist."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
COMMAND = re.compile(r"(?:^|`)make ([a-z-]+)", re.MULTILINE)
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block of code. `line` is where its code starts, counted from 1."""

    language: str
    code: str
    line: int


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [Block(each[1], each[2], text.count("\n", 0, each.start(2)) + 1) for each in FENCE.finditer(text)]


@cache
def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """The addresses within this repository that the page links to."""
    return [each for each in LINK.findall(INLINE_CODE.sub("", prose(page))) if not re.match(r"[a-z]+:", each)]


def anchors(page: Path) -> set[str]:
    """What `#...` may name on this page, as GitHub derives it from the headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(prose(page))}


def destination(page: Path, link: str) -> Path:
    path = link.partition("#")[0]
    return (page.parent / path).resolve() if path else page


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    broken = [link for link in links(page) if not destination(page, link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_into_a_page_name_one_of_its_headings(page: Path) -> None:
    into = [(destination(page, link), link.partition("#")[2]) for link in links(page) if "#" in link]
    missing = [(name_of(target), anchor) for target, anchor in into if anchor not in anchors(target)]
    assert missing == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in PAGES and page not in reached:
            reached.add(page)
            ahead.extend(destination(page, link) for link in links(page))
    assert [name_of(page) for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_json_parses(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.code)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    targets = TARGET.findall((ROOT / "Makefile").read_text())
    assert [each for each in COMMAND.findall(page.read_text()) if each not in targets] == []


def python_pages() -> list[Path]:
    return [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", python_pages(), ids=name_of)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run in order and share their names, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            # The empty lines make a traceback point into the page.
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), names)

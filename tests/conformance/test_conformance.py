"""The recorded cases: enough of them pass, and exactly the listed ones fall short."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from .adapter import AREAS, CORE_AREAS, ROOT, Case, CasesMissing, Result, cases, needs, run
from .page import page, reasons


@pytest.fixture(scope="module")
def recorded() -> Sequence[Case]:
    try:
        return cases(AREAS)
    except CasesMissing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="module")
def results(recorded: Sequence[Case]) -> Sequence[Result]:
    return run([each for each in recorded if not needs(each)])


def test_nine_of_ten_cases_of_the_core_areas_reach_core(results: Sequence[Result]) -> None:
    reached = [each["core"] for each in results if each["area"] in CORE_AREAS]
    assert sum(reached) >= 0.9 * len(reached)


@pytest.mark.parametrize("level", ["core", "full"])
def test_exactly_the_listed_cases_fall_short(level: str, results: Sequence[Result]) -> None:
    short = {
        each["id"]: each["core_why"] if level == "core" else each["why"]
        for each in results
        if not each[level] and (level == "core" or each["core"])
    }
    listed = [case for together in reasons(level).values() for case in together]
    unexpected = {case: why for case, why in short.items() if case not in listed}
    passing = [case for case in listed if case not in short]
    assert (unexpected, passing) == ({}, [])


def test_the_page_tells_the_present_state(recorded: Sequence[Case], results: Sequence[Result]) -> None:
    written = (ROOT / "docs" / "conformance.md").read_text()
    assert written.startswith(page(results, [each for each in recorded if needs(each)]))

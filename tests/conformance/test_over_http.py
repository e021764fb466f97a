"""The recorded cases over HTTP: exactly the listed ones fall short of core."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from .adapter import ROOT, Case, CasesMissing, Result
from .over_http import every, lasting, run, self_contained
from .page import OVER_HTTP, contradictions, listed, reasons

DEEP = os.environ.get("TREADLE_DEEP") == "1"


@pytest.fixture(scope="module")
def recorded() -> list[Case]:
    try:
        return every()
    except CasesMissing as missing:
        pytest.fail(str(missing), pytrace=False)


@pytest.fixture(scope="module")
def results(recorded: list[Case]) -> list[Result]:
    return run([each for each in recorded if DEEP or (self_contained(each) and not lasting(each))])


def test_the_page_tells_of_what_was_run_over_http(recorded: list[Case], results: list[Result]) -> None:
    written = (ROOT / "docs" / "conformance.md").read_text()
    assert contradictions(written, results, Counter(each["area"] for each in recorded)) == []
    assert written.endswith(listed("core", OVER_HTTP) + "\n")


def test_exactly_the_listed_cases_fall_short_of_core_over_http(results: list[Result]) -> None:
    ran = {each["id"]: each for each in results}
    short = {case: (result["core_why"], result.get("warn")) for case, result in ran.items() if not result["core"]}
    expected = {case for together in reasons("core", OVER_HTTP).values() for case in together}
    unexpected = {case: why for case, why in short.items() if case not in expected}
    passing = [case for case in expected if case in ran and case not in short]
    assert (unexpected, passing) == ({}, [])

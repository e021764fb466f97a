"""The recorded cases over HTTP: exactly the listed ones fall short of core."""

from __future__ import annotations

import os

import pytest

from .adapter import CasesMissing
from .over_http import every, lasting, run, self_contained
from .page import OVER_HTTP, reasons

DEEP = os.environ.get("TREADLE_DEEP") == "1"


def test_exactly_the_listed_cases_fall_short_of_core_over_http() -> None:
    try:
        selected = [each for each in every() if DEEP or (self_contained(each) and not lasting(each))]
    except CasesMissing as missing:
        pytest.fail(str(missing), pytrace=False)
    ran = {each["id"]: each for each in run(selected)}
    short = {case: (result["core_why"], result.get("warn")) for case, result in ran.items() if not result["core"]}
    listed = {case for together in reasons("core", OVER_HTTP).values() for case in together}
    unexpected = {case: why for case, why in short.items() if case not in listed}
    passing = [case for case in listed if case in ran and case not in short]
    assert (unexpected, passing) == ({}, [])

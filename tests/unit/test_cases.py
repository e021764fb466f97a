"""Every golden case gives its history, recovers from any prefix of its journal, and stands in the table of coverage."""

from __future__ import annotations

import json
import re

import pytest

from cases.play import HERE, Case, cases, check_recovery, difference, play
from treadle.language.choices import COMPARISONS, TESTS
from treadle.language.intrinsics import FUNCTIONS
from treadle.machine.journal import DETAILS, STATE_TYPES
from treadle.machine.limits import Limits
from treadle.testing import check_journal

CASES = {case.name: case for case in cases()}
COVERAGE: dict[str, list[str]] = json.loads((HERE / "coverage.json").read_text())
OPERATORS = {*COMPARISONS, *(f"{name}Path" for name in COMPARISONS), *TESTS, "IsPresent", "StringMatches"}
COMBINATORS = {"And", "Or", "Not"}
JSONATA_FUNCTIONS = ("partition", "range", "hash", "random", "uuid", "parse")


@pytest.fixture(scope="module")
def definitions() -> str:
    return "\n".join(case.definition for case in CASES.values())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_gives_its_history(case: Case) -> None:
    played = play(case)
    check_journal(played.run.journal)
    differs = difference(case.history, played.history)
    assert differs is None, f"{case.script['why']}\n{differs}"
    check_recovery(played, Limits(**case.script.get("limits", {})))


def test_every_row_of_the_reference_has_a_case_and_every_case_a_row() -> None:
    assert all(COVERAGE.values())
    assert {name for names in COVERAGE.values() for name in names} == set(CASES)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_case_says_which_rule_it_pins(case: Case) -> None:
    assert re.match(r"reference \d+(\.\d+)*: \S|observed on AWS: \S", case.script["why"])


def test_all_types_of_events_occur() -> None:
    seen = {event["type"] for case in CASES.values() for event in case.history}
    assert seen == DETAILS.keys()


def test_all_types_of_states_occur(definitions: str) -> None:
    written = set(re.findall(r'"?Type"?: "?(\w+)', definitions))
    assert set(STATE_TYPES) <= written


def test_all_operators_of_choice_occur(definitions: str) -> None:
    written = set(re.findall(r"\b(\w+)\"?:", definitions))
    assert len(OPERATORS | COMBINATORS) == 42
    assert written >= OPERATORS | COMBINATORS


def test_all_intrinsic_functions_occur(definitions: str) -> None:
    assert set(re.findall(r"States\.\w+(?=\()", definitions)) == set(FUNCTIONS)
    assert len(FUNCTIONS) == 18


def test_all_functions_that_AWS_added_to_jsonata_occur(definitions: str) -> None:
    assert [name for name in JSONATA_FUNCTIONS if f"${name}(" not in definitions] == []

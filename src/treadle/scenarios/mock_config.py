"""AWS's own format: the mock configuration file of Step Functions Local (`MockConfigFile.json`).

    {"StateMachines": {"orders": {"TestCases": {"HappyPath": {"Charge card": "Charged"}}}},
     "MockedResponses": {"Charged": {"0": {"Throw": {"Error": .., "Cause": ..}}, "1-2": {"Return": ..}}}}

Owns reading it into scripted answers. AWS 'Using mocked service integrations': the numbers count the calls of the
state, from 0, and each is given once. A call beyond the last one has no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from treadle.language.scope import Json
from treadle.language.values import is_object
from treadle.scenarios.document import Document, Where, instead
from treadle.testing.script import NO_ANSWER

_NUMBERS: Final = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")


def is_mock_config(root: Json) -> bool:
    """Whether a document is a mock configuration."""
    return is_object(root) and "StateMachines" in root and root.keys() <= {"StateMachines", "MockedResponses"}


def cases_of(document: Document) -> Iterator[tuple[str, str]]:
    """State machine and test case of each case in the file. Raises ScenarioError."""
    root = document.members(document.root, (), ("StateMachines", "MockedResponses"), "a mock configuration")
    machines = root["StateMachines"]
    if not is_object(machines):
        raise document.fault(("StateMachines",), "'StateMachines' is an object: by state machine, its TestCases.")
    for machine, given in machines.items():
        where = ("StateMachines", machine)
        cases = document.members(given, where, ("TestCases",), "a state machine here").get("TestCases", {})
        if not is_object(cases):
            raise document.fault((*where, "TestCases"), "'TestCases' is an object: by case, its states.")
        for case in cases:
            yield machine, case


def answers_of_case(document: Document, named: str) -> dict[str, list[dict[str, Json]]]:
    """The answers of a test case, `MACHINE/CASE`, or `CASE` where one machine has it. Raises ScenarioError."""
    cases = list(cases_of(document))
    full = [f"{machine}/{case}" for machine, case in cases]
    fitting = [pair for pair, name in zip(cases, full, strict=True) if named in (name, pair[1])]
    if not named:
        raise document.fault((), f"a mock configuration has test cases: name one, such as {document.path}#{full[0]}.")
    if len(fitting) != 1:
        problem = "there is no test case" if not fitting else "several state machines have the test case"
        raise document.fault(("StateMachines",), f"{problem} '{named}'{instead(named, full)}.")
    machine, case = fitting[0]
    where: Where = ("StateMachines", machine, "TestCases", case)
    states = document.root["StateMachines"][machine]["TestCases"][case]
    if not is_object(states):
        raise document.fault(where, "a test case is an object: by state, the name of a mocked response.")
    return {state: _answers(document, name, (*where, state)) for state, name in states.items()}


def _answers(document: Document, name: Json, where: Where) -> list[dict[str, Json]]:
    responses = document.root.get("MockedResponses", {})
    if not is_object(responses):
        raise document.fault(("MockedResponses",), "'MockedResponses' is an object: by name, the responses.")
    if not isinstance(name, str) or name not in responses:
        raise document.fault(where, f"there is no mocked response '{name}'{instead(str(name), responses.keys())}.")
    here: Where = ("MockedResponses", name)
    written = responses[name]
    if not is_object(written) or not written:
        raise document.fault(here, 'a mocked response is an object: by "0" or "1-2", a Return or a Throw.')
    turns: dict[int, dict[str, Json]] = {}
    for numbers, response in written.items():
        answer = _answer(document, response, (*here, numbers))
        for turn in _turns(document, numbers, (*here, numbers)):
            if turn in turns:
                raise document.fault((*here, numbers), f"call {turn} is answered twice: leave it in one of them.")
            turns[turn] = answer
    beyond: dict[str, Json] = {
        "error": NO_ANSWER,
        "cause": f"The mocked response '{name}' has an answer for {len(turns)} calls, not for this one.",
    }
    return [turns.get(turn, beyond) for turn in range(max(turns) + 2)]


def _turns(document: Document, numbers: str, where: Where) -> range:
    match = _NUMBERS.fullmatch(numbers)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise document.fault(where, f'\'{numbers}\' is no number of calls: write "0", "1", or "2-5".')
    return range(int(match[1]), int(match[2] or match[1]) + 1)


def _answer(document: Document, response: Json, where: Where) -> dict[str, Json]:
    given = document.members(response, where, ("Return", "Throw"), "a response")
    if len(given) != 1:
        raise document.fault(where, "a response has a Return or a Throw, one of the two.")
    if "Return" in given:
        return {"return": given["Return"]}
    thrown = document.members(given["Throw"], (*where, "Throw"), ("Error", "Cause"), "a Throw")
    return {"error": thrown.get("Error"), "cause": thrown.get("Cause")}

"""The one format of scripted answers: in scenarios, in `--mock` files, and in AWS's mock configuration.

By state name, resource ARN, service and action, or `*`: one answer or a list. Owns reading and judging them; what they
mean is `treadle.testing.script`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from treadle.language.scope import Json
from treadle.language.values import is_array, is_number, is_object
from treadle.scenarios.document import Document, Where, instead, kind_of, read_document
from treadle.scenarios.mock_config import answers_of_case, is_mock_config

Answers = dict[str, list[dict[str, Json]]]
"""By state or resource the answers in turn, as `treadle.testing.script_of` takes them."""

_FORMS: Final = ("return", "error", "cause", "never")
_MEMBERS: Final = (*_FORMS, "after", "accepted", "phase", "times")
_PHASES: Final = ("schedule", "start", "submit", "run")


def read_answers(named: str) -> Answers:
    """The answers in a file; `FILE#CASE` or `FILE#MACHINE/CASE` of a mock configuration. Raises ScenarioError."""
    path, sharp, case = named.rpartition("#")
    if not sharp or Path(named).exists():
        path, case = named, ""
    document = read_document(path)
    if is_mock_config(document.root):
        return answers_of_case(document, case)
    if case:
        raise document.fault((), f"'#{case}' names a test case, and this is no mock configuration: leave it out.")
    return take_answers(document, document.root, ())


def take_answers(document: Document, value: Json, where: Where) -> Answers:
    """The answers in a part of a document. Raises ScenarioError."""
    if not is_object(value):
        raise document.fault(where, "answers are an object: by state or resource, an answer or a list of answers.")
    taken: Answers = {}
    for name, written in value.items():
        answers = written if is_array(written) else [written]
        if not answers:
            raise document.fault((*where, name), f"'{name}' has no answer: give one, such as {{\"return\": {{}}}}.")
        for index, answer in enumerate(answers):
            if fault := _fault(answer):
                here = (*where, name, index) if is_array(written) else (*where, name)
                raise document.fault(here, f"{fault} in the answers of '{name}'.")
        taken[name] = answers
    return taken


def _fault(answer: Json) -> str | None:
    if not is_object(answer):
        return (
            f'an answer is {{"return": value}}, {{"error": name, "cause": text}} or {{"never": true}}; '
            f"it is {kind_of(answer)}"
        )
    for name in answer:
        if name not in _MEMBERS:
            return f"an answer has no '{name}'{instead(name, _MEMBERS)}"
    given = [form for form in ("return", "error", "never") if form in answer]
    if not given and "cause" not in answer:
        return 'an answer is {"return": value}, {"error": name, "cause": text} or {"never": true}; it is something else'
    if len(given) > 1:
        return f"an answer has '{given[0]}' or '{given[1]}', not both: one of them must go"
    for name in ("error", "cause"):
        if not isinstance(answer.get(name, ""), str | None):
            return f"'{name}' is text; it is {kind_of(answer[name])}"
    after: Json = answer.get("after", 0)
    if not is_number(after) or after < 0:
        return "'after' is a number of seconds; it is not"
    times: Json = answer.get("times", 1)
    if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= 10_000:
        return "'times' says how many calls in turn are answered so, 1 to 10000; it does not"
    if answer.get("never", True) is not True:
        return "'never' is true or not there"
    if answer.get("phase", "run") not in _PHASES:
        return f"'phase' is one of {', '.join(_PHASES)}"
    return None

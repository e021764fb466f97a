"""Definitions that AWS and its customers published: none may be refused, and none may be warned about wrongly.

They are no part of this repository: they are looked for in `shared/definitions` beside the checkout, or in the folder
`definitions` of whatever place TREADLE_SHARED names. Their `${Placeholders}` are filled in as a deployment would.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from treadle.language.definition import parse
from treadle.language.lint import lint

SHARED = Path(os.environ.get("TREADLE_SHARED") or Path(__file__).parents[4] / "shared")
FOLDER = SHARED / "definitions"
COUNT = 101

# Definitions that AWS refuses too, with the reason.
REALLY_WRONG = {
    "parallel-translate__statemachine__statemachine.asl.yaml": (
        "The paths compare with a word without quotes, `[?(@.TargetLanguageCode==es)]`, which is no JSONPath literal."
    ),
    "sfn-iot-data-analytics-dataset__statemachine__statemachine.asl.json": (
        'Not JSON, whatever the placeholders: a field with two names, `"Messages": "Messages.$": "$.Messages"`.'
    ),
    "shared-fallback-state-jsonata__statemachine__statemachine.asl.json": (
        "QueryLanguage stands within States, where it is taken for a state; so all fields of JSONata are unknown."
    ),
}

# What a warning says is true of these definitions; any other warning would be a false alarm.
TRUE_WARNINGS = {
    "chain-of-responsibility-cdk__python__statemachine__atm_dispenser_chained.asl.json": {
        # A placeholder went wrong: the name is States.TaskFailedId.
        "RETRY_CANNOT_OCCUR"
    },
    "s3-bucket-nested-distributed-map__statemachine__statemachine.asl.json": {
        # The inner Map has no ItemReader that could fail.
        "RETRY_CANNOT_OCCUR"
    },
    "distributed-data-stream-aggregator__statemachine__statemachine.asl.json": {
        "UNUSED_VARIABLE",
        "TASK_WITHOUT_TIMEOUT",
    },
}


def filled(text: str) -> str:
    """The text with every placeholder filled in: by an ARN where a Resource stands, else by a word or a number."""
    function = "arn:aws:lambda:eu-central-1:123456789012:function:placeholder"
    callback = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
    text = text.replace("${partition}", "aws")
    # Only a callback has a task token.
    token = r'(?=(?:(?!"Resource").)*\$\$\.Task\.Token)'
    text = re.sub(rf'("Resource"\s*:\s*)"\$\{{[^}}]*\}}"{token}', rf'\1"{callback}"', text, flags=re.DOTALL)
    text = re.sub(r'("Resource"\s*:\s*)"\$\{[^}]*\}"', rf'\1"{function}"', text)
    text = re.sub(r"^(\s*Resource:\s*)['\"]?\$\{[^}]*\}['\"]?\s*$", rf"\1{function}", text, flags=re.MULTILINE)
    # Outside of quotes a number must stand.
    text = re.sub(r"(:\s*)\$\{[^}]*\}(?=\s*[,}\n])", r"\g<1>7", text)
    return re.sub(r"\$\{[^}]*\}", "placeholder", text)


def definitions() -> list[Path]:
    return sorted(FOLDER.glob("*.asl.*"))


def test_the_published_definitions_are_there() -> None:
    assert len(definitions()) == COUNT, (
        f"{COUNT} published definitions are needed in {FOLDER}; "
        "put them there, or let TREADLE_SHARED name the folder that holds `definitions`"
    )


@pytest.mark.parametrize("path", definitions(), ids=lambda path: path.name)
def test_a_published_definition_raises_no_false_alarm(path: Path) -> None:
    definition, findings = parse(filled(path.read_text(encoding="utf-8")))
    if definition is not None:
        findings = [*findings, *lint(definition)]
    errors = [str(each) for each in findings if each.severity == "ERROR"]
    warnings = {each.code for each in findings if each.severity == "WARNING"}
    if reason := REALLY_WRONG.get(path.name):
        assert errors, f"no longer refused, though: {reason}"
        return
    assert errors == []
    waits = re.search(r"\.sync|\.waitForTaskToken|:activity:", path.read_text(encoding="utf-8"))
    allowed = TRUE_WARNINGS.get(path.name, {"TASK_WITHOUT_TIMEOUT"} if waits else set[str]())
    assert warnings <= allowed

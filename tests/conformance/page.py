"""The page about conformance, written from results and from the reasons in reasons.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .adapter import Case, Result, counts, needs

REASONS = Path(__file__).with_name("reasons.json")

_HEAD = """\
# Conformance

Recorded cases say what AWS Step Functions answered: definitions, inputs, API calls and every history event. The cases
stay outside this repository; here is what comes of them when the language and the machine run them in one process and
in virtual time, with scripted Lambda functions, activity workers and nested executions.

This page is written by

```
.venv/bin/python -m tests.conformance --write docs/conformance.md
```

which looks for the cases in `../shared/conformance` (or `$TREADLE_SHARED/conformance`). `-v` tells why a case falls
short, `--area` and `--id` choose cases. `tests/conformance/test_conformance.py` fails when a case falls short that is
not listed below, and when a listed one does not any more. The reasons stand in `tests/conformance/reasons.json`.

## Levels

Each implies the next.

* **full**: everything AWS returned, JSON texts character by character. This is the goal.
* **core**: JSON texts are compared by value, without HTTP metadata and the fields that the recording itself leaves out.
* **outcome**: the last event of the history only.

## Counts

| area | cases | full | core | outcome |
| --- | ---: | ---: | ---: | ---: |
"""


def reasons(level: str) -> dict[str, list[str]]:
    """The cases that do not reach `core`, or those that reach core but not `full`, by reason."""
    return {each["reason"]: each["cases"] for each in json.loads(REASONS.read_text())[level]}


def page(results: Sequence[Result], elsewhere: Iterable[Case]) -> str:
    """The text of docs/conformance.md. `elsewhere` are the cases that cannot run here."""
    rows = [
        f"| {area} | {tally['cases']} | {tally['full']} | {tally['core']} | {tally['outcome']} |"
        for area, tally in counts(results).items()
    ]
    needed = Counter(needs(case) for case in elsewhere)
    others = "; ".join(f"{what} ({number})" for what, number in sorted(needed.items()))
    parts = [
        _HEAD + "\n".join(rows),
        f"{needed.total()} more cases of these areas need what is not here: {others}.",
        "## Cases that do not reach core",
        _listed("core"),
        "## Cases that reach core but not full",
        _listed("full"),
    ]
    return "\n\n".join(parts) + "\n"


def _listed(level: str) -> str:
    """The cases below a level, by reason."""
    lines: list[str] = []
    for reason, cases in reasons(level).items():
        lines += [f"* {reason}", *(f"  * `{case}`" for case in cases)]
    return "\n".join(lines)

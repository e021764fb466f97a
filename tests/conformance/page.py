"""The page about conformance, written from results and from the reasons in reasons.json and reasons_over_http.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .adapter import LEVELS, Case, Result, counts, needs

REASONS = Path(__file__).with_name("reasons.json")
OVER_HTTP = Path(__file__).with_name("reasons_over_http.json")

_HEAD = """\
# Conformance

Recorded cases say what AWS Step Functions answered: definitions, inputs, API calls and every history event. The cases
stay outside this repository. Here is what comes of them in two ways:

* in one process and in virtual time: the language and the machine with scripted Lambda functions, activity workers and
  nested executions;
* over HTTP: a running `treadle up`, with functions at a stub of Lambda and all other services of AWS at a moto server.

This page is written by

```
.venv/bin/python -m tests.conformance --write docs/conformance.md
```

which looks for the cases in `../shared/conformance` (or `$TREADLE_SHARED/conformance`). `-v` tells why a case falls
short, `--area` and `--id` choose cases, `--http` runs them over HTTP. The tests in `tests/conformance` fail when a case
falls short of core that is not listed below, and when a listed one does not any more; in one process they do so for the
level full as well. Over HTTP they run the cases that need Step Functions and functions only and that do not wait for
long; with `TREADLE_DEEP=1` all of them. The reasons stand in `reasons.json` and `reasons_over_http.json` there.

## Levels

Each implies the next.

* **full**: everything AWS returned, JSON texts character by character. This is the goal.
* **core**: JSON texts are compared by value, without HTTP metadata and the fields that the recording itself leaves out.
* **outcome**: the last event of the history only.

## Counts in one process

"""


def reasons(level: str, of: Path = REASONS) -> dict[str, list[str]]:
    """The cases that do not reach `core`, or those that reach core but not `full`, by reason."""
    return {each["reason"]: each["cases"] for each in json.loads(of.read_text())[level]}


def page(results: Sequence[Result], elsewhere: Iterable[Case]) -> str:
    """The first part of docs/conformance.md, in one process. `elsewhere` are the cases that cannot run there."""
    needed = Counter(needs(case) for case in elsewhere)
    others = "; ".join(f"{what} ({number})" for what, number in sorted(needed.items()))
    parts = [
        _HEAD + _table(results),
        f"{needed.total()} more cases of these areas need what is not there: {others}.",
        "### Cases that do not reach core",
        listed("core"),
        "### Cases that reach core but not full",
        listed("full"),
    ]
    return "\n\n".join(parts) + "\n"


def page_over_http(results: Sequence[Result]) -> str:
    """The second part of docs/conformance.md."""
    parts = ["\n## Counts over HTTP", _table(results), "### Cases that do not reach core over HTTP"]
    return "\n\n".join([*parts, listed("core", OVER_HTTP)]) + "\n"


def contradictions(text: str, results: Sequence[Result], all_of: Counter[str]) -> list[str]:
    """Where results of some cases, or all of an area, cannot be those that the page's second table counts.

    `all_of` tells how many cases each area has.
    """
    rows = text.partition("## Counts over HTTP")[2].partition("###")[0].splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if row.startswith("| ")][2:]
    told = {area: dict(zip(("cases", *LEVELS), map(int, numbers), strict=True)) for area, *numbers in cells}
    found = [f"{area} has {number} cases" for area, number in all_of.items() if told[area]["cases"] != number]
    for area, tally in counts(results).items():
        for level in LEVELS if area != "total" else ():
            reached, missed = tally[level], tally["cases"] - tally[level]
            most_missed = told[area]["cases"] - told[area][level]
            whole = tally["cases"] == all_of[area]
            if reached > told[area][level] or missed > most_missed or (whole and reached != told[area][level]):
                found.append(f"{area}: {reached} of {tally['cases']} reach {level}, the page has {told[area][level]}")
    return found


def _table(results: Sequence[Result]) -> str:
    rows = [
        f"| {area} | {tally['cases']} | {tally['full']} | {tally['core']} | {tally['outcome']} |"
        for area, tally in counts(results).items()
    ]
    return "\n".join(["| area | cases | full | core | outcome |", "| --- | ---: | ---: | ---: | ---: |", *rows])


def listed(level: str, of: Path = REASONS) -> str:
    """The cases below a level, by reason."""
    lines: list[str] = []
    for reason, cases in reasons(level, of).items():
        lines += [f"* {reason}", *(f"  * `{case}`" for case in cases)]
    return "\n".join(lines)

"""Writes the history of golden cases from what the machine does: `python -m tests.cases.record [topic[/name]] ...`.

It records whatever happens, right or wrong: read every event against the rule that the case is to pin.
"""

from __future__ import annotations

import sys

from .play import Case, cases, difference, history_text, play


def record(case: Case) -> None:
    """Write the history of a case, and say what changed."""
    written = case.folder / "history.json"
    history = play(case).history
    changed = difference(case.history, history) if written.exists() else "new"
    if changed:
        written.write_text(history_text(history))
        print(f"{case.name}: {changed}")


if __name__ == "__main__":
    for prefix in sys.argv[1:] or [""]:
        for each in cases(prefix):
            record(each)

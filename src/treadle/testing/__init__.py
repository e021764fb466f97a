"""What tests of workflows, and of treadle itself, are made with: scripted tasks, a virtual clock, a history checker.

from treadle.testing import run

result = run(definition, input={"amount": 5}, tasks={"Charge card": {"ok": True}})
assert result.status == "SUCCEEDED"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.exports import exports

if TYPE_CHECKING:
    from treadle.testing.checker import check_journal
    from treadle.testing.script import Answer, Fails, InTurn, Never, Returns, script_of
    from treadle.testing.world import Run, World, run

__all__ = [
    "Answer",
    "Fails",
    "InTurn",
    "Never",
    "Returns",
    "Run",
    "World",
    "check_journal",
    "run",
    "script_of",
]

__getattr__, __dir__ = exports(
    __name__,
    globals(),
    {
        "treadle.testing.checker": ("check_journal",),
        "treadle.testing.script": ("Answer", "Fails", "InTurn", "Never", "Returns", "script_of"),
        "treadle.testing.world": ("Run", "World", "run"),
    },
)

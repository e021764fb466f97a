"""The machine alone: one core, history included, nothing persisted."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import definitions
from figures import Figure, best

from treadle.language.compile import compile_definition
from treadle.language.plan import Plan
from treadle.machine.events import StartRequested
from treadle.machine.execution import Execution, recover
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.journal import Entry
from treadle.machine.limits import Limits
from treadle.testing.world import START, identity_of


def execute(plan: Plan, input: Any) -> list[Entry]:
    """One execution from start to end."""
    interpreter = Interpreter(Execution(plan), Limits(history_events=None))
    entries, _ = interpreter.handle(StartRequested(input, identity_of()), Moment(START, random.Random(0), str))
    assert interpreter.execution.status == "SUCCEEDED", interpreter.execution.cause
    return entries


def figures() -> Iterator[Figure]:
    """Transitions, evaluations and replay."""
    for name, definition, input, aim in (
        ("chain of 100 Pass", definitions.chain(100), {"order": 1}, 300_000),
        ("Choice loop, 1,000 turns", definitions.LOOP, {}, 150_000),
        ("inline Map, 1,000 items", definitions.MAP, definitions.ITEMS, 100_000),
    ):
        plan = compile_definition(json.dumps(definition))
        entered = sum(entry.type.endswith("StateEntered") for entry in execute(plan, input))
        yield Figure(name, entered / best(lambda p=plan, i=input: execute(p, i)), "transitions/s", aim)
    plan = compile_definition(json.dumps(definitions.JSONATA))
    yield Figure("JSONata over 100 items", 1 / best(lambda: execute(plan, definitions.ORDERS)), "executions/s")
    for name, definition, input in (
        ("replay of the loop", definitions.LOOP, {}),
        ("replay of the Map", definitions.MAP, definitions.ITEMS),
    ):
        plan = compile_definition(json.dumps(definition))
        journal = execute(plan, input)
        yield Figure(name, len(journal) / best(lambda p=plan, j=journal: recover(p, j)), "entries/s", 1_000_000)

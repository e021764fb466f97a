"""How fast the machine is: one table, one core, nothing persisted, history included.

    python benchmarks/run.py [--json] [--only NAME]

Each figure is the best of several runs: what the code can do, not what else the machine was doing. A transition is one
state entered. "of aim" compares with the project's aim; the relation between rows of one run means more than any
absolute figure.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from treadle.language.compile import compile_definition
from treadle.language.plan import Plan
from treadle.machine.events import StartRequested
from treadle.machine.execution import Execution, recover
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.journal import Entry
from treadle.machine.limits import Limits
from treadle.testing.world import START, identity_of

CHAIN = {
    "StartAt": "S0",
    "States": {f"S{i}": {"Type": "Pass", **({"Next": f"S{i + 1}"} if i < 99 else {"End": True})} for i in range(100)},
}
LOOP = {
    "StartAt": "Set",
    "States": {
        "Set": {"Type": "Pass", "Result": {"n": 0}, "Next": "More?"},
        "More?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 1000, "Next": "Add"}],
            "Default": "Done",
        },
        "Add": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "More?"},
        "Done": {"Type": "Succeed"},
    },
}
MAP = {
    "StartAt": "M",
    "States": {
        "M": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}},
            "End": True,
        }
    },
}
JSONATA = {
    "QueryLanguage": "JSONata",
    "StartAt": "J",
    "States": {
        "J": {
            "Type": "Pass",
            "Output": "{% $map($states.input, function($i) { {'id': $i.id, 'total': $i.price * $i.count} }) %}",
            "End": True,
        }
    },
}
ORDERS = [{"id": i, "price": i * 1.5, "count": i % 7} for i in range(100)]


@dataclass(frozen=True)
class Result:
    name: str
    figure: float
    unit: str
    aim: float


def execute(plan: Plan, input: Any) -> list[Entry]:
    """One execution from start to end, history included."""
    interpreter = Interpreter(Execution(plan), Limits(history_events=None))
    moment = Moment(START, random.Random(0), str)
    entries, _ = interpreter.handle(StartRequested(input, identity_of()), moment)
    assert interpreter.execution.status == "SUCCEEDED", interpreter.execution.cause
    return entries


def best(work: Callable[[], object], seconds: float = 1.5) -> float:
    """The shortest of repeated runs, in seconds."""
    shortest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - begin)
    return shortest


def transitions(name: str, definition: dict[str, Any], input: Any, aim: float) -> Result:
    plan = compile_definition(json.dumps(definition))
    entered = sum(entry.type.endswith("StateEntered") for entry in execute(plan, input))
    return Result(name, entered / best(lambda: execute(plan, input)), "transitions/s", aim)


def chain() -> Result:
    return transitions("chain of 100 Pass", CHAIN, {"order": 1}, 300_000)


def loop() -> Result:
    return transitions("Choice loop, 1,000 turns", LOOP, {}, 150_000)


def inline_map() -> Result:
    return transitions("inline Map, 1,000 items", MAP, list(range(1000)), 100_000)


def jsonata() -> Result:
    plan = compile_definition(json.dumps(JSONATA))
    return Result("JSONata over 100 items", 1 / best(lambda: execute(plan, ORDERS)), "executions/s", 0)


def replay() -> Result:
    plan = compile_definition(json.dumps(LOOP))
    journal = execute(plan, {})
    return Result("replay of the loop", len(journal) / best(lambda: recover(plan, journal)), "entries/s", 1_000_000)


def replay_map() -> Result:
    plan = compile_definition(json.dumps(MAP))
    journal = execute(plan, list(range(1000)))
    return Result("replay of the Map", len(journal) / best(lambda: recover(plan, journal)), "entries/s", 1_000_000)


BENCHMARKS = {each.__name__: each for each in (chain, loop, inline_map, jsonata, replay, replay_map)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--only", choices=BENCHMARKS, help="run one benchmark")
    options = parser.parse_args()
    results = [BENCHMARKS[name]() for name in BENCHMARKS if options.only in (None, name)]
    if options.json:
        print(json.dumps([vars(result) for result in results], indent=1))
        return 0
    print(f"{'benchmark':28}{'figure':>14}  {'unit':16}{'aim':>12}{'of aim':>9}")
    for result in results:
        aim = f"{result.aim:,.0f}" if result.aim else "-"
        share = f"{result.figure / result.aim:.0%}" if result.aim else "-"
        print(f"{result.name:28}{result.figure:>14,.0f}  {result.unit:16}{aim:>12}{share:>9}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Three real definitions, run against scripted tasks in virtual time; prints the path each one took.

make demo
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.testing import Answer, Fails, InTurn, Returns, Run, run

DEFINITIONS = Path(__file__).parent / "definitions"
BOLD, DIM, RED, GREEN, YELLOW, PLAIN = (
    ("\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[0m") if sys.stdout.isatty() else ("",) * 6
)


@dataclass(frozen=True)
class Scene:
    title: str
    definition: str
    input: Any
    tasks: Mapping[str, Answer]


def payload(value: Any, after: float = 1) -> Returns:
    """What the optimised Lambda integration returns."""
    return Returns({"Payload": value, "StatusCode": 200}, after=after)


SCENES = (
    Scene(
        "A canary deployment that is throttled once, and rolled back at the second step",
        "canary-deployment.asl.yaml",
        {"release": "v42"},
        {
            "Shift traffic": InTurn(
                [
                    Fails("Lambda.TooManyRequestsException", "Rate exceeded"),
                    payload({"percent": 5}),
                    payload({"percent": 25}),
                ]
            ),
            "Check health": InTurn([payload({"errorRate": 0.001}), payload({"errorRate": 0.2})]),
            "Roll back": payload({"percent": 0}),
        },
    ),
    Scene(
        "A regional failover: checks side by side, replicas promoted two at a time, one heartbeat missed",
        "regional-failover.asl.yaml",
        {"target": "eu-west-1", "databases": ["orders", "stock", "users"]},
        {
            "Capacity": Returns({"free": 0.6}, after=3),
            "Replication lag": InTurn([Fails("Lag.TooHigh", "41 s behind", after=2), Returns({"seconds": 1}, after=2)]),
            "Promote replica": InTurn(
                [Returns("orders", 40), Returns("stock", 500), Returns("users", 30), Returns("stock", 50)]
            ),
            "Move traffic": Returns({"dns": "moved"}, after=4),
        },
    ),
    Scene(
        "A cost report in JSONata that a person approves after an hour",
        "cost-report.asl.yaml",
        {
            "threshold": 1000,
            "usage": [
                {"team": "search", "price": 2.5, "hours": 300},
                {"team": "checkout", "price": 1.25, "hours": 400},
                {"team": "search", "price": 0.5, "hours": 100},
            ],
        },
        {"Ask finance": Returns({"by": "mira"}, after=3600)},
    ),
)

MARKS = {
    "Failed": f"{RED}failed{PLAIN}",
    "TimedOut": f"{RED}timed out{PLAIN}",
    "Aborted": f"{YELLOW}aborted{PLAIN}",
    "Exited": f"{GREEN}done{PLAIN}",
}


def tree(result: Run) -> list[str]:
    """The path an execution took, one line per state entered and per thing that went wrong."""
    start, lines = result.journal[0].at, []
    entered: dict[tuple[int, ...], float] = {}
    for entry in result.journal:
        indent, at = "   " * len(entry.frame), f"{DIM}{entry.at - start:>9.1f}s{PLAIN} "
        if entry.type.endswith("StateEntered"):
            entered[entry.frame] = entry.at
            kind = entry.type.removesuffix("StateEntered")
            lines.append(f"{at}{indent}{BOLD}{entry.details['name']}{PLAIN} {DIM}{kind}{PLAIN}")
        elif entry.type.endswith("StateExited"):
            took = entry.at - entered.get(entry.frame, entry.at)
            variables = "".join(
                f" {DIM}{name}={value}{PLAIN}" for name, value in entry.details.get("assignedVariables", {}).items()
            )
            if took or variables:
                which = f"{entry.details['name']} " if entry.frame else ""
                lines.append(f"{at}{indent} └ {which}{MARKS['Exited']} after {took:.1f}s{variables}")
        elif entry.type == "RetryScheduled":
            lines.append(f"{at}{indent} ├ {YELLOW}retry{PLAIN} in {entry.note['at'] - entry.at:.1f}s")
        elif entry.type.endswith(("Failed", "TimedOut", "StateAborted")) and not entry.type.startswith("Execution"):
            mark = next(text for suffix, text in MARKS.items() if entry.type.endswith(suffix))
            lines.append(f"{at}{indent} ├ {mark} {entry.details.get('error', '')}")
    return lines


def main() -> int:
    for scene in SCENES:
        begin = time.perf_counter()
        result = run((DEFINITIONS / scene.definition).read_text(), scene.input, scene.tasks)
        took = time.perf_counter() - begin
        print(f"\n{BOLD}{scene.title}{PLAIN}\n{DIM}{scene.definition}{PLAIN}")
        print("\n".join(tree(result)))
        colour = GREEN if result.status == "SUCCEEDED" else RED
        outcome = result.output if result.status == "SUCCEEDED" else f"{result.error}: {result.cause}"
        print(f"{colour}{result.status}{PLAIN} {outcome}")
        events = len(result.history)
        print(f"{DIM}{result.seconds:,.0f} s of virtual time, {events} events, in {took * 1000:.0f} ms{PLAIN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

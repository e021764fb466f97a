"""Runs the recorded conformance cases against the machine, in this process and in virtual time.

The cases and the runner that compares them stay outside the repository (`../shared/conformance`, or
`$TREADLE_SHARED/conformance`): this loads that runner and gives it a client that answers here.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from .api import ACCOUNT, REGION, StepFunctions
from .services import Functions, Worker

ROOT = Path(__file__).resolve().parents[2]
LEVELS = ("full", "core", "outcome")
CORE_AREAS = (
    "assign", "base", "choice", "comments", "context-object", "error-handling", "intrinsic", "jsonata", "map",
    "parallel", "scenarios", "validation", "variables", "wait",
)  # fmt: skip
"""The areas that the language and the machine alone answer for."""
MORE_AREAS = (
    "activities", "callbacks", "credentials", "express", "local-mocking", "map-distributed", "services-lambda",
    "services-sfn", "timeouts",
)  # fmt: skip
"""Areas of which some cases need no more than states, functions and nested executions."""
AREAS = tuple(sorted((*CORE_AREAS, *MORE_AREAS)))
SELF_CONTAINED = frozenset(("lambda", "sfn-nested"))
JUDGING = frozenset(("create_state_machine", "validate_state_machine_definition"))

Case = Mapping[str, Any]
Result = Mapping[str, Any]


class CasesMissing(Exception):
    """The folder with the recorded cases is not there."""


def folder() -> Path:
    """Where the cases are."""
    shared = Path(os.environ.get("TREADLE_SHARED", ROOT.parent / "shared"))
    if not (shared / "conformance" / "run.py").exists():
        raise CasesMissing(
            f"There is no {shared / 'conformance' / 'run.py'}. Put the folder with the recorded cases beside the "
            "repository, as ../shared, or name its place in the environment variable TREADLE_SHARED."
        )
    return shared / "conformance"


@cache
def module(name: str) -> ModuleType:
    """A module of the cases' own runner."""
    spec = importlib.util.spec_from_file_location(f"conformance_{name}", folder() / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def cases(areas: Iterable[str], containing: str = "") -> list[Case]:
    """The cases of these areas, in the order of their ids."""
    read = [json.loads(path.read_text()) for area in areas for path in (folder() / "cases" / area).glob("*.json")]
    return sorted((each for each in read if containing in each["id"]), key=lambda each: each["id"])


def needs(case: Case) -> str:
    """What a case needs that is not here: other services, or the rest of the API. Empty when it can run."""
    if others := set(case["requires"]) - SELF_CONTAINED:
        return ", ".join(sorted(others))
    names = {step["op"] for step in case["steps"] if step.get("service") == "stepfunctions"}
    operations = {name.title().replace("_", "") for name in names}
    here = names & JUDGING and all(hasattr(StepFunctions, each) for each in operations)
    return "" if here else "the rest of the API"


class Adapter:
    """The cases' runner with a client of our own, a fresh account for every case."""

    def __init__(self) -> None:
        self.states = StepFunctions(Functions(module("lambda_stub").run))
        client = self.states.client()
        options = SimpleNamespace(
            account=ACCOUNT, region=REGION, timeout=0, dump=None, inject_exec_names=False, lambda_stub_url=None
        )
        self.runner = module("run").Runner(options)
        self.runner.client = lambda service: client
        self.runner.until = _once
        self.runner.opt_stub = self._define_function
        self.runner.worker = self._hire_worker

    def run(self, case: Case) -> Result:
        """Run one case: for each level whether it was reached, and why not."""
        self.states.machines.clear()
        self.states.executions.clear()
        return self.runner.run(case)

    def _define_function(self, context: Any, step: Mapping[str, Any]) -> None:
        stub = context.case["stubs"]["lambda"][step["ref"]]
        self.states.functions.define(context.text(stub["FunctionName"]), stub["behaviour"])

    def _hire_worker(self, context: Any, step: Mapping[str, Any]) -> None:
        arn = context.val(step["args"])["activityArn"]
        self.states.workers[arn] = Worker(step.get("worker_name"), step["template"])


def _once(condition: Any, *_: object, **__: object) -> bool:
    """Nothing changes by waiting: an execution has gone as far as it goes before StartExecution answers."""
    return bool(condition())


def run(selected: Sequence[Case], verbose: bool = False) -> list[Result]:
    """Run the cases in turn."""
    adapter = Adapter()
    results: list[Result] = []
    for case in selected:
        results.append(adapter.run(case))
    if verbose:
        tell(results)
    return results


def tell(results: Iterable[Result]) -> None:
    """Print why cases fall short."""
    for result in results:
        if not result["full"]:
            level = "full only" if result["core"] else "FAIL"
            print(
                level,
                result["id"],
                "|",
                result["why"] if result["core"] else result["core_why"],
                "|",
                result.get("warn", ""),
            )


def counts(results: Iterable[Result]) -> dict[str, dict[str, int]]:
    """Cases, and how many reach each level, by area and in total."""
    table: dict[str, dict[str, int]] = {}
    for result in results:
        for row in (result["area"], "total"):
            tally = table.setdefault(row, dict.fromkeys(("cases", *LEVELS), 0))
            tally["cases"] += 1
            for level in LEVELS:
                tally[level] += result[level]
    return dict(sorted(table.items(), key=lambda row: (row[0] == "total", row[0])))

"""`treadle test --explore`: scenarios are found, and what ends badly is told.

Owns what is shown of an exploration, and when it fails. What is found is `treadle.scenarios.exploring`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from rich.console import Console
from rich.text import Text

from treadle.cli.problems import FAILED, OK
from treadle.cli.show import clean, console, write, write_json
from treadle.scenarios.exploring import Exploration, explore, write_scenarios
from treadle.scenarios.exploring.findings import BAD, Kind
from treadle.scenarios.exploring.report import as_json, as_junit
from treadle.scenarios.reading import read_machine
from treadle.scenarios.scenario import WorkflowType


def explored(
    paths: tuple[str, ...],
    kind: WorkflowType,
    failures: int,
    folder: str | None,
    accepted: Collection[str],
    strict: bool,
    json: bool,
    junit: Callable[[str], None],
) -> int:
    """Explore definitions, show what was found, and give the exit status. `junit` takes the report as XML."""
    counted: tuple[Kind, ...] = (*BAD, "not-found") if strict else BAD
    fails = [each for each in counted if each not in accepted]
    explorations = [explore(read_machine(path, kind), failures) for path in paths]
    files = [None if folder is None else str(write_scenarios(each, Path(folder))) for each in explorations]
    junit(as_junit(explorations, fails))
    if json:
        write_json([as_json(each, fails, file) for each, file in zip(explorations, files, strict=True)])
    else:
        out = console()
        for found, file in zip(explorations, files, strict=True):
            _tell(found, file, fails, out)
    return FAILED if any(each.kind in fails for found in explorations for each in found.findings) else OK


def _tell(found: Exploration, file: str | None, fails: Collection[str], out: Console) -> None:
    heading = f"{len(found.reached)} of {len(found.branches)} branches reached, {len(found.explored)} ways"
    write(Text(clean(f"{found.machine.path}: {heading}"), "bold"), out)
    for each in found.explored:
        run = each.tried.run
        told = "endless" if each.tried.endless else f"{run.status} {run.error or ''}".rstrip()
        write(Text(f"  {clean(each.name)}  ") + Text(clean(told), "dim"), out)
    for finding in found.findings:
        counts = finding.kind in fails
        mark = Text("  ! ", "bold red") if counts else Text("  - ", "dim")
        write(mark + Text(f"{finding.kind}: ", "red" if counts else "dim") + Text(clean(finding.message)), out)
    bad = sum(each.kind in fails for each in found.findings)
    write(Text(f"  {bad} of {len(found.findings)} findings fail", "bold red") if bad else Text("  ok", "green"), out)
    if file is not None:
        write(f"  written: {file}", out)

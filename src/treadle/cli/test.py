"""`treadle test`: scenarios are played in virtual time, or found.

Owns what is shown of them. What a scenario is, and whether it passed, is `treadle.scenarios`'s.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.problems import FAILED, OK, Problem
from treadle.cli.show import clean, console, write, write_json
from treadle.scenarios.play import Outcome, play
from treadle.scenarios.reading import read_scenarios, scenario_files
from treadle.scenarios.report import as_json as outcome_as_json
from treadle.scenarios.report import as_junit
from treadle.scenarios.scenario import Scenario, WorkflowType
from treadle.scenarios.trace import report


@command(example="treadle test tests --junit report.xml\ntreadle test --explore orders.asl.json --accept uncaught")
@click.argument("paths", nargs=-1, required=True, metavar="SCENARIO...")
@click.option("-k", "--only", metavar="TEXT", help="Only the scenarios that have this text in their names.")
@click.option("--junit", metavar="FILE", help="Write the outcomes as JUnit XML, too.")
@click.option("--explore", "exploring", is_flag=True, help="Take definitions, and find scenarios and what ends badly.")
@click.option("--write", "folder", metavar="DIR", help="With --explore: write the scenarios that were found there.")
@click.option("--failures", type=click.IntRange(0, 2), metavar="N", help="With --explore: failures in one run, 0 to 2.")
@click.option(
    "--accept",
    "accepted",
    type=click.Choice(("uncaught", "forgotten", "endless", "unreachable")),
    multiple=True,
    help="With --explore: what ends badly in this way does not fail.",
)
@click.option("--strict", is_flag=True, help="With --explore: what was not found fails, too.")
@options.workflow_type
@options.as_json
def test(
    paths: tuple[str, ...],
    only: str | None,
    junit: str | None,
    exploring: bool,
    folder: str | None,
    failures: int | None,
    accepted: tuple[str, ...],
    strict: bool,
    kind: WorkflowType,
    as_json: bool,
) -> int:
    """Play every scenario in SCENARIO files (or in folders: *.scenario.yaml) in virtual time.

    With --explore, SCENARIO is a definition: every branch that can be reached with one failure is looked for.

    A MockConfigFile.json of Step Functions Local is a scenario file, too. The exit status is 0 when all is as expected,
    1 when a scenario differs or a path ends badly, 2 when a file is wrong.
    """
    if exploring:
        from treadle.cli.explore import explored

        count = 1 if failures is None else failures
        return explored(paths, kind, count, folder, accepted, strict, as_json, lambda text: _write_junit(junit, text))
    given = {"--write": folder, "--failures": failures, "--accept": accepted or None, "--strict": strict or None}
    if lonely := next((name for name, value in given.items() if value is not None), None):
        raise Problem(f"{lonely}: it goes with --explore, and there is no --explore.")
    outcomes = [play(each) for each in _scenarios(paths, only)]
    _write_junit(junit, as_junit(outcomes))
    _tell(outcomes, as_json)
    return OK if all(each.passed for each in outcomes) else FAILED


def _scenarios(paths: tuple[str, ...], only: str | None) -> list[Scenario]:
    files = [file for path in paths for file in scenario_files(Path(path))]
    if not files:
        raise Problem(f"{', '.join(paths)}: no *.scenario.yaml is here: name a file, or another folder.")
    found = [each for file in files for each in read_scenarios(file)]
    chosen = [each for each in found if only is None or only in each.name]
    if not chosen:
        raise Problem(f"-k: none of {len(found)} scenarios has '{only}' in its name.")
    return chosen


def _write_junit(path: str | None, text: str) -> None:
    if path is None:
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(f"--junit: {path} cannot be written: {error.strerror}.") from None


def _tell(outcomes: list[Outcome], json: bool) -> None:
    if json:
        write_json([outcome_as_json(each) for each in outcomes])
        return
    out = console()
    for outcome in outcomes:
        _tell_one(outcome, out)
    failed = sum(not each.passed for each in outcomes)
    passed = len(outcomes) - failed
    told = Text(f"{passed} passed", "green" if passed and not failed else "")
    if failed:
        told = Text(f"{failed} failed", "bold red") + Text(f", {passed} passed")
    write(told, out)


def _tell_one(outcome: Outcome, out: Console) -> None:
    name = clean(outcome.scenario.name)
    mark = Text("ok  ", "green") if outcome.passed else Text("FAIL", "bold red")
    write(mark + Text(f" {name}") + Text(f"  {clean(outcome.scenario.place)}", "dim"), out)
    if outcome.passed:
        return
    for line in report(outcome):
        style = "yellow" if line.startswith(">") else ""
        write(Text(f"      {clean(line)}", style), out)

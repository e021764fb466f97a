"""`treadle validate`: everything that is wrong with definitions."""

from __future__ import annotations

import click
import msgspec

from treadle.cli import options
from treadle.cli.app import command
from treadle.cli.inputs import WorkflowType, examine, read_text
from treadle.cli.problems import OK, USAGE
from treadle.cli.show import clean, console, write, write_json
from treadle.language.diagnostics import Diagnostic
from treadle.scenarios.document import finding

_STYLES = {"ERROR": "red", "WARNING": "yellow"}


@command(example="treadle validate orders.asl.json --strict")
@click.argument("definitions", nargs=-1, required=True)
@options.workflow_type
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@options.as_json
def validate(definitions: tuple[str, ...], kind: WorkflowType, strict: bool, as_json: bool) -> int:
    """Find what is wrong with each of DEFINITIONS (JSON or YAML files; - for the standard input).

    The exit status is 2 when one of them cannot run (with --strict: when there is any finding), else 0.
    """
    found = [(path, each) for path in definitions for each in examine(read_text(path), kind)[1]]
    if as_json:
        write_json([{"file": path, **msgspec.to_builtins(each)} for path, each in found])
    else:
        out = console()
        for path, each in found:
            out.print(clean(finding(path, each)), style=_STYLES[each.severity], soft_wrap=True)
        for path in definitions:
            if not any(each[0] == path for each in found):
                write(f"{path}: nothing is wrong.", out)
    return USAGE if any(_counts(each, strict) for _, each in found) else OK


def _counts(diagnostic: Diagnostic, strict: bool) -> bool:
    return strict or diagnostic.severity == "ERROR"

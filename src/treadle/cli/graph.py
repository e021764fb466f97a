"""`treadle graph`: a definition as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from treadle.cli.app import command
from treadle.cli.inputs import machine_name, read_text
from treadle.cli.problems import OK, Problem
from treadle.graph import Graph, dot, graph_of, mermaid, svg
from treadle.language.definition import parse
from treadle.language.values import is_object
from treadle.scenarios.document import found

_FORMATS: Final = ("mermaid", "dot", "svg")


@command(example="treadle graph orders.asl.json --format svg -o orders.svg")
@click.argument("definition")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="mermaid", show_default=True, help="What to write."
)
@click.option("-o", "--output", metavar="FILE", help="Where to write it. [default: the standard output]")
def graph(definition: str, form: str, output: str | None) -> int:
    """Draw DEFINITION, whatever is wrong with it: states, choices with their conditions, catches dashed."""
    parsed, diagnostics = parse(read_text(definition))
    if parsed is None:
        raise Problem(found(definition, diagnostics))
    if not is_object(parsed.root):
        raise Problem(f"{definition}: a state machine is an object with StartAt and States; this is something else.")
    text = _draw(graph_of(parsed.root), form, machine_name(definition))
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
    return OK


def _draw(graph: Graph, form: str, title: str) -> str:
    if form == "svg":
        return svg(graph, title)
    return mermaid(graph) if form == "mermaid" else dot(graph)


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror}.") from None

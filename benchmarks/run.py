"""How fast treadle is, beside its peers, in one table of one run.

    python benchmarks/run.py [--json] [--only machine|durable|map-runs|items|http|api|peers ...]

A transition is one state entered. Figures of different machines do not compare; the rows of one run do.
"""

from __future__ import annotations

import argparse
import json
import sys

import durable
import http_tasks
import items
import machine
import map_runs
import peers
from figures import Figure

import api

PARTS = {
    "machine": machine.figures,
    "durable": durable.figures,
    "map-runs": map_runs.figures,
    "items": items.figures,
    "http": http_tasks.figures,
    "api": api.figures,
    "peers": peers.figures,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="run these parts")
    options = parser.parse_args()
    figures: list[Figure] = []
    if not options.json:
        print(f"{'benchmark':36}{'by':20}{'figure':>14}  {'unit':16}{'aim':>12}{'of aim':>9}")
    for part in options.only:
        for figure in PARTS[part]():
            figures.append(figure)
            if not options.json:
                print(row(figure), flush=True)
    if options.json:
        print(json.dumps([vars(figure) for figure in figures], indent=1))
    return 0


def row(figure: Figure) -> str:
    """One line of the table."""
    value = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:,.2f}"
    aim = f"{'< ' if figure.most else ''}{figure.aim:,.0f}" if figure.aim else "-"
    return f"{figure.name:36}{figure.by:20}{value:>14}  {figure.unit:16}{aim:>12}{figure.share:>9}"


if __name__ == "__main__":
    sys.exit(main())

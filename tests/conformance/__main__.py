"""Run it: .venv/bin/python -m tests.conformance [--area choice,map] [--id text] [--http] [-v] [--write PAGE]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import over_http
from .adapter import AREAS, CasesMissing, Result, cases, counts, needs, run
from .page import page, page_over_http


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description="Run the recorded conformance cases.")
    options.add_argument("--area", help="areas, separated by commas; all that can run here if not given")
    options.add_argument("--id", default="", help="only cases whose id contains this text")
    options.add_argument("-v", "--verbose", action="store_true", help="tell why a case does not reach the level full")
    options.add_argument("--http", action="store_true", help="run them against treadle up, not in this process")
    options.add_argument("--write", type=Path, metavar="PAGE", help="write the page about conformance")
    chosen = options.parse_args(arguments)
    areas = chosen.area.split(",") if chosen.area else AREAS
    if chosen.http:
        every = [each for each in over_http.every() if chosen.id in each["id"]]
        _print(over_http.run([e for e in every if not chosen.area or e["area"] in areas], chosen.verbose))
        return
    selected = cases(areas, chosen.id)
    results = run([each for each in selected if not needs(each)], chosen.verbose)
    _print(results)
    if chosen.verbose:
        for case in selected:
            if missing := needs(case):
                print(f"not here: {case['id']} needs {missing}")
    print(f"{len(selected) - len(results)} more cases of these areas need services or operations that are not here")
    if chosen.write:
        first = page(results, [each for each in selected if needs(each)])
        chosen.write.write_text(first + page_over_http(over_http.run(over_http.every())))


def _print(results: Sequence[Result]) -> None:
    print(f"{'area':24}{'cases':>8}{'full':>8}{'core':>8}{'outcome':>8}")
    for area, tally in counts(results).items():
        print(f"{area:24}{tally['cases']:>8}{tally['full']:>8}{tally['core']:>8}{tally['outcome']:>8}")


if __name__ == "__main__":
    try:
        main()
    except CasesMissing as missing:
        sys.exit(str(missing))

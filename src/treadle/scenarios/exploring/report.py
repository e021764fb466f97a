"""Explorations for machines: JSON, and JUnit XML in which what ends badly fails.

Owns both formats. Neighbour: `treadle.scenarios.report`, which does the same for scenarios.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from xml.etree import ElementTree

from treadle.language.scope import Json
from treadle.scenarios.exploring.explore import Exploration, Explored
from treadle.scenarios.report import counts, xml_document, xml_text


def as_json(exploration: Exploration, fails: Collection[str], file: str | None) -> dict[str, Json]:
    """An exploration as a JSON object. `fails` are the kinds of findings that count; `file` is what was written."""
    return {
        "definition": exploration.machine.path,
        "branches": len(exploration.branches),
        "reached": len(exploration.reached),
        "runs": exploration.runs,
        "ways": [_way(each) for each in exploration.explored],
        "findings": [
            {"kind": each.kind, "state": each.state, "message": each.message, "fails": each.kind in fails}
            for each in exploration.findings
        ],
        "unreached": [
            {"from": each.source, "to": each.target, "kind": each.kind, "why": each.why}
            for each in exploration.unreached
        ],
        "file": file,
    }


def _way(explored: Explored) -> dict[str, Json]:
    run = explored.tried.run
    told: dict[str, Any] = {"name": explored.name, "failures": explored.failures, "status": run.status}
    if run.error is not None:
        told["error"] = run.error
    return told | {"endless": explored.tried.endless, "path": None if explored.tried.endless else run.path}


def as_junit(explorations: Sequence[Exploration], fails: Collection[str]) -> str:
    """Explorations as JUnit XML: a suite for each machine, a case for each way and for each finding that counts."""
    root = ElementTree.Element("testsuites")
    total = failed = 0
    for exploration in explorations:
        bad = [each for each in exploration.findings if each.kind in fails]
        cases = len(exploration.explored) + len(bad)
        total, failed = total + cases, failed + len(bad)
        name = exploration.machine.name
        suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts(cases, len(bad))})
        for explored in exploration.explored:
            seconds = f"{explored.tried.run.seconds:.3f}"
            case = {"classname": name, "name": xml_text(explored.name), "time": seconds}
            ElementTree.SubElement(suite, "testcase", case)
        for finding in bad:
            case = {"classname": name, "name": xml_text(f"{finding.kind}: {finding.state}"), "time": "0.000"}
            failure = {"message": xml_text(finding.message), "type": finding.kind}
            ElementTree.SubElement(ElementTree.SubElement(suite, "testcase", case), "failure", failure)
    root.attrib |= counts(total, failed)
    return xml_document(root)

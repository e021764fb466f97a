"""Outcomes for machines: JSON, and the XML that continuous integration systems know as JUnit's.

Owns both formats. Neighbour: trace.py, which explains a failure to people.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from xml.etree import ElementTree

from treadle.language.scope import Json
from treadle.scenarios.play import Outcome
from treadle.scenarios.trace import report

# XML 1.0 'Characters': no others may stand in a document, not even escaped.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(outcome: Outcome) -> dict[str, Json]:
    """An outcome as a JSON object: the scenario, whether it passed, how the run ended, what differed."""
    run = outcome.run
    told: dict[str, Any] = {
        "name": outcome.scenario.name,
        "place": outcome.scenario.place,
        "machine": outcome.scenario.machine.name,
        "passed": outcome.passed,
        "status": run.status,
        "seconds": run.seconds,
        "path": run.path,
        "differences": [
            {"what": each.what, "expected": each.expected, "actual": each.actual} for each in outcome.differences
        ],
    }
    if run.status == "SUCCEEDED":
        told["output"] = run.output
    told |= {name: value for name, value in (("error", run.error), ("cause", run.cause)) if value is not None}
    return told


def as_junit(outcomes: Sequence[Outcome]) -> str:
    """Outcomes as JUnit XML: a suite for each machine. Times are virtual seconds."""
    root = ElementTree.Element("testsuites", _counts(outcomes))
    for machine in dict.fromkeys(each.scenario.machine.name for each in outcomes):
        own = [each for each in outcomes if each.scenario.machine.name == machine]
        suite = ElementTree.SubElement(root, "testsuite", {"name": machine, **_counts(own)})
        for outcome in own:
            scenario = outcome.scenario
            case = ElementTree.SubElement(
                suite,
                "testcase",
                {"classname": machine, "name": xml_text(scenario.name), "time": f"{outcome.run.seconds:.3f}"},
            )
            if not outcome.passed:
                first = xml_text(str(outcome.differences[0]))
                failure = ElementTree.SubElement(case, "failure", {"message": first, "type": "Difference"})
                failure.text = xml_text("\n".join([scenario.place, *report(outcome)]))
    return xml_document(root)


def xml_document(root: ElementTree.Element) -> str:
    """The text of an XML document, a line for each element."""
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _counts(outcomes: Sequence[Outcome]) -> dict[str, str]:
    return counts(len(outcomes), sum(not each.passed for each in outcomes))


def counts(tests: int, failures: int) -> dict[str, str]:
    """The numbers at the head of a suite."""
    return {"tests": str(tests), "failures": str(failures), "errors": "0", "skipped": "0"}


def xml_text(text: str) -> str:
    """The text without what may not stand in XML."""
    return _NO_XML.sub("\ufffd", text)

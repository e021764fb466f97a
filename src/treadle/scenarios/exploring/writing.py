"""Explored runs as a scenario file.

Owns how the file is written: YAML that `scenarios.reading` reads back to the same values.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from treadle.scenarios.document import ScenarioError
from treadle.scenarios.exploring.explore import Exploration
from treadle.scenarios.scenario import Scenario

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*( [A-Za-z0-9]+)*")


class _Dumper(yaml.SafeDumper):
    """Quotes every text that is not made of plain words, so that no reader takes it for anything else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = None if _PLAIN.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _text)  # pyright: ignore[reportUnknownMemberType]


def written(scenarios: Sequence[Scenario], definition: str) -> str:
    """The text of a scenario file; `definition` is the definition's path from the file's folder."""
    machine = scenarios[0].machine
    file: dict[str, Any] = {"definition": definition}
    if machine.type != "STANDARD":
        file["type"] = machine.type
    file["scenarios"] = [_scenario(each) for each in scenarios]
    # What is no JSON could not be read back; and shared objects become values of their own.
    plain = json.loads(json.dumps(file))
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return f"# Written by treadle test --explore. What it expects is what happened.\n{text}"


def _scenario(scenario: Scenario) -> dict[str, Any]:
    expect = scenario.expect
    told: dict[str, Any] = {"status": expect.status}
    if expect.error is not None:
        told["error"] = expect.error
    told["path"] = list(expect.path or ())
    answers = {name: each[0] if len(each) == 1 else each for name, each in scenario.answers.items()}
    return {"name": scenario.name, "input": scenario.input, "answers": answers, "expect": told}


def write_scenarios(exploration: Exploration, folder: Path) -> Path:
    """Write `<machine>.scenario.yaml` into a folder, made where it is missing; gives its path. Raises ScenarioError."""
    machine = exploration.machine
    path = folder / f"{machine.name}.scenario.yaml"
    if path.exists():
        raise ScenarioError(f"{path} is there already: remove it, or choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = written(exploration.scenarios, os.path.relpath(machine.path, folder))
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{path} cannot be written: {error.strerror}.") from None
    return path

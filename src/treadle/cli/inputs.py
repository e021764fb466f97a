"""What the command line reads: definitions, JSON, folders of machines. Every fault names the file, line and column.

Owns reading and naming. Judges definitions with `treadle.language` alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from treadle.cli.problems import Problem
from treadle.errors import StatesError
from treadle.language.compile import plan_of
from treadle.language.definition import Definition, parse
from treadle.language.diagnostics import Diagnostic
from treadle.language.lint import lint
from treadle.language.plan import Plan
from treadle.language.scope import Json
from treadle.runtime.machines import StateMachine
from treadle.scenarios import document
from treadle.scenarios.document import ScenarioError, found
from treadle.scenarios.reading import DEFINITION_SUFFIXES, machine_name

WorkflowType = Literal["STANDARD", "EXPRESS"]

ACCOUNT: Final = "us-east-1:123456789012"
"""Region and account of everything that has none of its own: those of AWS's examples."""
_ROLE: Final = "arn:aws:iam::123456789012:role/treadle"


def read_text(path: str) -> str:
    """The text of a file; of the standard input for `-`."""
    if path != "-":
        return document.read_text(path)
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"-: byte {error.start + 1} is no UTF-8. Send UTF-8.") from None


def json_value(text: str, place: str) -> Json:
    """The value of a JSON text; `place` says where it was written: a file or an option."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Problem(f"{place}:{error.lineno}:{error.colno}: not JSON: {error.msg}.") from None
    except (ValueError, RecursionError) as error:
        raise Problem(f"{place}: not JSON: {error}.") from None


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON number")


def either(option: str, text: str | None, file_option: str, file: str | None) -> Json | None:
    """A JSON value given as an option or in a file; in a tuple of one, None when it was not given."""
    if text is not None and file is not None:
        raise Problem(f"{option} and {file_option} were both given: one of them must go.")
    if file is not None:
        return (json_value(read_text(file), file),)
    return None if text is None else (json_value(text, option),)


# ---- definitions -------------------------------------------------------------------------------------------------


def examine(text: str, type: WorkflowType) -> tuple[Definition | None, list[Diagnostic]]:
    """The definition in a text, and everything that is wrong with it."""
    definition, diagnostics = parse(text)
    if definition is not None:
        diagnostics = [*diagnostics, *lint(definition, type)]
    return definition, diagnostics


@dataclass(frozen=True, slots=True)
class Source:
    """A definition that can run, and the file that it came from."""

    path: str
    definition: Definition
    plan: Plan
    machine: StateMachine

    def place(self, path: tuple[str | int, ...]) -> str:
        """File, line and column of a field."""
        line, column = self.definition.place(path)
        return f"{self.path}:{line}:{column}"


def read_definition(path: str, type: WorkflowType = "STANDARD") -> Source:
    """The definition in a file. A Problem with a line for each error when it cannot run."""
    return source_of(path, read_text(path), type, machine_arn(machine_name(path)))


def source_of(path: str, text: str, type: WorkflowType, arn: str) -> Source:
    """The definition in a text; `path` names it in messages."""
    definition, diagnostics = examine(text, type)
    errors = [each for each in diagnostics if each.severity == "ERROR"]
    if definition is None or errors:
        raise Problem(found(path, errors))
    machine = StateMachine(
        arn=arn, name=arn.rpartition(":stateMachine:")[2], definition=text, role_arn=_ROLE, type=type
    )
    return Source(path, definition, plan_of(definition.root), machine)


def machine_arn(name: str) -> str:
    """The ARN of a state machine of this name."""
    return f"arn:aws:states:{ACCOUNT}:stateMachine:{name}"


class MachineFolder:
    """The state machines in a folder: `<name>.asl.json`, `.asl.yaml` or `.asl.yml`, by ARN. Read when first wanted."""

    def __init__(self, folder: Path | None, known: Iterable[Source] = ()) -> None:
        self._folder = folder
        self._known = {each.machine.name: each for each in known}

    async def __call__(self, arn: str) -> StateMachine | None:
        """The machine; None when there is none. Raises StatesError when its definition cannot run."""
        try:
            found = self.find(arn)
        except (Problem, ScenarioError) as problem:
            raise StatesError("StepFunctions.InvalidDefinitionException", str(problem)) from None
        return found and found.machine

    def find(self, arn: str) -> Source | None:
        """The machine with its file. A Problem when its definition cannot run."""
        name = arn.rpartition(":stateMachine:")[2]
        if name not in self._known:
            path = self._files().get(name)
            if path is None:
                return None
            self._known[name] = source_of(str(path), read_text(str(path)), "STANDARD", arn)
        return self._known[name]

    def _files(self) -> dict[str, Path]:
        if self._folder is None:
            return {}
        try:
            listing = sorted(self._folder.iterdir(), reverse=True)
        except OSError as error:
            raise Problem(f"{self._folder}: the folder of machines cannot be read: {error.strerror}.") from None
        return {
            each.name.removesuffix(suffix): each
            for each in listing
            for suffix in DEFINITION_SUFFIXES[:3]
            if each.name.endswith(suffix)
        }

"""What the command line reads: definitions, JSON, folders of machines. Every fault names the file, line and column.

Owns reading and naming. Judges definitions with `treadle.language` alone.
"""

from __future__ import annotations

import json
import re
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
from treadle.language.values import is_array, is_object
from treadle.runtime.machines import StateMachine

WorkflowType = Literal["STANDARD", "EXPRESS"]

ACCOUNT: Final = "us-east-1:123456789012"
"""Region and account of everything that has none of its own: those of AWS's examples."""
SUFFIXES: Final = (".asl.json", ".asl.yaml", ".asl.yml", ".json", ".yaml", ".yml")
_ROLE: Final = "arn:aws:iam::123456789012:role/treadle"


def read_text(path: str) -> str:
    """The text of a file; of the standard input for `-`."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except FileNotFoundError:
        raise Problem(f"{path}: there is no such file.") from None
    except IsADirectoryError:
        raise Problem(f"{path} is a folder: name a file in it.") from None
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"{path}: byte {error.start + 1} is no UTF-8. Store the file as UTF-8.") from None


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


def finding(path: str, diagnostic: Diagnostic) -> str:
    """A diagnostic as one line: where, what, and what to do."""
    place = f"{path}:{diagnostic.line}:{diagnostic.column}" if diagnostic.line else path
    where = f" at {diagnostic.location}" if diagnostic.location else ""
    remedy = f" {diagnostic.remedy}" if diagnostic.remedy else ""
    end = "" if diagnostic.message.endswith((".", "!", "?")) else "."
    return f"{place}: {diagnostic.severity} {diagnostic.code}: {diagnostic.message}{where}{end}{remedy}"


def machine_name(path: str) -> str:
    """What a state machine is called after its file."""
    name = Path(path).name if path != "-" else "stdin"
    suffix = next((each for each in SUFFIXES if name.endswith(each)), "")
    return re.sub(r"[^A-Za-z0-9_-]", "-", name.removesuffix(suffix))[:80] or "machine"


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
        raise Problem("\n".join(finding(path, each) for each in errors))
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

    def __call__(self, arn: str) -> StateMachine | None:
        """The machine; None when there is none. Raises StatesError when its definition cannot run."""
        try:
            found = self.find(arn)
        except Problem as problem:
            raise StatesError("StepFunctions.InvalidDefinitionException", problem.message) from None
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
            for suffix in SUFFIXES[:3]
            if each.name.endswith(suffix)
        }


# ---- mocks -------------------------------------------------------------------------------------------------------

_FORMS: Final = ("return", "error", "cause", "never")
_MEMBERS: Final = {*_FORMS, "after", "accepted", "phase"}


def read_answers(path: str) -> dict[str, list[dict[str, Json]]]:
    """The scripted answers in a JSON or YAML file, by state or resource, as `treadle.testing.script_of` takes them."""
    definition, diagnostics = parse(read_text(path))
    if definition is None:
        raise Problem("\n".join(finding(path, each) for each in diagnostics if each.severity == "ERROR"))

    def wrong(where: tuple[str | int, ...], message: str) -> Problem:
        line, column = definition.place(where)
        return Problem(f"{path}:{line}:{column}: {message}")

    root: Json = definition.root
    if not is_object(root):
        raise wrong((), "answers are an object: by state or resource, a list of answers.")
    found: dict[str, list[dict[str, Json]]] = {}
    for name, written in root.items():
        answers = written if is_array(written) else [written]
        if not answers:
            raise wrong((name,), f"'{name}' has no answer: give one, such as {{\"return\": {{}}}}.")
        for index, answer in enumerate(answers):
            here = (name, index) if is_array(written) else (name,)
            if fault := _fault(answer):
                raise wrong(here, f"{fault} in the answers of '{name}'.")
        found[name] = answers
    return found


def _fault(answer: Json) -> str | None:
    if not is_object(answer) or not any(form in answer for form in _FORMS):
        return 'an answer is {"return": value}, {"error": name, "cause": text} or {"never": true}; it is something else'
    unknown = answer.keys() - _MEMBERS
    if unknown:
        return f"an answer has no '{min(unknown)}' ({', '.join(sorted(_MEMBERS))} are known)"
    after: Json = answer.get("after", 0)
    if isinstance(after, bool) or not isinstance(after, int | float) or after < 0:
        return "'after' is a number of seconds; it is not"
    return None

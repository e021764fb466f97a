"""Scenario files: from YAML or JSON to scenarios.

    definition: orders.asl.yaml
    scenarios:
      - name: a busy card is charged again
        input: {order: 7}
        answers:
          Charge card: [{error: Busy}, {return: {ok: true}}]
        expect: {path: [Charge card, Ship], output_contains: {paid: true}}

What stands beside `scenarios` holds for each of them; answers and expectations are put together member by member.
`with` makes one scenario of each of its objects, whose members stand in for `${member}`. Owns the format and every
complaint about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from treadle.errors import DefinitionError
from treadle.language.compile import compile_definition
from treadle.language.scope import Json
from treadle.language.values import is_array, is_number, is_object
from treadle.scenarios.answers import Answers, read_answers, take_answers
from treadle.scenarios.document import (
    Document,
    ScenarioError,
    Where,
    document_of,
    found,
    instead,
    kind_of,
    read_document,
    read_text,
)
from treadle.scenarios.mock_config import answers_of_case, cases_of, is_mock_config
from treadle.scenarios.scenario import Expectation, Machine, Scenario, WorkflowType

DEFINITION_SUFFIXES: Final = (".asl.json", ".asl.yaml", ".asl.yml", ".json", ".yaml", ".yml")
SUFFIXES: Final = (".scenario.yaml", ".scenario.yml", ".scenario.json")
"""How the names of scenario files end."""

_SHARED: Final = ("definition", "type", "input", "answers", "expect", "seed")
_FILE: Final = (*_SHARED, "scenarios")
_SCENARIO: Final = ("name", *_SHARED, "with")
_EXPECT: Final = (
    "status",
    "output",
    "output_contains",
    "error",
    "cause",
    "cause_contains",
    "path",
    "path_contains",
    "seconds",
    "calls",
)
_STATUSES: Final = ("SUCCEEDED", "FAILED", "TIMED_OUT", "RUNNING")
_NAME: Final = re.compile(r"\$\{([^}]*)\}")


def scenario_files(path: Path) -> list[Path]:
    """The path itself, or the scenario files in a folder and below it."""
    if not path.is_dir():
        return [path]
    return sorted(each for suffix in SUFFIXES for each in path.rglob(f"*{suffix}"))


def read_scenarios(path: str | Path) -> list[Scenario]:
    """The scenarios in a file, or the test cases of a mock configuration. Raises ScenarioError."""
    document = read_document(path)
    reader = _Reader(document)
    scenarios = list(reader.mocked() if is_mock_config(document.root) else reader.scenarios())
    if not scenarios:
        raise document.fault(("scenarios",), "there is no scenario here: write one under 'scenarios'.")
    return scenarios


def scenario_of(path: str, written: dict[str, Json]) -> Scenario:
    """A scenario that a program wrote, with `definition`; `path` is where relative paths start from. ScenarioError."""
    shared = {"definition": written["definition"]}
    own = {name: each for name, each in written.items() if name != "definition"}
    document = document_of(path, json.dumps({**shared, "scenarios": [own]}))
    return next(_Reader(document).scenarios())


def read_machine(path: str | Path, type: WorkflowType = "STANDARD") -> Machine:
    """The definition in a file. Raises ScenarioError with a line for each finding."""
    return machine_of(str(path), read_text(path), machine_name(path), type)


def machine_of(path: str, text: str, name: str, type: WorkflowType) -> Machine:
    """The definition in a text; `path` names it in messages."""
    document = document_of(path, text)
    try:
        plan = compile_definition(text, type)
    except DefinitionError as error:
        raise ScenarioError(found(path, error.diagnostics)) from None
    return Machine(name, path, plan, document.root, type)


def machine_name(path: str | Path) -> str:
    """What a state machine is called after its file; `-` is the standard input."""
    name = Path(path).name if path != "-" else "stdin"
    suffix = next((each for each in DEFINITION_SUFFIXES if name.endswith(each)), "")
    return re.sub(r"[^A-Za-z0-9_-]", "-", name.removesuffix(suffix))[:80] or "machine"


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.machines: dict[str, Machine] = {}

    # ---- AWS's mock configuration ----

    def mocked(self) -> Iterator[Scenario]:
        """Its test cases, from the empty input. It says nothing of what is expected: an end, and no call unanswered."""
        for name, case in cases_of(self.document):
            where: Where = ("StateMachines", name)
            files = [self.document.folder / f"{name}{suffix}" for suffix in DEFINITION_SUFFIXES]
            file = next((each for each in files if each.is_file()), None)
            if file is None:
                raise self.document.fault(
                    where, f"there is no definition for '{name}': put {name}.asl.json beside this file."
                )
            machine = self.read(file, "STANDARD")
            answers = answers_of_case(self.document, f"{name}/{case}")
            for state in answers:
                self.known(state, {*machine.states, *machine.answerable}, (*where, "TestCases", case, state), "state")
            place = self.document.fault((*where, "TestCases", case), "")
            yield Scenario(f"{name}/{case}", machine, {}, answers, Expectation(), str(place).rstrip(": "))

    # ---- scenario files ----

    def scenarios(self) -> Iterator[Scenario]:
        file = self.document.members(self.document.root, (), _FILE, "a scenario file")
        written = file.get("scenarios")
        if not is_array(written):
            raise self.document.fault(
                ("scenarios",), "'scenarios' is a list of scenarios; it is not there, or no list."
            )
        names: set[str] = set()
        for index, each in enumerate(written):
            where: Where = ("scenarios", index)
            given = self.document.members(each, where, _SCENARIO, "a scenario")
            name = given.get("name")
            if not isinstance(name, str) or not name:
                raise self.document.fault(where, "a scenario has a 'name' that says what happens; this one has none.")
            for scenario in self.variants(file, given, name, where):
                if scenario.name in names:
                    raise self.document.fault(where, f"two scenarios are called '{scenario.name}': rename one.")
                names.add(scenario.name)
                yield scenario

    def variants(self, file: dict[str, Json], given: dict[str, Json], name: str, where: Where) -> Iterator[Scenario]:
        if "with" not in given:
            yield self.scenario(file, given, name, where)
            return
        cases = given["with"]
        if not is_array(cases) or not cases or not all(is_object(case) for case in cases):
            raise self.document.fault((*where, "with"), "'with' is a list of objects, one for each variant.")
        body = {key: value for key, value in given.items() if key != "with"}
        for case in cases:
            filled = self.filled(body, case, where)
            if filled["name"] == name:
                filled["name"] = f"{name} ({', '.join(f'{key}={_inline(value)}' for key, value in case.items())})"
            yield self.scenario(self.filled(file, case, ()), filled, filled["name"], where)

    def filled(self, value: Json, names: dict[str, Json], where: Where) -> Any:
        """The value with every `${name}` replaced; alone in a text it becomes the value itself."""
        if is_object(value):
            return {
                # Definitions and other scenarios have placeholders of their own.
                key: each
                if not where and key in ("scenarios", "definition")
                else self.filled(each, names, (*where, key))
                for key, each in value.items()
            }
        if is_array(value):
            return [self.filled(each, names, (*where, index)) for index, each in enumerate(value)]
        if not isinstance(value, str):
            return value
        for name in _NAME.findall(value):
            self.known(name, names, where, "member of 'with'")
        if (whole := _NAME.fullmatch(value)) is not None:
            return names[whole[1]]
        return _NAME.sub(lambda match: _inline(names[match[1]]), value)

    def scenario(self, file: dict[str, Json], given: dict[str, Json], name: str, where: Where) -> Scenario:
        machine = self.machine(file, given, where)
        answers = self.answers(file, (), machine) | self.answers(given, where, machine)
        expect = self.expectation(file, given, where, machine)
        seed: Json = given.get("seed", file.get("seed", 0))
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise self.document.fault((*where, "seed"), f"'seed' is a whole number; it is {kind_of(seed)}.")
        place = str(self.document.fault(where, "")).rstrip(": ")
        return Scenario(name, machine, given.get("input", file.get("input", {})), answers, expect, place, seed)

    # ---- parts of a scenario ----

    def machine(self, file: dict[str, Json], given: dict[str, Json], where: Where) -> Machine:
        at: Where = (*where, "definition") if "definition" in given else ("definition",)
        definition = given.get("definition", file.get("definition"))
        type: Any = given.get("type", file.get("type", "STANDARD"))
        if type not in ("STANDARD", "EXPRESS"):
            raise self.document.fault((*where, "type"), "'type' is STANDARD or EXPRESS.")
        if isinstance(definition, str):
            try:
                return self.read(self.document.folder / definition, type)
            except OSError as error:
                raise self.document.fault(at, f"{definition} cannot be read: {error.strerror}.") from None
        if is_object(definition):
            text = json.dumps(definition)
            if text not in self.machines:
                name = Path(self.document.path).name.partition(".")[0]
                self.machines[text] = machine_of(self.document.path, text, name, type)
            return self.machines[text]
        raise self.document.fault(at, "'definition' is the path of a definition, or a definition itself.")

    def read(self, path: Path, type: WorkflowType) -> Machine:
        key = f"{type} {path}"
        if key not in self.machines:
            self.machines[key] = read_machine(path, type)
        return self.machines[key]

    def answers(self, given: dict[str, Json], where: Where, machine: Machine) -> Answers:
        here: Where = (*where, "answers")
        written = given.get("answers", {})
        if isinstance(written, str):
            answers = read_answers(str(self.document.folder / written))
        else:
            answers = take_answers(self.document, written, here)
        for name in answers:
            self.known(name, machine.answerable, (*here, name), "task or resource")
        return answers

    def expectation(self, file: dict[str, Json], given: dict[str, Json], where: Where, machine: Machine) -> Expectation:
        shared = self.document.members(file.get("expect", {}), ("expect",), _EXPECT, "'expect'")
        own = self.document.members(given.get("expect", {}), (*where, "expect"), _EXPECT, "'expect'")
        merged = {**shared, **own}
        at = {name: ((*where, "expect") if name in own else ("expect",)) + (name,) for name in merged}
        if merged.get("status", "SUCCEEDED") not in _STATUSES:
            raise self.document.fault(at["status"], f"'status' is one of {', '.join(_STATUSES)}.")
        for name in ("error", "cause", "cause_contains"):
            if not isinstance(merged.get(name, ""), str):
                raise self.document.fault(at[name], f"'{name}' is text; it is {kind_of(merged[name])}.")
        unlucky = "error" in merged or "cause" in merged or "cause_contains" in merged
        return Expectation(
            # What is said of an error says that there is one.
            status=merged.get("status", None if unlucky else "SUCCEEDED"),
            output=(merged["output"],) if "output" in merged else None,
            output_contains=(merged["output_contains"],) if "output_contains" in merged else None,
            error=merged.get("error"),
            cause=merged.get("cause"),
            cause_contains=merged.get("cause_contains"),
            path=self.path(merged, "path", at, machine),
            path_contains=self.path(merged, "path_contains", at, machine),
            seconds=self.seconds(merged, at),
            calls=self.calls(merged, at, machine),
        )

    def path(
        self, merged: dict[str, Json], name: str, at: dict[str, Where], machine: Machine
    ) -> tuple[str, ...] | None:
        if name not in merged:
            return None
        written = merged[name]
        if not is_array(written):
            raise self.document.fault(at[name], f"'{name}' is a list of states; it is {kind_of(written)}.")
        for index, state in enumerate(written):
            self.known(str(state), machine.states, (*at[name], index), "state")
        return tuple(written)

    def seconds(self, merged: dict[str, Json], at: dict[str, Where]) -> tuple[float, float] | None:
        if "seconds" not in merged:
            return None
        written = merged["seconds"]
        if is_number(written):
            return float(written), float(written)
        bounds = self.document.members(written, at["seconds"], ("least", "most"), "'seconds', unless it is a number,")
        if not all(is_number(each) for each in bounds.values()):
            raise self.document.fault(at["seconds"], "'least' and 'most' are numbers of seconds.")
        return float(bounds.get("least", 0)), float(bounds.get("most", "inf"))

    def calls(self, merged: dict[str, Json], at: dict[str, Where], machine: Machine) -> dict[str, int]:
        written = merged.get("calls", {})
        if not is_object(written):
            raise self.document.fault(at["calls"], "'calls' is an object: by state or resource, how many calls.")
        for name, count in written.items():
            where = (*at["calls"], name)
            self.known(name, machine.answerable, where, "task or resource")
            if not isinstance(count, int) or isinstance(count, bool) or count < 0:
                raise self.document.fault(where, f"the calls of '{name}' are a number, 0 or more.")
        return written

    def known(self, name: str, names: Collection[str], where: Where, what: str) -> None:
        """Refuse a name that is none of those there are."""
        if name not in names:
            shown: Sequence[str] = sorted(each for each in names if each != "*" and not each.startswith("arn:"))
            raise self.document.fault(where, f"there is no {what} '{name}'{instead(name, shown)}.")


def _inline(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

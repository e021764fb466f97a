"""The pytest plugin: scenario files are test items, and the fixture `treadle_run` plays a workflow in a test.

Owns what pytest shows of a run that failed. pytest imports this module whenever it starts, so it imports nothing of
treadle before a scenario is met. Neighbour: `treadle.scenarios`, which it hands everything to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

if TYPE_CHECKING:
    from treadle.scenarios.play import Outcome
    from treadle.scenarios.scenario import Scenario
    from treadle.testing.world import Run

_SUFFIXES: Final = (".scenario.yaml", ".scenario.yml", ".scenario.json")
_OUTCOMES: Final = pytest.StashKey[list["Outcome"]]()


class ScenarioFailed(AssertionError):
    """A run went another way than expected. The message is its way, with the first difference marked."""


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Collect scenario files."""
    if not file_path.name.endswith(_SUFFIXES):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)  # pyright: ignore[reportUnknownMemberType]


class ScenarioFile(pytest.File):
    """A scenario file: a test for each scenario."""

    def collect(self) -> Iterator[ScenarioItem]:
        """The scenarios in the file."""
        from treadle.scenarios.document import ScenarioError
        from treadle.scenarios.reading import read_scenarios

        try:
            scenarios = read_scenarios(os.path.relpath(self.path))
        except ScenarioError as error:
            raise self.CollectError(str(error)) from None
        for scenario in scenarios:
            made: ScenarioItem = ScenarioItem.from_parent(  # pyright: ignore[reportUnknownMemberType]
                self, name=scenario.name, scenario=scenario
            )
            yield made


class ScenarioItem(pytest.Item):
    """One scenario."""

    def __init__(self, *, scenario: Scenario, **given: Any) -> None:
        super().__init__(**given)  # pyright: ignore[reportUnknownMemberType]
        self.scenario = scenario

    def runtest(self) -> None:
        """Play it."""
        from treadle.scenarios.play import play

        _judge(play(self.scenario))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The way of the run, and nothing of treadle's own frames."""
        if isinstance(excinfo.value, ScenarioFailed):
            return f"{excinfo.value}\n\n{self.scenario.place}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """File, line and name."""
        return self.path, int(self.scenario.place.split(":")[-2]) - 1, self.name


def _judge(outcome: Outcome) -> None:
    __tracebackhide__ = True
    from treadle.scenarios.trace import report

    if not outcome.passed:
        raise ScenarioFailed("\n".join(report(outcome)))


RunMachine: TypeAlias = Callable[..., "Run"]


@pytest.fixture
def treadle_run(request: pytest.FixtureRequest) -> RunMachine:
    """Plays a workflow in virtual time: `treadle_run(definition, input, tasks, expect={...}, seed=0, type="STANDARD")`.

    `definition` is a dict, or a path from the folder of the test; `tasks` as in `treadle.testing.run`; `expect` as in a
    scenario file. Gives the run. When the test fails, the report has the way of each of its runs.
    """
    outcomes = request.node.stash.setdefault(_OUTCOMES, [])

    def run(
        definition: Mapping[str, Any] | str | Path,
        input: Any = None,
        tasks: Mapping[str, Any] | None = None,
        *,
        expect: Mapping[str, Any] | None = None,
        seed: int = 0,
        type: str = "STANDARD",
    ) -> Run:
        __tracebackhide__ = True
        from treadle.scenarios.play import play
        from treadle.scenarios.reading import scenario_of

        written: dict[str, Any] = {
            "name": request.node.name,
            "definition": str(definition) if isinstance(definition, str | Path) else dict(definition),
            "input": {} if input is None else input,
            # Without expectations, the test itself looks at the run.
            "expect": dict(expect or {}),
            "seed": seed,
            "type": type,
        }
        outcome = play(scenario_of(str(request.path), written), tasks=tasks or {})
        outcomes.append(outcome)
        if expect is not None:
            _judge(outcome)
        return outcome.run

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the runs of a test that failed."""
    report = yield
    if report.when == "call" and report.failed and not isinstance(getattr(call.excinfo, "value", None), ScenarioFailed):
        from treadle.scenarios.trace import way

        none: list[Outcome] = []
        for number, outcome in enumerate(item.stash.get(_OUTCOMES, none), 1):
            report.sections.append((f"treadle run {number}", "\n".join(way(outcome.run))))
    return report

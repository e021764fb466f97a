"""Scripted answers in the place of what a Task calls: `--mock`.

Owns which answer a call gets. The n-th call of a name gets its n-th answer, and that stays so when the process ends in
the middle: turns are counted from the journals (`recall`), so a call that is made again gets its answer again. A
callback's answer comes through the engine, as anybody else's would. Must never decide what a failure means.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Final, Literal

from treadle.errors import ApiError, StatesError
from treadle.items.reader import most_items
from treadle.language.plan import Plan, TaskPlan
from treadle.language.resources import Resource, parse_resource
from treadle.language.scope import Json
from treadle.language.values import is_array
from treadle.machine.commands import RunTask
from treadle.machine.journal import Entry
from treadle.runtime.engine import Engine
from treadle.runtime.ports import (
    Call,
    Integration,
    ItemPage,
    ItemReader,
    MapResults,
    Redelivery,
    ResultWriter,
    WaitRow,
)
from treadle.testing.script import Fails, InTurn, Never, Returns, names_of, script_of

Given = Returns | Fails | Never

KINDS: Final = ("lambda", "service", "aws-sdk", "http", "mcp")
"""What a Task can call. Activities have workers instead."""
Part = Literal["ItemReader", "ResultWriter"]
_PARTS: Final[tuple[Part, ...]] = ("ItemReader", "ResultWriter")
_SCHEDULED: Final = ("TaskScheduled", "LambdaFunctionScheduled", "ActivityScheduled")
_WORKER: Final = "mock"

log = logging.getLogger("treadle.cli")


class Script:
    """The answers of a file, and whose turn it is."""

    def __init__(self, answers: Mapping[str, list[dict[str, Json]]]) -> None:
        self._answers = script_of(answers)
        self._turns: Counter[str] = Counter()
        self._turn: dict[tuple[str, int], tuple[str, int]] = {}

    def answers(self, state: str, resource: Resource | None) -> bool:
        """Whether there is an answer for a task."""
        return any(name in self._answers for name in names_of(state, resource))

    def part(self, map_run: str, state: str, part: Part) -> Given | None:
        """The answer for the reader or the writer of a map run; None when the script has none.

        The n-th map run of a state gets the n-th answer of each, so that turns can be counted from the journals.
        """
        self._begin(map_run, state)
        return self._at(self._turn.get((map_run, _PARTS.index(part))))

    def _begin(self, map_run: str, state: str) -> None:
        for number, part in enumerate(_PARTS):
            if (map_run, number) not in self._turn:
                self._take_turn(map_run, number, (f"{state}.{part}",))

    def recall(self, arn: str, journal: Iterable[Entry], plan: Plan) -> None:
        """Give the calls that an execution made before the turns that they had."""
        current: dict[tuple[int, ...], str] = {}
        for number, entry in enumerate(journal, 1):
            if entry.type.endswith("StateEntered"):
                current[entry.frame] = entry.details["name"]
            elif entry.type == "MapRunStarted":
                self._begin(entry.details["mapRunArn"], current[entry.frame])
            elif entry.type in _SCHEDULED:
                task = plan.state(current[entry.frame])
                assert isinstance(task, TaskPlan), "only a Task schedules"
                self._take_turn(arn, number, names_of(task.name, task.resource))

    def answer(self, arn: str, wait: int, state: str, resource: str) -> Given | None:
        """The answer for the call of a wait; None when the script has none. The same every time for one wait."""
        place = self._turn.get((arn, wait)) or self._take_turn(arn, wait, names_of(state, parse_resource(resource)))
        return self._at(place)

    def _at(self, place: tuple[str, int] | None) -> Given | None:
        if place is None:
            return None
        answers = self._answers[place[0]]
        assert isinstance(answers, InTurn)
        given = answers.answers[min(place[1], len(answers.answers) - 1)]
        assert isinstance(given, Returns | Fails | Never)
        return given

    def _take_turn(self, arn: str, wait: int, names: tuple[str, ...]) -> tuple[str, int] | None:
        name = next((each for each in names if each in self._answers), None)
        if name is None:
            return None
        place = self._turn[arn, wait] = name, self._turns[name]
        self._turns[name] += 1
        return place


class Scripted:
    """An integration that answers from the script what the script names, and leaves the rest to another one."""

    def __init__(self, script: Script, engine: Callable[[], Engine], other: Integration | None) -> None:
        self._script, self._engine, self._other = script, engine, other
        self.redelivery: Redelivery = other.redelivery if other else "again"

    async def call(self, call: Call) -> Json:
        """Make the call, or give its answer."""
        answer = self._answer(call)
        if answer is None:
            return await self._served(call).call(call)
        resource = parse_resource(call.resource)
        assert resource is not None
        early = isinstance(answer, Fails) and answer.phase != "run"
        if resource.pattern == "request-response" or early:
            engine = self._engine()
            with engine.clock.idle():
                return await _given(answer, engine, engine.clock.now())
        return answer.accepted

    async def poll(self, call: Call) -> Json:
        """Wait for a job, or give its answer."""
        answer = self._answer(call)
        if answer is None:
            return await self._served(call).poll(call)
        engine = self._engine()
        return await _given(answer, engine, engine.clock.now())

    async def cancel(self, call: Call) -> None:
        """Stop a job; a scripted one has nothing to stop."""
        if self._answer(call) is None:
            await self._served(call).cancel(call)

    def _answer(self, call: Call) -> Given | None:
        return self._script.answer(call.execution_arn, call.wait, call.state, call.resource)

    def _served(self, call: Call) -> Integration:
        if self._other is None:
            raise StatesError("States.Runtime", f"Nothing here serves the resource {call.resource}.")
        return self._other


async def _given(answer: Given, engine: Engine, since: float) -> Json:
    match answer:
        case Returns(value, after):
            await _pass(engine, since, after)
            return value
        case Fails(error, cause, after):
            await _pass(engine, since, after)
            raise StatesError(error, cause)
        case Never():
            return await asyncio.get_running_loop().create_future()


async def _pass(engine: Engine, since: float, after: float) -> None:
    if after:
        await engine.clock.sleep_until(since + after)


class ScriptedItems:
    """Reads items and writes results as the script says, and leaves what it does not name to others."""

    def __init__(self, script: Script, engine: Callable[[], Engine], reader: ItemReader, writer: ResultWriter) -> None:
        self._script, self._engine, self._reader, self._writer = script, engine, reader, writer

    async def pages(self, reader: Mapping[str, Json], skip: int) -> AsyncGenerator[ItemPage]:
        """The items of the answer, or those that are read."""
        answer = self._script.part(reader["mapRunArn"], reader["state"], "ItemReader")
        if answer is None:
            async for page in self._reader.pages(reader, skip):
                yield page
            return
        items = await self._given(answer, "ItemReader")
        if not is_array(items):
            told = f"The script's answer for '{reader['state']}.ItemReader' is no list of items."
            raise StatesError("States.ItemReaderFailed", told)
        yield ItemPage(items[: most_items(reader.get("maxItems"))][skip:])

    async def write(self, writer: Mapping[str, Json], results: MapResults) -> Json:
        """The output of the answer, or of what is written."""
        answer = self._script.part(results.map_run_arn, results.state, "ResultWriter")
        if answer is None:
            return await self._writer.write(writer, results)
        return await self._given(answer, "ResultWriter")

    async def _given(self, answer: Given, part: Part) -> Json:
        engine = self._engine()
        try:
            with engine.clock.idle():
                return await _given(answer, engine, engine.clock.now())
        except StatesError as error:
            raise StatesError(error.name or f"States.{part}Failed", error.cause) from None


class Answers:
    """Ends callbacks and activities as the script says: what a person or a worker would do."""

    def __init__(self, script: Script, engine: Callable[[], Engine]) -> None:
        self._script, self._engine = script, engine

    def opened(self, row: WaitRow) -> None:
        """A wait stands open: answer it when its time comes, counted from its opening."""
        command = row.command
        if row.kind not in ("callback", "activity") or not isinstance(command, RunTask):
            return
        answer = self._script.answer(row.arn, row.wait, command.state, command.resource)
        if answer is not None:
            self._engine().spawn(self._take(row) if row.kind == "activity" else self._end(row, answer))

    async def _take(self, row: WaitRow) -> None:
        with self._engine().clock.busy():
            await self._engine().take_task(row, _WORKER)

    async def _end(self, row: WaitRow, answer: Given) -> None:
        if isinstance(answer, Never):
            return
        engine = self._engine()
        await _pass(engine, row.created_at, answer.after)
        token = engine.token(row.arn, row.wait)
        try:
            with engine.clock.busy():
                if isinstance(answer, Returns):
                    await engine.succeed_task(token, answer.value)
                else:
                    await engine.fail_task(token, answer.error, answer.cause)
        except ApiError:
            log.info("the answer for %s of %s came too late", row.wait, row.arn)


def scripted(script: Script, engine: Callable[[], Engine], others: Mapping[str, Integration]) -> dict[str, Scripted]:
    """The table of integrations with the script before each of them."""
    return {name: Scripted(script, engine, others.get(name)) for name in {*KINDS, *others}}

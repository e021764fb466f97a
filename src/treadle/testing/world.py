"""A host for executions that is all make-believe: scripted tasks, a virtual clock, children run on the spot.

It drives the real machine through its real events and commands, so whatever it runs behaves as it would on any other
host; only the outside is scripted. Runs are deterministic for a given seed.
"""

from __future__ import annotations

import heapq
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from treadle.errors import StatesError
from treadle.language.compile import compile_definition
from treadle.language.plan import MapPlan, Plan, TaskPlan
from treadle.language.scope import Json
from treadle.language.values import is_array
from treadle.machine.commands import Cancel, Close, Command, RunTask, StartMapRun, StartTimer
from treadle.machine.events import (
    Event,
    Identity,
    JobAccepted,
    MapRunClosed,
    RedriveRequested,
    StartRequested,
    StopRequested,
    TaskErred,
    TaskPickedUp,
    TaskReturned,
    TimerDue,
)
from treadle.machine.execution import Execution
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.journal import Entry, history
from treadle.machine.limits import Limits
from treadle.machine.map_events import (
    ChildClosed,
    CloseRun,
    EffectFailed,
    ItemsRead,
    ReadItems,
    ResultsWritten,
    RunEvent,
    RunRedriven,
    RunRequested,
    RunStopped,
    StartChild,
    WriteResults,
)
from treadle.machine.map_results import Gathering
from treadle.machine.map_run import MapRun
from treadle.runtime.clock import START
from treadle.testing.checker import check_journal
from treadle.testing.script import NO_ANSWER, Answer, Fails, InTurn, Never, Returns, names_of

_ACCOUNT: Final = "arn:aws:states:us-east-1:123456789012"


def identity_of(
    machine: str = "machine", name: str = "run", type: Literal["STANDARD", "EXPRESS"] = "STANDARD"
) -> Identity:
    """The identity of a make-believe execution."""
    arn = f"{_ACCOUNT}:execution:{machine}:{name}"
    if type == "EXPRESS":
        # AWS: names of Express executions may repeat, so the ARN ends with an identifier of its own.
        arn = f"{_ACCOUNT}:express:{machine}:{name}:00000000-0000-4000-8000-000000000000"
    return Identity(
        arn=arn,
        name=name,
        role_arn="arn:aws:iam::123456789012:role/treadle",
        machine_arn=f"{_ACCOUNT}:stateMachine:{machine}",
        machine_name=machine,
    )


@dataclass
class Run:
    """One execution in a world, and what became of it."""

    name: str
    plan: Plan
    interpreter: Interpreter
    journal: list[Entry] = field(default_factory=list[Entry])
    children: dict[str, list[Run]] = field(default_factory=dict[str, "list[Run]"])
    """The child executions of distributed Maps, by state."""

    @property
    def execution(self) -> Execution:
        """Where it stands."""
        return self.interpreter.execution

    @property
    def status(self) -> str | None:
        """SUCCEEDED, FAILED, TIMED_OUT, ABORTED, or RUNNING when it waits for what never comes."""
        return self.execution.status

    @property
    def output(self) -> Json:
        """The output of an execution that succeeded."""
        return self.execution.output

    @property
    def error(self) -> str | None:
        """The error name of an execution that did not."""
        return self.execution.error

    @property
    def cause(self) -> str | None:
        """The cause that goes with the error."""
        return self.execution.cause

    @property
    def history(self) -> list[dict[str, Json]]:
        """The events as GetExecutionHistory gives them, with timestamps in seconds since the epoch."""
        return history(self.journal)

    @property
    def path(self) -> list[str]:
        """The names of the states entered, in order."""
        return [entry.details["name"] for entry in self.journal if entry.type.endswith("StateEntered")]

    @property
    def seconds(self) -> float:
        """How long it took by the virtual clock."""
        return self.journal[-1].at - self.journal[0].at


class World:
    """Runs executions against scripted tasks until nothing more can happen.

    `tasks` says how tasks answer, by state name, resource ARN or resource name (`sqs:sendMessage`); "*" is for all
    others. A task without an answer fails with `Testing.NoAnswer`. ItemReader and ResultWriter are tasks too, named
    `<state>.ItemReader` and `<state>.ResultWriter`; a reader returns the whole list of items.
    """

    def __init__(
        self,
        tasks: Mapping[str, Answer] | None = None,
        *,
        seed: int = 0,
        start: float = START,
        limits: Limits | None = None,
    ) -> None:
        self.tasks = tasks or {}
        self.now = start
        self.random = random.Random(seed)
        self.limits = limits or Limits()
        self.calls: list[RunTask] = []
        self.unanswered: list[str] = []  # what was called and has no answer, by state
        self.counts: dict[str, int] = {}
        self._agreed: dict[
            tuple[int, int], Returns | Fails | Never
        ] = {}  # by run and wait: what a worker or an accepted job will bring
        self._map_hosts: dict[str, _MapHost] = {}  # by the ARN of the map run
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._added = 0

    # ---- running ----

    def start(
        self,
        definition: str | Mapping[str, Json] | Plan,
        input: Json = None,
        identity: Identity | None = None,
        text: str | None = None,
    ) -> Run:
        """Start an execution; it goes as far as it can without time passing or tasks answering.

        `text` is the input as it was written.
        """
        return self.start_child(_plan(definition), input, identity or identity_of(), lambda _: None, text)

    def run(self, until: float | None = None) -> None:
        """Let time pass until nothing more will happen, or to a moment in seconds since the epoch."""
        while self._agenda and (until is None or self._agenda[0][0] <= until):
            at, _, happen = heapq.heappop(self._agenda)
            self.now = max(self.now, at)
            happen()
        if until is not None:
            self.now = max(self.now, until)

    def send(self, run: Run, event: Event) -> None:
        """Deliver an event to an execution and do what it wants done."""
        self._send(run, event, lambda _: None)

    def at(self, moment: float, happen: Callable[[], None]) -> None:
        """Have something happen at a moment."""
        self._added += 1
        heapq.heappush(self._agenda, (moment, self._added, happen))

    def start_child(
        self,
        plan: Plan,
        input: Json,
        identity: Identity,
        closed: Callable[[Close], None],
        text: str | None = None,
    ) -> Run:
        """Start an execution and be told when it closes."""
        run = Run(identity.name, plan, Interpreter(Execution(plan), self.limits))
        self._send(run, StartRequested(input, identity, text), closed)
        return run

    def redrive_child(self, run: Run, closed: Callable[[Close], None]) -> None:
        """Redrive an execution and be told when it closes."""
        self._send(run, RedriveRequested(), closed)

    def _send(self, run: Run, event: Event, closed: Callable[[Close], None]) -> None:
        moment = Moment(self.now, self.random, lambda wait: f"{run.name}-{wait}")
        entries, commands = run.interpreter.handle(event, moment)
        run.journal += entries
        for command in commands:
            self._do(run, command, closed)

    def _do(self, run: Run, command: Command, closed: Callable[[Close], None]) -> None:
        def send(event: Event) -> Callable[[], None]:
            return lambda: self._send(run, event, closed)

        match command:
            case RunTask():
                self._run_task(run, command, send)
            case StartTimer(wait, at):
                self.at(at, send(TimerDue(wait)))
            case StartMapRun():
                self._run_map(run, command, lambda event: self._send(run, event, closed))
            case Cancel(wait):
                # What was scheduled for the wait finds it closed, and changes nothing; only children would run on.
                for host in self._map_hosts.values():
                    if host.parent is run and host.command.wait == wait:
                        host.send(RunStopped())
            case Close():
                check_journal(run.journal)
                closed(command)

    # ---- tasks ----

    def _run_task(self, run: Run, task: RunTask, send: Callable[[Event], Callable[[], None]]) -> None:
        plan = run.plan.state(task.state)
        assert isinstance(plan, TaskPlan)
        agreed = self._agreed.pop((id(run), task.wait), None)
        answer = agreed or self._call(task, plan)
        refused = isinstance(answer, Fails) and answer.phase != "run"
        if task.phase == "scheduled" and not refused:
            self._agreed[id(run), task.wait] = answer
            self.at(self.now, send(TaskPickedUp(task.wait, self.worker_of(task))))
            return
        if task.deadline is not None:
            self.at(task.deadline, send(TimerDue(task.wait, "timeout")))
        if task.heartbeat is not None:
            self.at(self.now + task.heartbeat, send(TimerDue(task.wait, "heartbeat")))
        if agreed is None and plan.resource.pattern != "request-response" and not refused:
            self._agreed[id(run), task.wait] = answer
            self.at(self.now, send(JobAccepted(task.wait, answer.accepted)))
            return
        match answer:
            case Returns(value, after):
                self.at(self.now + after, send(TaskReturned(task.wait, value)))
            case Fails(error, cause, after, phase):
                self.at(self.now + after, send(TaskErred(task.wait, error, cause, phase)))
            case Never():
                pass

    def _call(self, task: RunTask, plan: TaskPlan) -> Returns | Fails | Never:
        self.calls.append(task)
        return self.answer(task.state, plan, task.arguments)

    def worker_of(self, task: RunTask) -> str | None:
        """The name of the worker that takes an activity's task; None for one without a name."""
        return "worker"

    def answer(self, name: str, plan: TaskPlan | None, arguments: Json) -> Returns | Fails | Never:
        """What the script has for this call."""
        names = names_of(name, plan and plan.resource)
        key = next((each for each in names if each in self.tasks), None)
        if key is None:
            self.unanswered.append(name)
            return Fails(NO_ANSWER, f"The script has no answer for {name}.")
        answer = self.tasks[key]
        if isinstance(answer, InTurn):
            turn = self.counts.get(key, 0)
            self.counts[key] = turn + 1
            answer = answer.answers[min(turn, len(answer.answers) - 1)]
        if callable(answer):
            try:
                answer = answer(arguments)
            except StatesError as error:
                answer = Fails(error.name, error.cause)
        if isinstance(answer, Fails) and answer.error == NO_ANSWER:
            self.unanswered.append(name)
        return answer if isinstance(answer, Returns | Fails | Never) else Returns(answer)

    # ---- distributed Map ----

    def _run_map(self, parent: Run, command: StartMapRun, tell: Callable[[Event], None]) -> None:
        plan = parent.plan.state(command.state)
        assert isinstance(plan, MapPlan)
        if command.redrive:
            host = self._map_hosts[command.arn]
            host.command, host.tell = command, tell
            host.send(RunRedriven())
            return
        frame = parent.execution.waiting[command.wait]
        items = frame.items if plan.items is not None else None
        request = RunRequested(settings=command.settings, items=items, keys=frame.keys)
        host = self._map_hosts[command.arn] = _MapHost(self, parent, command, MapRun(plan, self.limits), tell)
        host.send(request)


class _MapHost:
    """The host of one map run: reads items, runs children, writes results."""

    def __init__(
        self, world: World, parent: Run, command: StartMapRun, run: MapRun, tell: Callable[[Event], None]
    ) -> None:
        self.world, self.parent, self.command, self.run, self.tell = world, parent, command, run, tell
        assert run.plan.distribution is not None
        self.distribution = run.plan.distribution
        self.children: dict[int, Run] = {}
        self.started: dict[int, int] = {}  # child by wait

    def send(self, event: RunEvent) -> None:
        """Deliver an event to the map run and do what it wants done."""
        _, commands = self.run.handle(event, Moment(self.world.now, self.world.random, str))
        for command in commands:
            match command:
                case ReadItems(wait=wait):
                    self._effect(wait, "ItemReader", command.reader["arguments"], command.reader["maxItems"])
                case WriteResults(wait=wait, writer=writer):
                    if writer is None or writer["resource"] is None:
                        self._gather(wait, writer)
                    else:
                        self._effect(wait, "ResultWriter", writer["arguments"])
                case StartChild():
                    self._child(command)
                case CloseRun():
                    self._tell(MapRunClosed(self.command.wait, command.output, command.error, command.cause))
                case Cancel(wait):
                    if wait in self.started:
                        self.world.send(self.children[self.started[wait]], StopRequested())

    def _tell(self, event: MapRunClosed) -> None:
        self.world.at(self.world.now, lambda: self.tell(event))

    def _effect(self, wait: int, part: str, arguments: Json, most: Json = None) -> None:
        answer = self.world.answer(f"{self.command.state}.{part}", None, arguments)
        match answer:
            case Returns(value, after):
                reply = _read(wait, value, most) if part == "ItemReader" else ResultsWritten(wait, value)
            case Fails(error, cause, after):
                reply = EffectFailed(wait, error or f"States.{part}Failed", cause)
            case Never():
                return
        self.world.at(self.world.now + after, lambda: self.send(reply))

    def _gather(self, wait: int, writer: dict[str, Json] | None) -> None:
        gathering = Gathering(self.command.state, writer, self.world.limits)
        try:
            for _, child in sorted(self.children.items()):
                status = child.status or "RUNNING"
                record = {"Name": child.name, "Status": status, "Input": child.execution.input}
                gathering.add(status, child.output, record)
        except StatesError as error:
            reply: RunEvent = EffectFailed(wait, error.name or "States.Runtime", error.cause)
        else:
            reply = ResultsWritten(wait, gathering.output)
        self.world.at(self.world.now, lambda: self.send(reply))

    def _child(self, command: StartChild) -> None:
        name = f"{self.parent.name}-{self.run.plan.name}-{command.index}"
        parent, label = self.parent.execution.identity, self.distribution.label
        assert parent is not None
        before = self.children.get(command.index)
        known = None if before is None else before.execution.identity
        kind = "execution" if self.distribution.execution_type == "STANDARD" else "express"
        identity = msgspec.structs.replace(
            parent,
            arn=f"{parent.arn.partition(':execution:')[0]}:{kind}:{parent.machine_name}/{label}:{name}",
            name=name,
            machine_arn=f"{parent.machine_arn}/{label}",
            version_arn=None,
            alias_arn=None,
            item=command.item if known is None else known.item,
        )

        def closed(close: Close) -> None:
            assert close.status != "RUNNING", "a closed child has ended"
            event = ChildClosed(command.wait, close.status)
            self.world.at(self.world.now, lambda: self.send(event))

        self.started[command.wait] = command.index
        # AWS 'Redrive Map Runs': standard children go on where they failed, express ones start anew.
        if before is not None and self.distribution.execution_type == "STANDARD":
            self.world.redrive_child(before, closed)
        else:
            input = command.input if before is None else before.execution.input
            child = self.world.start_child(self.run.plan.processor, input, identity, closed)
            self.children[command.index] = child
            self.parent.children.setdefault(self.run.plan.name, []).append(child)


def _read(wait: int, items: Json, most: Json) -> RunEvent:
    """What a reader gives, of which MaxItems lets so many through; 0 stands for all."""
    if not is_array(items):
        return EffectFailed(wait, "States.ItemReaderFailed", "The script's answer is no list of items.")
    return ItemsRead(wait, items[:most] if most else items, False)


def _plan(definition: str | Mapping[str, Json] | Plan) -> Plan:
    if isinstance(definition, Plan):
        return definition
    return compile_definition(definition if isinstance(definition, str) else json.dumps(definition))


def run(
    definition: str | Mapping[str, Json] | Plan,
    input: Json = None,
    tasks: Mapping[str, Answer] | None = None,
    *,
    seed: int = 0,
    limits: Limits | None = None,
) -> Run:
    """Run one execution to its end against scripted tasks, in virtual time. See `World` for `tasks`.

    The input is `{}` where none is given. Raises DefinitionError.
    """
    world = World(tasks, seed=seed, limits=limits)
    started = world.start(definition, {} if input is None else input)
    world.run()
    return started

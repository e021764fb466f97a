"""A machine driven by hand, one event at a time: what the unit tests of the machine are written with."""

from __future__ import annotations

import random
from typing import Any

from treadle.language.compile import plan_of
from treadle.language.scope import Json
from treadle.machine.commands import Command, RunTask, StartMapRun, StartTimer, Wait
from treadle.machine.events import Event, StartRequested
from treadle.machine.execution import Execution, recover
from treadle.machine.interpreter import Interpreter, Moment
from treadle.machine.journal import Entry
from treadle.machine.limits import Limits
from treadle.runtime.clock import START
from treadle.testing.checker import check_journal
from treadle.testing.world import identity_of

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"
TOKEN = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
SYNC = "arn:aws:states:::states:startExecution.sync:2"
REQUEST = "arn:aws:states:::aws-sdk:s3:getObject"

State = dict[str, Any]


def chain(**states: State) -> State:
    """A definition of states that follow one another in the order given; the last one ends."""
    names = list(states)
    linked = {}
    for name, following in zip(names, [*names[1:], None], strict=True):
        state = dict(states[name])
        ends = state["Type"] in ("Succeed", "Fail", "Choice") or "Next" in state or "End" in state
        onward: State = {} if ends else {"End": True} if following is None else {"Next": following}
        linked[name] = {**state, **onward}
    return {"StartAt": names[0], "States": linked}


def task(resource: str = LAMBDA, **fields: Any) -> State:
    """A Task state."""
    return {"Type": "Task", "Resource": resource, **fields}


def parallel(*branches: State, **fields: Any) -> State:
    """A Parallel state."""
    return {"Type": "Parallel", "Branches": list(branches), **fields}


def mapped(processor: State, **fields: Any) -> State:
    """An inline Map state."""
    return {"Type": "Map", "ItemProcessor": processor, **fields}


def distributed(processor: State | None = None, **fields: Any) -> State:
    """A distributed Map state."""
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    return mapped({"ProcessorConfig": config, **(processor or chain(Inner={"Type": "Pass"}))}, **fields)


class Driven:
    """An execution, started, that moves only when it is given an event."""

    def __init__(
        self,
        definition: State,
        input: Json = None,
        *,
        limits: Limits | None = None,
        seed: int = 0,
        journal: list[Entry] | None = None,
    ) -> None:
        self.plan = plan_of(definition)
        self.now = START
        self.limits = limits
        self.random = random.Random(seed)
        self.journal = journal or []
        self.interpreter = Interpreter(recover(self.plan, self.journal), limits)
        if journal is None:
            self.give(StartRequested({} if input is None else input, identity_of()))

    def give(self, event: Event | None, after: float = 0) -> list[Command]:
        """One event, `after` so many seconds; gives the commands."""
        self.now += after
        entries, commands = self.interpreter.handle(event, Moment(self.now, self.random, "token-{}".format))
        self.journal += entries
        check_journal(self.journal, self.plan)
        return commands

    @property
    def execution(self) -> Execution:
        """Where it stands."""
        return self.interpreter.execution

    @property
    def status(self) -> str | None:
        """Its status."""
        return self.execution.status

    @property
    def types(self) -> list[str]:
        """The types of the public events."""
        return [entry.type for entry in self.journal if entry.id]

    def since(self, type: str) -> list[str]:
        """The types of the public events from the last one of this type."""
        return self.types[len(self.types) - 1 - self.types[::-1].index(type) :]

    def wait(self, state: str | None = None) -> Wait:
        """The only open wait, or that of a Task or Map state."""
        waits = self.execution.waits().values()
        if state is not None:
            waits = [each for each in waits if not isinstance(each, StartTimer) and each.state == state]
        (only,) = waits
        return only

    def number(self, state: str | None = None) -> int:
        """The number of that wait."""
        return self.wait(state).wait

    def task(self, state: str | None = None) -> RunTask:
        """The only open wait, which is a task."""
        wait = self.wait(state)
        assert isinstance(wait, RunTask)
        return wait

    def timer(self) -> StartTimer:
        """The only open wait, which is a timer."""
        wait = self.wait()
        assert isinstance(wait, StartTimer)
        return wait

    def run(self) -> StartMapRun:
        """The only open wait, which is a map run."""
        wait = self.wait()
        assert isinstance(wait, StartMapRun)
        return wait

    def last(self, type: str) -> Entry:
        """The last entry of this type."""
        return next(entry for entry in reversed(self.journal) if entry.type == type)

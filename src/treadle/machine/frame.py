"""A frame: one running scope, as plain data with an explicit `todo`.

Owns what a frame holds and what may come next in it. No generators, no recursion from state to state: a frame can be
rebuilt from the journal after any entry. It is changed by changes.py alone.

A frame that failed for good is not thrown away before its parent moves on, since a redrive goes on from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from treadle.language.plan import MapPlan, ParallelPlan, Plan, StatePlan
from treadle.language.scope import Json
from treadle.machine.commands import StartMapRun, Wait
from treadle.machine.journal import Entry, FramePath

# ---- what comes next in a frame ----
ENTER: Final = "enter"  # enter the state `next` with `value`
RUN: Final = "run"  # do what the state is for
START: Final = "start"  # start the task `value`
SPAWN: Final = "spawn"  # start the next iteration, or end the state when all have ended
LAUNCH: Final = "launch"  # start the map run
RELAUNCH: Final = "relaunch"  # redrive the map run
SUCCEED: Final = "succeed"  # say that a map run brought the result `value`
EXIT: Final = "exit"  # leave the state with the result `value`
RECOVER: Final = "recover"  # retry, or fail, after the failure `value`
CATCH: Final = "catch"  # catch, or fail the scope, after the failure `value`
ABORT: Final = "abort"  # abort what still runs inside, after one child failed
END: Final = "end"  # the scope is through; its output is `value`
WAIT: Final = "wait"  # the world must move first
FAILED: Final = "failed"  # failed for good; its siblings are being aborted
ABORTING: Final = "aborting"  # its state has been aborted, the scope not yet
HALTED: Final = "halted"  # aborted, kept for a redrive
DONE: Final = "done"  # ended and gone


class Failure(msgspec.Struct, frozen=True):
    """An error on its way through retriers and catchers.

    `also` is a second name that the error answers to. A `final` one can be neither retried nor caught, one that failed
    `here` not by this state. `task` tells that a Task was the cause.
    """

    error: str | None = None
    cause: str | None = None
    also: str | None = None
    final: bool = False
    here: bool = False
    task: bool = False

    def names(self) -> frozenset[str]:
        """The names that ErrorEquals may match."""
        return frozenset(name for name in (self.error, self.also) if name is not None)

    @staticmethod
    def of(entry: Entry) -> Failure:
        """The failure that an entry tells of."""
        told = {**entry.details, **entry.note}
        # Observed on AWS: States.Runtime cannot be caught, not even by its own name.
        if told.get("error") == "States.Runtime":
            told["final"] = True
        return Failure(**{field: told[field] for field in Failure.__struct_fields__ if field in told})


class Frame:
    """One running scope: the execution, a Parallel branch or a Map iteration."""

    __slots__ = (
        "attempts",
        "children",
        "concurrency",
        "entered_after",
        "entered_at",
        "entered_id",
        "failed",
        "input",
        "item",
        "items",
        "keys",
        "next",
        "parent",
        "path",
        "plan",
        "previous",
        "queued",
        "results",
        "run",
        "spawned_after",
        "started",
        "state",
        "taken",
        "todo",
        "value",
        "variables",
        "wait",
    )

    def __init__(self, plan: Plan, parent: Frame | None, path: FramePath, variables: dict[str, Json]) -> None:
        self.plan = plan
        self.parent = parent
        self.path = path
        self.variables = variables  # a view of what is visible: replaced, never changed in place
        self.todo = ENTER
        self.next: str | None = plan.start_at
        self.state: StatePlan | None = None
        self.value: Any = None  # what enters next, the result, or the Failure, as `todo` says
        self.input: Json = None  # the raw input of the state
        self.item: dict[str, Json] | None = None  # the `Map` part of the context object
        self.previous = 0  # the last history event of this scope
        self.entered_id = 0
        self.entered_after = 0
        self.entered_at = 0.0
        self.attempts: dict[int, int] = {}  # by retrier, for this visit of the state
        self.wait: Wait | None = None
        self.queued = False  # whether the interpreter has it in its heap
        # ---- Map and Parallel ----
        self.children: dict[int, Frame] = {}
        self.items: list[Json] = []
        self.keys: list[str] | None = None
        self.taken: Json = None  # what ItemSelector sees as `$`
        self.results: dict[int, Json] = {}
        self.started = 0
        self.concurrency = 0
        self.spawned_after = 0
        self.failed = -1  # the child whose failure ended the state
        self.run: StartMapRun | None = None  # the map run of a distributed Map

    def __lt__(self, other: Frame) -> bool:
        """Decides between a frame and its successor at the same path, of which only one can still move."""
        return self.path < other.path

    @property
    def retries(self) -> int:
        """How often the state has been retried in this visit."""
        return sum(self.attempts.values())

    def below(self) -> Iterator[Frame]:
        """This frame and all inside it."""
        todo: list[Frame] = [self]
        while todo:
            frame = todo.pop()
            yield frame
            todo.extend(frame.children.values())


def child(parent: Frame, index: int) -> Frame:
    """The frame of a branch or iteration, a new one when it does not exist yet."""
    frame = parent.children.get(index)
    if frame is None:
        match parent.state:
            case MapPlan(processor=plan):
                pass
            case ParallelPlan(branches=branches):
                plan = branches[index]
            case other:
                raise AssertionError(f"{other} has nothing inside")
        frame = Frame(plan, parent, (*parent.path, index), parent.variables)
        frame.item = parent.item
        parent.children[index] = frame
    return frame


def map_item(parent: Frame, index: int) -> dict[str, Json]:
    """The `Map` part of the context object for an item. ASL 'Context Object'."""
    item: dict[str, Json] = {"Index": index, "Value": parent.items[index]}
    if parent.keys is not None:
        item["Key"] = parent.keys[index]
    return {"Item": item}

"""What may happen to a map run, and what it wants done: the events and commands of map_run.py.

As with executions, an event names the wait that it settles, and one whose wait is not open changes nothing.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from treadle.language.scope import Json
from treadle.machine.commands import Cancel

ChildStatus: TypeAlias = Literal["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"]
RunStatus: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "ABORTED"]


# ---- events ----


class RunRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The parent started the run. `items` is None where a reader gives them; `keys` for an object's members.

    `redrives` is above 0 where the parent was redriven before the run could begin.
    """

    settings: dict[str, Json]
    items: list[Json] | None = None
    keys: list[str] | None = None
    source: str = "STATE_DATA"
    redrives: int = 0


class ItemsRead(msgspec.Struct, frozen=True):
    """The reader gave the next page. `more` tells whether another may follow, `source` where it came from, `keys` how
    an object names the items."""

    wait: int
    items: list[Json]
    more: bool
    source: str = "STATE_DATA"
    keys: list[str] | None = None


class ChildClosed(msgspec.Struct, frozen=True):
    """A child execution ended. What it brought stands in the child's own journal.

    `lost` tells that it did not succeed, and that no redrive will change that.
    """

    wait: int
    status: ChildStatus
    lost: bool = False


class ResultsWritten(msgspec.Struct, frozen=True):
    """The results are gathered or written; `output` becomes the Map's.

    `unstarted` is how many children were found that will not be started, and how many items they would have taken.
    """

    wait: int
    output: Json
    unstarted: tuple[int, int] = (0, 0)


class EffectFailed(msgspec.Struct, frozen=True):
    """Reading or writing failed."""

    wait: int
    error: str
    cause: str | None = None


class RunUpdated(msgspec.Struct, frozen=True, kw_only=True):
    """UpdateMapRun: None leaves a setting as it is."""

    concurrency: int | None = None
    tolerated_count: int | None = None
    tolerated_percentage: float | None = None


class RunStopped(msgspec.Struct, frozen=True):
    """The parent does not wait any more."""


class RunRedriven(msgspec.Struct, frozen=True):
    """The parent was redriven: children that did not succeed run again."""


RunEvent: TypeAlias = (
    RunRequested | ItemsRead | ChildClosed | ResultsWritten | EffectFailed | RunUpdated | RunStopped | RunRedriven
)


# ---- commands ----


class ReadItems(msgspec.Struct, frozen=True, kw_only=True):
    """Read the next page of items, after the first `skip`."""

    wait: int
    reader: dict[str, Json]
    skip: int


class StartChild(msgspec.Struct, frozen=True, kw_only=True):
    """Run a child execution. `items` is how many it takes, `item` the `Map` part of its context object.

    `redrive` counts how often it has been started anew. One that had been started before has its input in its own
    journal, and perhaps not here.
    """

    wait: int
    index: int
    input: Json
    items: int
    item: dict[str, Json] | None = None
    redrive: int = 0


class WriteResults(msgspec.Struct, frozen=True, kw_only=True):
    """Write the results of all children as `writer` says; without one, or one without a resource, gather them."""

    wait: int
    writer: dict[str, Json] | None


class CloseRun(msgspec.Struct, frozen=True):
    """The run has ended; tell the parent."""

    status: Literal["SUCCEEDED", "FAILED", "ABORTED"]
    output: Json = None
    error: str | None = None
    cause: str | None = None


RunCommand: TypeAlias = ReadItems | StartChild | WriteResults | Cancel | CloseRun


# ---- what is seen of a run ----


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Items, or child executions, by what has become of them. AWS 'DescribeMapRun'."""

    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    aborted: int = 0
    total: int = 0
    results_written: int = 0
    failures_not_redrivable: int = 0
    pending_redrive: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a map run has come, and the settings in force. A concurrency of 0 stands for no limit of its own."""

    concurrency: int
    tolerated_count: int
    tolerated_percentage: float
    items: Counts
    children: Counts

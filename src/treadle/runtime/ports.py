"""What the runtime needs of the world, as Protocols: a store, a clock, integrations.

Each is small, owned here, and implemented elsewhere; every store passes one contract suite
(`treadle.testing.store_contract`).

The rule that makes executions durable stands in `Store.commit_all`: entries, waits and the summary of an execution are
written together or not at all, and nothing leaves the process before they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from treadle.language.scope import Json
from treadle.machine.commands import Status, Wait
from treadle.machine.journal import Entry
from treadle.machine.map_events import Progress

# ---- what a store keeps ------------------------------------------------------------------------------------------


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The place of an execution in a map run, or, where `child` is None, the map run itself.

    `run` is the ARN of the map run and `state` the Map of its definition, whose processor the children run. `child`
    counts from 0 in the order of the items, `items` is how many of them it takes, `attempt` how often the map run
    has started it anew.
    """

    run: str
    state: str
    child: int | None = None
    items: int = 0
    attempt: int = 0


class Summary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of an execution without reading its journal.

    `definition` names the definition in the store (its digest). `length` is the number of journal entries. `parent` is
    the execution and wait that is told when this one closes. `revision` is what the catalog calls the definition and
    its configuration. Times are seconds since the epoch.

    A map run has a summary and a journal under its own ARN, as if it were an execution: `member` tells the two apart,
    and `progress` has what only a map run has.
    """

    arn: str
    machine_arn: str
    name: str
    definition: str
    status: Status
    started_at: float
    length: int
    stopped_at: float | None = None
    error: str | None = None
    cause: str | None = None
    redrives: int = 0
    redriven_at: float | None = None
    input_digest: str = ""
    parent: tuple[str, int] | None = None
    version_arn: str | None = None
    alias_arn: str | None = None
    revision: str | None = None
    trace_header: str | None = None
    member: Member | None = None
    progress: Progress | None = None

    @property
    def is_map_run(self) -> bool:
        """Whether this is a map run, and no execution."""
        return self.member is not None and self.member.child is None

    @property
    def map_run_arn(self) -> str | None:
        """The map run whose child this execution is."""
        return None if self.member is None or self.member.child is None else self.member.run

    @property
    def is_express_child(self) -> bool:
        """Whether this is a child that a redrive of its map run starts anew, from its first state."""
        return self.map_run_arn is not None and ":express:" in self.arn

    @property
    def times_redriven(self) -> int:
        """How often this has been redriven, or started anew."""
        return self.member.attempt if self.member is not None and self.is_express_child else self.redrives


WaitKind: TypeAlias = Literal["call", "poll", "callback", "activity", "timer", "map_run"]
"""What an open wait needs of the host after a restart.

`call` was under way and is repeated or failed, `poll` is a job to be asked after, `callback` and `activity` come from
outside, `timer` has only its moment, `map_run` is a run of its own.
"""


class WaitRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One open wait: outbox, timer and callback in one row.

    `wait` is the number of the journal's entry that opened it, counted from 1; 0 for what no entry opened.
    `due` is the next moment at which something must happen by itself (timer, time limit, missed heartbeat), None when
    nothing must. `topic` is the activity's ARN for an activity. `command` is what is waited for.
    """

    arn: str
    wait: int
    kind: WaitKind
    command: Wait
    due: float | None = None
    heartbeat_due: float | None = None
    topic: str | None = None
    created_at: float = 0.0

    @property
    def moment(self) -> float | None:
        """When something must happen by itself next: the earlier of `due` and `heartbeat_due`."""
        if self.due is None or self.heartbeat_due is None:
            return self.due if self.heartbeat_due is None else self.heartbeat_due
        return min(self.due, self.heartbeat_due)


class Commit(msgspec.Struct, frozen=True, gc=False):
    """One step of one execution, written together or not at all.

    `expected` is the length of the journal that the step builds on; 0 for a new execution, whose ARN must be unknown.
    With `anew` the journal of so many entries is thrown away, and these are a new one.
    """

    expected: int
    entries: Sequence[Entry]
    summary: Summary
    opened: Sequence[WaitRow] = ()
    closed: Sequence[int] = ()
    anew: bool = False


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Something kept under a name that is no execution: a state machine, an activity, a connection.

    `kind` and `key` name it. `value` is its bytes, None where there is none (any more). `revision` counts its writes,
    from 1; 0 where it was never written. One that was deleted begins again with 0.
    """

    kind: str
    key: str
    value: bytes | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """An execution with the first and the last entry of its journal: what it got, and what came of it."""

    summary: Summary
    first: Entry
    last: Entry


@dataclass(frozen=True, slots=True)
class Page:
    """A page of executions and where the next one begins; None after the last."""

    executions: Sequence[Summary]
    next: str | None = None


class Store(Protocol):
    """Keeps journals, open waits, summaries and definitions. All methods may be called concurrently.

    A method returns only when what it did is durable. Raises StoreError when the store cannot do its work: `Conflict`
    when a commit builds on a journal that has moved on (or an ARN that exists), `NotFound` for what does not exist,
    `Corrupt` for what cannot be read back, `Unavailable` when the disk is full, read-only or gone.
    """

    async def open(self) -> None:
        """Make ready, migrating an older schema. Raises StoreError; `Locked` when another process has the store."""
        ...

    async def close(self) -> None:
        """Finish what was begun and let go."""
        ...

    async def commit_all(self, commits: Sequence[Commit]) -> Sequence[Exception | None]:
        """Write steps, each for itself: gives for each None once it is durable, or the StoreError that it met.

        Raises StoreError when none of them could even be tried.
        """
        ...

    async def journal(self, arn: str) -> list[Entry]:
        """All entries of an execution. Raises NotFound, Corrupt."""
        ...

    def pieces(self, arn: str) -> AsyncIterator[list[Entry]]:
        """All entries of an execution in order, a piece at a time: for a journal too long to be held as a whole.

        Raises NotFound, Corrupt.
        """
        ...

    async def summary(self, arn: str) -> Summary:
        """The summary of an execution. Raises NotFound."""
        ...

    async def executions(
        self,
        machine_arn: str | None = None,
        status: Status | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page:
        """Executions, those that started last first. `after` is the `next` of a page. Raises NotFound for any other.

        Map runs and their children are not among them.
        """
        ...

    async def children(
        self, map_run: str, status: Status | None = None, limit: int = 100, after: str | None = None
    ) -> Page:
        """The children of a map run, the last one first. `after` is the `next` of a page; NotFound for any other."""
        ...

    async def results(self, map_run: str, first: int = 0, limit: int = 1000) -> list[Ends]:
        """The children of a map run whose number is `first` or higher, in the order of their numbers."""
        ...

    async def waits(self, arn: str) -> list[WaitRow]:
        """The open waits of an execution, in the order of their numbers."""
        ...

    async def wait(self, arn: str, wait: int) -> WaitRow | None:
        """One open wait; None when it is not open."""
        ...

    async def due(self, before: float, limit: int = 1000, after: tuple[float, str, int] | None = None) -> list[WaitRow]:
        """Open waits whose `moment` is at or before `before`, the earliest first; at the same moment those of the
        oldest execution first. `after` is the (moment, arn, wait) of the last row of the page before."""
        ...

    async def open_calls(self, after: tuple[str, int] | None = None, limit: int = 1000) -> list[WaitRow]:
        """Open waits of the kinds that a host must take up again after a restart (call, poll, map_run), those of the
        oldest execution first. `after` is the (arn, wait) of the last row of the page before."""
        ...

    async def open_activities(self, topic: str, limit: int) -> list[WaitRow]:
        """Open waits of kind `activity` for this topic that nobody has taken yet, the oldest first."""
        ...

    async def open_callbacks(self, limit: int = 1000, after: tuple[str, int] | None = None) -> list[WaitRow]:
        """Open waits of kind `callback`, for people to answer; in order and by page as `open_calls`."""
        ...

    async def heartbeat(self, arn: str, wait: int, due: float) -> bool:
        """Move a wait's `heartbeat_due`; False when the wait is not open. AWS has no event for it, so no entry."""
        ...

    async def put_definition(self, digest: str, text: str) -> None:
        """Keep a definition under its digest; keeping it again changes nothing."""
        ...

    async def definition(self, digest: str) -> str:
        """The text of a definition. Raises NotFound."""
        ...

    async def setting(self, name: str, initial: str) -> str:
        """A value kept for good under a name; `initial` the first time."""
        ...

    async def put_documents(self, documents: Sequence[Document]) -> None:
        """Write documents, all or none; a `value` of None deletes. Each `revision` is the one that was read; the store
        counts it up. Raises Conflict where it has moved on."""
        ...

    async def document(self, kind: str, key: str) -> Document:
        """A document as it is; `value` None and revision 0 where there is none."""
        ...

    async def documents(self, kind: str, prefix: str = "", after: str = "", limit: int = 1000) -> list[Document]:
        """Documents of a kind whose key begins with `prefix` and comes after `after`, in the order of their keys (by
        code point)."""
        ...

    def every(self) -> AsyncIterator[Summary]:
        """Every execution, for `treadle verify`."""
        ...


# ---- the clock ---------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Time, real or virtual."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return when the moment has come. A virtual clock jumps there once nothing else can happen."""
        ...

    def busy(self) -> AbstractContextManager[None]:
        """Work is going on that a virtual clock must wait for."""
        ...

    def idle(self) -> AbstractContextManager[None]:
        """Within `busy`: for now the work only waits for time to pass, or for somebody outside."""
        ...


# ---- integrations ------------------------------------------------------------------------------------------------

Redelivery: TypeAlias = Literal["again", "fail"]
"""What becomes of a call that was under way when the process died: it is called again, or the task fails.

Where it depends on the call, an integration says "again" and itself refuses a call that has `Call.again` and must not
be made twice, with States.TaskFailed and `LOST`.
"""

LOST: Final = "The process that made this call ended before the call did, and the call may not be repeated."


@dataclass(frozen=True, slots=True)
class Call:
    """A task as an integration sees it.

    `again` tells that an earlier call for the same wait may have happened. `idempotency` is the same for every call
    of one wait, and differs between attempts. `trace` is the header of X-Ray that tells whoever is called which trace
    this is.
    """

    execution_arn: str
    wait: int
    resource: str
    arguments: Json
    token: str | None
    credentials: Json
    attempt: int
    idempotency: str
    again: bool = False
    job: Json = None
    heartbeat: float | None = None
    state: str = ""
    trace: str | None = None
    accepted: Callable[[Json], Awaitable[None]] = field(repr=False, default=lambda job: _nothing())


async def _nothing() -> None:
    return None


class Integration(Protocol):
    """What serves a resource of a Task.

    `call` does the work and gives the task's output, or raises StatesError with the error name that Retry and Catch
    see. For `.sync` and `.waitForTaskToken` it gives what the service answered to the request; `poll` then waits for
    the job of a `.sync` and gives the task's output. Both may be cancelled at any await; `cancel` stops a job that
    nobody waits for any more, as well as it can.
    """

    redelivery: Redelivery

    async def call(self, call: Call) -> Json:
        """Make the call."""
        ...

    async def poll(self, call: Call) -> Json:
        """Wait for the job that `call.job` names."""
        ...

    async def cancel(self, call: Call) -> None:
        """Stop the job that `call.job` names."""
        ...


# ---- what a distributed Map reads and writes -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some items of a data set, in order. `source` is what the context object names as Map.Item.Source, `keys` what it
    names as Map.Item.Key where the items are the values of an object."""

    items: Sequence[Json]
    source: str = "STATE_DATA"
    keys: Sequence[str] | None = None


class ItemReader(Protocol):
    """Reads the items of a distributed Map, page by page: the data set never stands in memory as a whole."""

    def pages(self, reader: Mapping[str, Json], skip: int) -> AsyncIterator[ItemPage]:
        """The items after the first `skip`. Closed early, it lets go of what it holds.

        `reader` has `resource` (an ARN), `arguments`, `config` (ReaderConfig, evaluated) and `maxItems`, and says for
        whom it is read: `state` and `mapRunArn`. Raises StatesError States.ItemReaderFailed.
        """
        ...


@dataclass(frozen=True, slots=True)
class MapResults:
    """What a map run leaves to be written. `records` gives one record per child, in order, each time it is called."""

    state: str
    map_run_arn: str
    execution_arn: str
    records: Callable[[], AsyncIterator[Mapping[str, Json]]]


class ResultWriter(Protocol):
    """Writes the results of a map run."""

    async def write(self, writer: Mapping[str, Json], results: MapResults) -> Json:
        """Write the results and a manifest; gives the Map's output. Writing again writes the same files again.

        `writer` has `resource` (an ARN), `arguments`, `outputType` and `transformation`. Raises StatesError
        States.ResultWriterFailed.
        """
        ...

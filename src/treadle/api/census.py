"""How many open executions, state machines and activities there are, for the quotas on them and for the metrics.

Owns the numbers: counted once when the store has been opened, and kept true by what is written from then on. Nothing is
counted when somebody asks. Neighbour: `runtime.watched`, which tells of what was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from treadle.api.quotas import Quotas
from treadle.catalog.records import ACTIVITY, MACHINE, VERSION, Machine, read
from treadle.errors import ApiError
from treadle.runtime.ports import Commit, Document, Store

_PAGE: Final = 1_000
_EXECUTION: Final = "execution"
_OPENS: Final = frozenset(("ExecutionStarted", "ExecutionRedriven"))
_ENDS: Final = frozenset(("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"))


class Census:
    """The numbers of one store, held against quotas.

    `open_by_machine`, `aliases` and `versions` count by the ARN of the state machine.
    """

    def __init__(self, quotas: Quotas) -> None:
        self._most = {
            _EXECUTION: quotas.open_executions,
            MACHINE: quotas.state_machines,
            ACTIVITY: quotas.activities,
        }
        self._count: Counter[str] = Counter()
        self.open_by_machine: Counter[str] = Counter()
        self.aliases: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()

    async def take(self, store: Store) -> None:
        """Count what there is. To be called before anything is written."""
        after = None
        while True:
            page = await store.executions(None, "RUNNING", _PAGE, after)
            for each in page.executions:
                self._ran(each.machine_arn, 1)
            after = page.next
            if after is None:
                break
        for kind in (MACHINE, ACTIVITY, VERSION):
            last = ""
            while documents := await store.documents(kind, "", last, _PAGE):
                for each in documents:
                    self._wrote(each, 1)
                last = documents[-1].key

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        if commit.summary.member is not None:
            return
        for entry in commit.entries:
            if change := (entry.type in _OPENS) - (entry.type in _ENDS):
                self._ran(commit.summary.machine_arn, change)

    def written(self, documents: Sequence[Document]) -> None:
        """Documents have been written. Their revisions are those before."""
        for each in documents:
            self._wrote(each, (each.revision == 0 and each.value is not None) - (each.revision > 0 and not each.value))

    def _ran(self, machine: str, change: int) -> None:
        self._count[_EXECUTION] += change
        _add(self.open_by_machine, machine, change)

    def _wrote(self, document: Document, change: int) -> None:
        if document.kind in self._most:
            self._count[document.kind] += change
        if document.kind == VERSION:
            _add(self.versions, document.key.rpartition(":")[0], change)
        elif document.kind == MACHINE:
            machine = read(document, Machine)
            _add(self.aliases, document.key, (len(machine.aliases) if machine else 0) - self.aliases[document.key])

    def room_for_execution(self) -> None:
        """One more execution wants to start. Raises ApiError ExecutionLimitExceeded."""
        if self._full(_EXECUTION):
            most = self._most[_EXECUTION]
            told = f"The maximum number of running executions has been reached. Running executions limit: {most}"
            raise ApiError("ExecutionLimitExceeded", told)

    def room_for_machine(self) -> None:
        """One more state machine. Raises ApiError StateMachineLimitExceeded."""
        if self._full(MACHINE):
            told = f"The maximum number of state machines has been reached. Limit: {self._most[MACHINE]}"
            raise ApiError("StateMachineLimitExceeded", told)

    def room_for_activity(self) -> None:
        """One more activity. Raises ApiError ActivityLimitExceeded."""
        if self._full(ACTIVITY):
            told = f"The maximum number of activities has been reached. Limit: {self._most[ACTIVITY]}"
            raise ApiError("ActivityLimitExceeded", told)

    @property
    def open_executions(self) -> int:
        """How many run."""
        return self._count[_EXECUTION]

    @property
    def state_machines(self) -> int:
        """How many there are."""
        return self._count[MACHINE]

    @property
    def activities(self) -> int:
        """How many there are."""
        return self._count[ACTIVITY]

    def _full(self, kind: str) -> bool:
        return self._count[kind] >= self._most[kind]


def _add(counts: Counter[str], key: str, change: int) -> None:
    """Count without keeping zeros: what is gone costs no memory."""
    counts[key] += change
    if counts[key] <= 0:
        del counts[key]

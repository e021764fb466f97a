"""How many open executions, state machines and activities there are, for the quotas on them.

Owns the numbers: counted once when the store has been opened, and kept true by what is written from then on. Nothing is
counted when somebody asks. Neighbour: `runtime.watched`, which tells of what was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from treadle.api.quotas import Quotas
from treadle.catalog.records import ACTIVITY, MACHINE
from treadle.errors import ApiError
from treadle.runtime.ports import Commit, Document, Store

_PAGE: Final = 1_000
_EXECUTION: Final = "execution"
_OPENS: Final = frozenset(("ExecutionStarted", "ExecutionRedriven"))
_ENDS: Final = frozenset(("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"))


class Census:
    """The numbers of one store, held against quotas."""

    def __init__(self, quotas: Quotas) -> None:
        self._most = {
            _EXECUTION: quotas.open_executions,
            MACHINE: quotas.state_machines,
            ACTIVITY: quotas.activities,
        }
        self._count: Counter[str] = Counter()

    async def take(self, store: Store) -> None:
        """Count what there is. To be called before anything is written."""
        after = None
        while True:
            page = await store.executions(None, "RUNNING", _PAGE, after)
            self._count[_EXECUTION] += len(page.executions)
            after = page.next
            if after is None:
                break
        for kind in (MACHINE, ACTIVITY):
            last = ""
            while documents := await store.documents(kind, "", last, _PAGE):
                self._count[kind] += len(documents)
                last = documents[-1].key

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        if commit.summary.member is not None:
            return
        for entry in commit.entries:
            self._count[_EXECUTION] += (entry.type in _OPENS) - (entry.type in _ENDS)

    def written(self, documents: Sequence[Document]) -> None:
        """Documents have been written. Their revisions are those before."""
        for each in documents:
            if each.kind in self._most:
                self._count[each.kind] += (each.revision == 0 and each.value is not None) - (
                    each.revision > 0 and each.value is None
                )

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
    def most_executions(self) -> int:
        """How many may."""
        return self._most[_EXECUTION]

    def _full(self, kind: str) -> bool:
        return self._count[kind] >= self._most[kind]

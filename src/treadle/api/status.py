"""Changes of an execution's status, for whoever wants to hear of them: events, metrics, a console.

    host.status_changes.subscribe(lambda summary: ...)

A subscriber is called with the summary as it was committed, once it is durable, in the order of the commits of that
execution. It is told of the start even where one commit has both the start and the end. It must not wait; what it
raises is logged and goes no further. Nothing is kept: who subscribes later, or after a restart, reads the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from treadle.runtime.ports import Commit, Summary

log = logging.getLogger("treadle.api")

Subscriber: TypeAlias = Callable[[Summary], None]

_CHANGES: Final = frozenset(
    (
        "ExecutionStarted",
        "ExecutionSucceeded",
        "ExecutionFailed",
        "ExecutionAborted",
        "ExecutionTimedOut",
        "ExecutionRedriven",
    )
)


class StatusChanges:
    """Who wants to hear of changes."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Be called with every change; gives what ends it."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        if not self._subscribers:
            return
        changes = [entry for entry in commit.entries if entry.type in _CHANGES]
        if not changes:
            return
        summary = commit.summary
        if summary.status != "RUNNING" and changes[0].type in ("ExecutionStarted", "ExecutionRedriven"):
            self._tell(msgspec.structs.replace(summary, status="RUNNING", stopped_at=None, error=None, cause=None))
        self._tell(summary)

    def _tell(self, summary: Summary) -> None:
        for subscriber in list(self._subscribers):
            try:
                subscriber(summary)
            except Exception:
                log.exception("a subscriber to status changes failed")

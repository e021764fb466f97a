"""Steps as they become durable, for whoever wants to see them: metrics, live events, traces.

    unsubscribe = host.commits.subscribe(lambda commit: ...)

A subscriber sees each commit once it is durable, those of one execution in their order. An Express execution is one
commit with its whole journal, when it has ended. A subscriber must not wait; what it raises is logged and goes no
further.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from treadle.runtime.ports import Commit

log = logging.getLogger("treadle.api")


class Commits:
    """Who wants to see them."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Commit], None]] = []

    def subscribe(self, subscriber: Callable[[Commit], None]) -> Callable[[], None]:
        """See every commit from now on; gives what ends it."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(commit)
            except Exception:
                log.exception("a subscriber to commits failed")

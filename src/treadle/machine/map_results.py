"""The output of a distributed Map whose results are not written elsewhere. AWS 'ResultWriter', WriterConfig.

Owns which part of its children's results the output has, and how large it may be. It takes the results one by one, so
that what is too large is noticed before it is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from treadle.errors import StatesError
from treadle.language.scope import Json
from treadle.machine.journal import json_text
from treadle.machine.limits import Limits, too_large


class Gathering:
    """Results on their way into the output of the Map `state`; `writer` is that of its settings."""

    def __init__(self, state: str, writer: Mapping[str, Json] | None, limits: Limits) -> None:
        self._state, self._limit = state, limits.payload_bytes
        # AWS 'WriterConfig': COMPACT unless told otherwise.
        self._transformation = "COMPACT" if writer is None else writer["transformation"]
        self._size = 2
        self.output: list[Json] = []

    def add(self, status: str, output: Json, record: Mapping[str, Json]) -> None:
        """Take the result of the next child. Raises StatesError States.DataLimitExceeded."""
        match self._transformation, status:
            case "NONE", _:
                self._take([dict(record)])
            case "FLATTEN", "SUCCEEDED":
                self._take(cast("list[Json]", output) if isinstance(output, list) else [output])
            case _, "SUCCEEDED":
                self._take([output])
            case _:
                pass

    def _take(self, results: list[Json]) -> None:
        for each in results:
            self._size += len(json_text(each).encode()) + (1 if self.output else 0)
            if self._size > self._limit:
                raise StatesError("States.DataLimitExceeded", too_large(self._state))
            self.output.append(each)

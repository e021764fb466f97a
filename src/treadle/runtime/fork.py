"""The journal of a copy: what came before the state from which it goes on. Neighbour: engine.py, which starts it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from treadle.errors import ApiError
from treadle.machine.journal import Entry, FramePath


def copied(journal: Sequence[Entry], event_id: int, arn: str, name: str) -> tuple[list[Entry], FramePath]:
    """The entries before a history event, in the journal of an execution with this ARN and name; and its frame.

    Raises ApiError ValidationException where the event does not enter a state.
    """
    at = next((i for i, entry in enumerate(journal) if entry.id == event_id), None)
    if at is None or not journal[at].type.endswith("StateEntered"):
        raise ApiError("ValidationException", f"Event {event_id} does not enter a state: choose one that does.")
    return [_renamed(entry, arn, name) for entry in journal[:at]], journal[at].frame


def _renamed(entry: Entry, arn: str, name: str) -> Entry:
    if entry.type != "ExecutionStarted":
        return entry
    identity = {**entry.note["identity"], "arn": arn, "name": name}
    return msgspec.structs.replace(entry, note={**entry.note, "identity": identity})

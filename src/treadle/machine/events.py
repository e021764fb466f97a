"""What may happen to an execution from outside: the only things that `Interpreter.handle` takes.

Every event but the four requests names the wait that it settles. An event whose wait is not open is late or repeated
and changes nothing, so whoever delivers events may deliver them as often as it likes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from treadle.language.scope import Json
from treadle.machine.journal import FramePath


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who an execution is: what the context object and ExecutionStarted tell of it.

    `counts_redrives` is False where AWS leaves RedriveCount out of the context object (StartSyncExecution). `item` is
    the `Map` part of the context object in a child of a distributed Map. `longest` bounds the seconds that it may take,
    beside the definition's own TimeoutSeconds.
    """

    arn: str
    name: str
    role_arn: str
    machine_arn: str
    machine_name: str
    version_arn: str | None = None
    alias_arn: str | None = None
    counts_redrives: bool = True
    longest: float | None = None
    item: dict[str, Json] | None = None


class StartRequested(msgspec.Struct, frozen=True, gc=False):
    """Somebody started the execution. `text` is its input as it was written, where AWS's history is to show that."""

    input: Json
    identity: Identity
    text: str | None = None


class StopRequested(msgspec.Struct, frozen=True, gc=False):
    """Somebody stopped the execution."""

    error: str | None = None
    cause: str | None = None


class RedriveRequested(msgspec.Struct, frozen=True, gc=False):
    """Somebody wants a failed, stopped or timed out execution to go on where it ended."""


class ForkRequested(msgspec.Struct, frozen=True, gc=False):
    """Somebody wants a copy of an execution to go on from a state that `frame` is about to enter.

    `input` replaces the state's input, `variables` overrides workflow variables by name. UNSET keeps what was there.
    """

    frame: FramePath
    input: Json | msgspec.UnsetType = msgspec.UNSET
    variables: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET


class TaskPickedUp(msgspec.Struct, frozen=True, gc=False):
    """An activity worker took the task."""

    wait: int
    worker: str | None = None


class JobAccepted(msgspec.Struct, frozen=True, gc=False):
    """The service accepted a `.sync` job or a `.waitForTaskToken` request; `output` is its answer."""

    wait: int
    output: Json


class TaskReturned(msgspec.Struct, frozen=True, gc=False):
    """The task ended well."""

    wait: int
    output: Json


class TaskErred(msgspec.Struct, frozen=True, gc=False):
    """The task failed. `phase` tells how far it had come; AWS has an event of its own for each."""

    wait: int
    error: str | None = None
    cause: str | None = None
    phase: Literal["schedule", "start", "submit", "run"] = "run"


class TimerDue(msgspec.Struct, frozen=True, gc=False):
    """The moment of a timer has come, or the deadline of a task: its timeout, or a heartbeat that was missed."""

    wait: int
    reason: Literal["due", "timeout", "heartbeat"] = "due"


class MapRunClosed(msgspec.Struct, frozen=True, gc=False):
    """The map run of a distributed Map ended. `error` is None when it succeeded."""

    wait: int
    output: Json = None
    error: str | None = None
    cause: str | None = None


Event: TypeAlias = (
    StartRequested
    | StopRequested
    | RedriveRequested
    | ForkRequested
    | TaskPickedUp
    | JobAccepted
    | TaskReturned
    | TaskErred
    | TimerDue
    | MapRunClosed
)

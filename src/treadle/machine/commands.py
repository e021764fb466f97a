"""What an execution wants done outside: the only things that `Interpreter.handle` gives.

Three of them are also *waits*: while one stands open in the execution, the host owes it an event. A wait that is opened
gives the command itself, one that vanishes gives `Cancel`. A task whose phase moves on gives its command again under
the same `wait`: the host replaces what it knew of it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from treadle.language.scope import Json

Phase: TypeAlias = Literal["scheduled", "started", "submitted"]


class RunTask(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Call what a Task state names.

    `state` finds the plan's Task (names are unique in a machine). `deadline` is the moment at which
    `TimerDue(wait, "timeout")` is owed; None before the task has started, and without TimeoutSeconds. `heartbeat` is
    the longest silence in seconds before `TimerDue(wait, "heartbeat")` is owed. `token` is the task token, where the
    resource takes one. In phase `submitted` the service has accepted the job and `job` is what it answered.
    """

    wait: int
    state: str
    resource: str
    arguments: Json
    phase: Phase
    attempt: int
    credentials: Json = None
    token: str | None = None
    timeout: float | None = None
    deadline: float | None = None
    heartbeat: float | None = None
    job: Json = None


class StartTimer(msgspec.Struct, frozen=True, gc=False):
    """Owe `TimerDue(wait)` at this moment: seconds since the epoch."""

    wait: int
    at: float


class StartMapRun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Run, or redrive, a map run (see map_run.py): the children of the distributed Map `state`."""

    wait: int
    state: str
    arn: str
    settings: Json
    redrive: int = 0


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Nobody waits for this any more: stop it where it can be stopped, forget it in any case."""

    wait: int


class Close(msgspec.Struct, frozen=True, gc=False):
    """The execution has ended."""

    status: Status
    output: Json = None
    error: str | None = None
    cause: str | None = None


Status: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"]
Wait: TypeAlias = RunTask | StartTimer | StartMapRun
Command: TypeAlias = RunTask | StartTimer | StartMapRun | Cancel | Close

"""What goes wrong on the command line, each as one line that says where and what to do, and the exit statuses.

Owns the statuses and the way from any exception to a message. Raises nothing of its own making.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar, cast

import click

from treadle.errors import ApiError, DefinitionError, StoreError, TreadleError

T = TypeVar("T")

OK: Final = 0
FAILED: Final = 1
"""An execution failed, timed out or was stopped; `verify` found something."""
USAGE: Final = 2
"""The command, the definition or something it names is wrong."""
TROUBLE: Final = 3
"""The store, the disk or treadle itself stood in the way."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells have it: 128 and the signal's number. TERM gives 143."""
BROKEN_PIPE: Final = 141


class Problem(click.ClickException):
    """Something that the caller can put right."""

    exit_code = USAGE


_REMEDIES: Final = {
    "ExecutionAlreadyExists": "choose another --name",
    "ExecutionDoesNotExist": "`treadle executions list` shows those there are",
    "ExecutionNotRedrivable": "only what failed, timed out or was stopped can be redriven",
    "TaskTimedOut": "`treadle tasks list` shows the tasks that are open",
    "TaskDoesNotExist": "`treadle tasks list` shows the tasks that are open",
}
"""By AWS's error code."""


def problem_of(error: BaseException) -> tuple[str, int]:
    """The one line for an exception, and the exit status."""
    match error:
        case click.UsageError():
            hint = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
            return _one_line(error.format_message()) + hint, USAGE
        case click.ClickException():
            return error.format_message(), error.exit_code
        case DefinitionError():
            return str(error), USAGE
        case ApiError():
            remedy = _REMEDIES.get(error.code)
            return f"{error.code}: {_one_line(error.message)}" + (f" ({remedy})" if remedy else ""), USAGE
        case StoreError():
            return _one_line(str(error)), TROUBLE
        case TreadleError():
            # The findings about functions are a line each.
            return str(error), USAGE
        case _:
            told = _one_line(f"{type(error).__name__}: {error}")
            return f"{told} (this is a fault of treadle itself: --debug shows where)", TROUBLE


def _one_line(text: str) -> str:
    return " ".join(text.split())


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end. An exception from within task groups comes out as itself."""
    try:
        return asyncio.run(work)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(cast("BaseExceptionGroup[BaseException]", error)) if isinstance(error, BaseExceptionGroup) else error

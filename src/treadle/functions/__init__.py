"""Runs Lambda handlers on this machine: Python and Node.js, in warm processes or in this one.

`discover` finds functions in a folder, `ProcessFunctions` runs them as AWS Lambda does, `InProcessFunctions` calls them
here and now, for tests. Nothing in this package knows of workflows.
"""

from treadle.functions.contract import (
    Asynchronous,
    CannotStart,
    FunctionBusy,
    FunctionError,
    FunctionNotFound,
    Functions,
    FunctionsClosed,
    InvalidRequest,
    Invoked,
    RequestTooLarge,
)
from treadle.functions.discovery import discover
from treadle.functions.environment import Surroundings
from treadle.functions.in_process import InProcessFunctions
from treadle.functions.processes import ProcessFunctions
from treadle.functions.spec import FunctionSpec, InvalidFunctions

__all__ = [
    "Asynchronous",
    "CannotStart",
    "FunctionBusy",
    "FunctionError",
    "FunctionNotFound",
    "FunctionSpec",
    "Functions",
    "FunctionsClosed",
    "InProcessFunctions",
    "InvalidFunctions",
    "InvalidRequest",
    "Invoked",
    "ProcessFunctions",
    "RequestTooLarge",
    "Surroundings",
    "discover",
]

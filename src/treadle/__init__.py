"""treadle: the Step Functions you own. The public names, each imported when it is first used.

    import treadle

    async with treadle.open("orders.db", functions={"charge": charge}) as engine:
        run = await engine.start(definition, {"order": 7}, name="order-7")
        print(await run.result())

Owns which names are public and nothing else; a submodule that is imported by itself costs only itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.exports import exports

if TYPE_CHECKING:
    from treadle.errors import ApiError, DefinitionError, StatesError, StoreError, TreadleError
    from treadle.language.compile import compile_definition
    from treadle.library import (
        Definition,
        Execution,
        ExecutionFailed,
        Function,
        OpenTask,
        Treadle,
        current_call,
        open,
    )
    from treadle.runtime.ports import Call, Integration, Summary
    from treadle.testing.world import run

__all__ = [
    "ApiError",
    "Call",
    "Definition",
    "DefinitionError",
    "Execution",
    "ExecutionFailed",
    "Function",
    "Integration",
    "OpenTask",
    "StatesError",
    "StoreError",
    "Summary",
    "Treadle",
    "TreadleError",
    "compile_definition",
    "current_call",
    "open",
    "run",
]

__getattr__, __dir__ = exports(
    __name__,
    globals(),
    {
        "treadle.errors": ("ApiError", "DefinitionError", "StatesError", "StoreError", "TreadleError"),
        "treadle.language.compile": ("compile_definition",),
        "treadle.library": (
            *("Definition", "Execution", "ExecutionFailed", "Function", "OpenTask", "Treadle", "current_call", "open"),
        ),
        "treadle.runtime.ports": ("Call", "Integration", "Summary"),
        "treadle.testing.world": ("run",),
    },
)

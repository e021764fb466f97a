"""treadle: the Step Functions you own. The public names, each imported when it is first used.

    import treadle

    async with treadle.open("orders.db", functions={"charge": charge}) as engine:
        run = await engine.start(definition, {"order": 7}, name="order-7")
        print(await run.result())

Owns which names are public and nothing else; a submodule that is imported by itself costs only itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

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

_HOMES: Final = {
    "treadle.errors": ("ApiError", "DefinitionError", "StatesError", "StoreError", "TreadleError"),
    "treadle.language.compile": ("compile_definition",),
    "treadle.library": (
        *("Definition", "Execution", "ExecutionFailed", "Function", "OpenTask", "Treadle", "current_call", "open"),
    ),
    "treadle.runtime.ports": ("Call", "Integration", "Summary"),
    "treadle.testing.world": ("run",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'treadle' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

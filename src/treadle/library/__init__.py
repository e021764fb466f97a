"""treadle within a Python program: `treadle.open`. Reading order: callables.py, opening.py.

Owns what a program sees of the engine; adds nothing to what the engine promises. Neighbours: `runtime`, `stores` and
`integrations`, which it wires together as `cli.session` does for commands. The public names stand in `treadle`.
"""

from treadle.library.callables import Function, current_call
from treadle.library.opening import Definition, Execution, ExecutionFailed, OpenTask, Treadle, open

__all__ = [
    "Definition",
    "Execution",
    "ExecutionFailed",
    "Function",
    "OpenTask",
    "Treadle",
    "current_call",
    "open",
]

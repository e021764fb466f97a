"""What each type of state does, one module per type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from treadle.machine.states import choice, fail, map, parallel, pass_, succeed, task, wait

RUN_BY_TYPE: Final[dict[str, Callable[[Any, Any, Any], None]]] = {
    "Pass": pass_.run,
    "Task": task.run,
    "Choice": choice.run,
    "Wait": wait.run,
    "Succeed": succeed.run,
    "Fail": fail.run,
    "Parallel": parallel.run,
    "Map": map.run,
}
"""What a state is for, by type: (interpreter, frame, state)."""

SPAWN_BY_TYPE: Final[dict[str, Callable[[Any, Any, Any], None]]] = {"Parallel": parallel.spawn, "Map": map.spawn}
"""What comes next in a state with scopes inside."""

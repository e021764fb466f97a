"""How a process of each language is started.

Python runs AWS's own client, awslambdaric, so that errors, log lines and marshalling are AWS's. AWS's client for
Node.js compiles native code that does not build on current versions of it, so `bootstrap/node.mjs` takes its place.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from treadle.functions.contract import CannotStart
from treadle.functions.spec import FunctionSpec

_BOOTSTRAP: Final = Path(__file__).parent / "bootstrap"


def _python(spec: FunctionSpec, path: str | None) -> list[str]:
    return [sys.executable, "-m", "awslambdaric", spec.handler]


def _nodejs(spec: FunctionSpec, path: str | None) -> list[str]:
    node = shutil.which("node", path=path)
    if node is None:
        raise CannotStart(
            f"The function '{spec.name}' needs Node.js ({spec.runtime}), and there is no `node` on the PATH. "
            "Install Node.js 18 or newer, or add its folder to the PATH of the process that runs treadle."
        )
    return [node, "--require", str(_BOOTSTRAP / "endpoint.cjs"), str(_BOOTSTRAP / "node.mjs")]


_COMMANDS: Final[dict[str, Callable[[FunctionSpec, str | None], list[str]]]] = {"python": _python, "nodejs": _nodejs}


def command(spec: FunctionSpec, environment: Mapping[str, str]) -> list[str]:
    """The command line that serves a function; raises CannotStart."""
    return _COMMANDS[spec.language](spec, environment.get("PATH"))

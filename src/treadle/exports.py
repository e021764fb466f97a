"""The public names of a package, each imported when it is first used, so that a submodule costs only itself.

Owns how a name is looked up; which names there are, a package says for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def exports(
    package: str, names: dict[str, Any], homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package with these globals; `homes` has the public names by module."""
    home_of = {name: home for home, here in homes.items() for name in here}

    def get(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = names[name] = getattr(import_module(home), name)
        return value

    return get, lambda: sorted({*names, *home_of})

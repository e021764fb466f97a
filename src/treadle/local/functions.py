"""The functions of a template in the registry of this machine, placed there by the thread that deploys.

Owns nothing but the way from that thread to the loop. Neighbour: `treadle.functions.registry` has the functions.
"""

from __future__ import annotations

import asyncio

from treadle.functions.registry import Registry
from treadle.functions.spec import FunctionSpec


class PlacedFunctions:
    """May be called from any thread. Made on the registry's loop."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._loop = asyncio.get_running_loop()

    def put(self, spec: FunctionSpec) -> None:
        """Have a function, in place of one of the same name."""
        self._loop.call_soon_threadsafe(self._registry.place, spec)

    def remove(self, name: str) -> None:
        """Have it no more."""
        self._loop.call_soon_threadsafe(self._registry.displace, name)

"""Where the local cloud reaches a function: an address below our endpoint, wherever that is at the moment.

Owns its form. A topic remembers the address that a function subscribed with; the endpoint may have moved since. Pure.
"""

from __future__ import annotations

import re
from typing import Final

NOTIFICATIONS: Final = "/_treadle/sns"
"""Below it, topics' messages for functions are taken."""

_OURS: Final = re.compile(rf"http://[^/]+(?={NOTIFICATIONS}/)")


def address_of(function: str, endpoint: str) -> str:
    """The address of a function, by its name or ARN."""
    return f"{endpoint}{NOTIFICATIONS}/{function.rpartition('function:')[2].partition(':')[0]}"


def current(address: str, endpoint: str) -> str:
    """An address as it is now that our endpoint is this one."""
    return _OURS.sub(endpoint, address)

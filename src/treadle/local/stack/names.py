"""Names of resources that the template does not name.

Owns that they are the same every time, differ between stacks and resources, and keep their hash when they are cut to
the length that a service allows: two long names must not become one.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_HASH: Final = 8


def physical_name(stack: str, resource: str, limit: int = 63, *, lower: bool = False) -> str:
    """`stack-Resource-1A2B3C4D`, at most `limit` characters."""
    digest = hashlib.sha256(f"{stack}\0{resource}".encode()).hexdigest()[:_HASH].upper()
    text = f"{stack}-{resource}"[: limit - _HASH - 1] + f"-{digest}"
    return text.lower() if lower else text


def stack_name(folder: str) -> str:
    """A stack's name from that of a folder: letters, digits and hyphens, beginning with a letter."""
    text = re.sub(r"[^A-Za-z0-9-]+", "-", folder).strip("-")
    return text[:40] if re.match(r"[A-Za-z]", text) else f"app-{text}"[:40].rstrip("-")

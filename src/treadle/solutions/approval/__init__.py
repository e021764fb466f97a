"""A workflow that calls three APIs, waits for somebody's approval in Jira, and keeps what came of it.

Owns the folder with the template, the definition and the functions; README.md explains it. Nothing here is imported by
what is deployed. Neighbour: `treadle.cli.approval`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
"""Where the template is."""

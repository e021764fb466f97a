"""The log of a server: lines for people, or one JSON object a line for machines.

Owns the form of a line alone; what is logged is everybody's, and never has data of executions or tokens.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """One object a line: `time` (UTC, ISO 8601), `level`, `logger`, `message`, and `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def begin_logging(form: str) -> None:
    """Log warnings to the standard error as "text" or "json"."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter("treadle: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)

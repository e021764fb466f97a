"""Sends the decisions of callbacks that died: called every minute, so that no decision waits for somebody to repeat it.

A claim whose lease has run out is taken over in a conditional write, as a repeated callback does, so the two do not
disturb each other. Neighbours: `ballot`, `approvals`.
"""

from __future__ import annotations

import json
import time
from typing import Any

from approvals import change, settle, unsent
from ballot import take_over
from web import Refusal, log

ENOUGH_MILLISECONDS = 25_000
"""What one more decision may take; the rest is for the next minute."""


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Send what is overdue. Gives how many decisions were sent, and how many must wait for the next minute."""
    now = int(time.time())
    sent = left = 0
    for row in unsent(now):
        write = take_over(row, now)
        if write is None:
            continue
        if context.get_remaining_time_in_millis() < ENOUGH_MILLISECONDS:
            left += 1
            continue
        changed = change(row, write.changes)
        if changed is None:
            continue
        try:
            settle(changed, write)
            sent += 1
        except Refusal:
            left += 1
    if sent or left:
        log.warning(json.dumps({"swept": sent, "left": left}))
    return {"sent": sent, "left": left}

"""The callback endpoint: a vote from Jira resumes or fails the workflow that waits for it.

The vote and the claim are one conditional write, so of racing callbacks one wins. Neighbours: `jira` reads, `ballot`
decides, `approvals` writes and sends, `sweep` sends what a callback that died has left.
"""

from __future__ import annotations

import time
from typing import Any

from approvals import change, find, settle, told, use
from ballot import Duplicate, take
from credentials import require_caller, secret_of
from jira import read, require_recent
from web import Refusal, Request, serve

ATTEMPTS = 40

_secret = secret_of("CALLBACK_SECRET")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one webhook."""
    return serve(event, _take)


def _take(request: Request) -> dict[str, Any]:
    now = time.time()
    nonce = require_caller(request, _secret, now)
    if nonce is not None:
        use(nonce, int(now))
    said = read(request, int(now))
    if said.vote is None:
        return {"story": said.story, "ignored": "The change decides nothing."}
    for _ in range(ATTEMPTS):
        row = find(said.story, said.execution)
        require_recent(said, row)
        taken = take(row, said.vote)
        if isinstance(taken, Duplicate):
            return told(row, duplicate=True)
        changed = change(row, taken.changes)
        if changed is None:
            continue
        return told(changed) if taken.decision is None else told(settle(changed, taken))
    raise Refusal(503, "Busy", "Too many callbacks at once: try again.", retry_after=1)

"""What Jira says, as a vote: the two kinds of webhook, told apart by what they carry.

An automation rule ("Send web request") has a body that its author writes: story, status, message, approver. An
administrator's webhook has a fixed body: the issue, its change log and the user. Pure. Sources: Jira Cloud 'Webhooks',
'Automation: send web request'.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ballot import Outcome, Vote
from web import Refusal, Request, object_of

LONGEST_MESSAGE = 2000
CLOCK_SECONDS = 300
"""How far the clock of Jira may be from ours."""
SUCCESS: dict[str, Outcome] = {"success": "success", "approved": "success", "failure": "failure", "rejected": "failure"}


@dataclass(frozen=True)
class Said:
    """A vote about a story, for one execution or for the one that waits. No vote: the change decides nothing.

    `at`: when it happened, in seconds since 1970, where the sender says and signs it.
    """

    story: str
    execution: str | None
    vote: Vote | None
    at: int | None = None


def read(request: Request, now: int) -> Said:
    """What a webhook says. Raises Refusal where something is missing."""
    body = request.json()
    delivery = request.headers.get("x-atlassian-webhook-identifier") or request.headers.get("idempotency-key")
    if delivery is not None and not 1 <= len(delivery) <= 200:
        raise Refusal(400, "InvalidHeader", "The identifier of the delivery must have 1 to 200 characters.")
    return _event(body, delivery, now) if "webhookEvent" in body else _rule(body, delivery, now)


def _rule(body: dict[str, Any], delivery: str | None, now: int) -> Said:
    execution = body.get("execution")
    if execution is not None and not (isinstance(execution, str) and 1 <= len(execution) <= 90):
        raise Refusal(400, "InvalidBody", "execution must be the name of an execution.")
    outcome = SUCCESS.get(str(body.get("status", "")).lower())
    if outcome is None:
        raise Refusal(400, "InvalidBody", f"status must be one of {', '.join(SUCCESS)}.")
    who = body.get("approver", "automation")
    return Said(_story(body.get("story")), execution, _vote(who, outcome, body.get("message", ""), now, delivery))


def _event(body: dict[str, Any], delivery: str | None, now: int) -> Said:
    issue = object_of(body.get("issue"))
    story = _story(issue.get("key"))
    listed = object_of(body.get("changelog")).get("items")
    changes = [object_of(each) for each in listed] if isinstance(listed, list) else []  # pyright: ignore[reportUnknownVariableType]
    reached = [str(each.get("toString", "")).lower() for each in changes if each.get("field") == "status"]
    if not reached:
        return Said(story, None, None)
    if reached[-1] in _statuses("APPROVED_STATUSES", "done,approved"):
        outcome: Outcome = "success"
    elif reached[-1] in _statuses("REJECTED_STATUSES", "rejected,declined"):
        outcome = "failure"
    else:
        return Said(story, None, None)
    user = object_of(body.get("user"))
    # Names can be changed by their owners, so they are not taken for an identity.
    who = user.get("accountId") or user.get("emailAddress") or user.get("name")
    comment = object_of(body.get("comment")).get("body")
    message = comment[:LONGEST_MESSAGE] if isinstance(comment, str) else f"The story is {reached[-1]}."
    return Said(story, None, _vote(who, outcome, message, now, delivery), _at(body.get("timestamp")))


def _at(milliseconds: Any) -> int:
    if not isinstance(milliseconds, int) or not 0 < milliseconds < 2**53:
        raise Refusal(400, "InvalidBody", "timestamp must be the milliseconds at which it happened, as Jira sends it.")
    return milliseconds // 1000


def require_recent(said: Said, row: Mapping[str, Any]) -> None:
    """Refuse what happened before the workflow began to wait: it was meant for another one, or is sent by a stranger.

    The signature of an administrator's webhook covers neither an address nor a nonce, so without this a delivery that
    somebody has kept could decide whatever waits for the story later. Retries come hours later and are let in.
    """
    if said.at is not None and said.at < int(row.get("since", 0)) - CLOCK_SECONDS:
        raise Refusal(409, "BeforeTheWait", "This happened before the workflow began to wait; decide it again.")


def _vote(who: Any, outcome: Outcome, message: Any, now: int, delivery: str | None) -> Vote:
    if not isinstance(who, str) or not 1 <= len(who) <= 200 or not who.isprintable():
        raise Refusal(400, "InvalidBody", "The approver must be a text of 1 to 200 characters, in one line.")
    if not isinstance(message, str) or len(message) > LONGEST_MESSAGE:
        raise Refusal(400, "InvalidBody", f"message must be a text of at most {LONGEST_MESSAGE} characters.")
    return Vote(who, outcome, message, now, delivery)


def _story(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z][A-Z0-9_]{1,30}-[0-9]{1,10}", value):
        raise Refusal(400, "InvalidBody", "story must be the key of a story, such as PROJ-12345.")
    return value


def _statuses(variable: str, default: str) -> set[str]:
    return {each.strip().lower() for each in os.environ.get(variable, default).split(",")}

"""The notification API: stakeholders learn that a story waits for them, by a topic that they subscribe to.

A request that is repeated with the same Idempotency-Key tells them once. Neither token nor link that decides anything
is sent: whoever is told still has to be let in by Jira.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from aws import client, code_of, table
from botocore.exceptions import BotoCoreError, ClientError
from credentials import require_bearer, secret_of
from once import once
from web import Refusal, Request, log, serve

MOST = 50
_ADDRESS = re.compile(r"[^@\s\x00-\x1f]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_SUBJECTS = {
    "request": "{story} waits for approval",
    "reminder": "Reminder: {story} still waits for approval",
    "escalation": "{story} will soon fail for want of approval",
}

_secret = secret_of("API_SECRET")
_sns = client("sns", {"total_max_attempts": 1})
_keys = table(os.environ["NOTIFICATIONS"])


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """POST /notification {"kind", "story", "environment", "recipients", "packages", "execution"}."""
    return serve(event, _notify)


def _notify(request: Request) -> dict[str, Any]:
    require_bearer(request, _secret)
    body = request.json()
    kind, story, recipients = body.get("kind"), body.get("story"), body.get("recipients")
    if kind not in _SUBJECTS:
        raise Refusal(422, "UnknownKind", f"kind must be one of {', '.join(_SUBJECTS)}.")
    if not isinstance(story, str) or not 1 <= len(story) <= 50 or not story.isprintable():
        raise Refusal(422, "InvalidStory", "story must be the key of a story.")
    if not isinstance(recipients, list) or not 1 <= len(recipients) <= MOST:  # pyright: ignore[reportUnknownArgumentType]
        raise Refusal(422, "InvalidRecipients", f"recipients must be a list of 1 to {MOST} addresses.")
    addresses = [str(each) for each in recipients]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    wrong = [each for each in addresses if not _ADDRESS.fullmatch(each)]
    if wrong:
        raise Refusal(422, "InvalidRecipients", "Some recipients are no e-mail addresses.", faults=wrong)
    told = {name: body.get(name) for name in ("story", "environment", "packages", "execution")}
    message = {"kind": kind, "recipients": addresses, **told}
    return once(_keys, request, lambda: _publish(str(kind), _SUBJECTS[kind].format(story=story), message))


def _publish(kind: str, subject: str, message: dict[str, Any]) -> dict[str, Any]:
    try:
        sent = _sns.publish(
            TopicArn=os.environ["TOPIC"],
            Subject=subject[:100],
            Message=json.dumps(message),
            MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}},
        )
    except (BotoCoreError, ClientError) as error:
        log.error(json.dumps({"unsent": code_of(error) if isinstance(error, ClientError) else type(error).__name__}))
        raise Refusal(503, "Unavailable", "The topic was not reached: try again.", retry_after=5) from None
    return {"kind": kind, "notified": message["recipients"], "message": sent["MessageId"]}

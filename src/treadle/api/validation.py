"""ValidateStateMachineDefinition: what lint says of a definition, in AWS's shape."""

from __future__ import annotations

from treadle.api.definitions import judged
from treadle.api.host import Host
from treadle.api.request import Answer, Request
from treadle.language.diagnostics import Diagnostic

_MOST = 100
"""AWS 'ValidateStateMachineDefinition', maxResults: 0 stands for this."""


async def validate(host: Host, request: Request) -> Answer:
    """ValidateStateMachineDefinition."""
    given = request.given
    wanted = ("ERROR", "WARNING") if given.get("severity") == "WARNING" else ("ERROR",)
    found = await judged(given["definition"], given.get("type", "STANDARD"))
    shown = [_shown(each) for each in found if each.severity in wanted]
    limit: int = given.get("maxResults") or _MOST
    return {
        "result": "FAIL" if any(each.severity == "ERROR" for each in found) else "OK",
        "diagnostics": shown[:limit],
        "truncated": len(shown) > limit,
    }


def _shown(diagnostic: Diagnostic) -> Answer:
    location = {"location": diagnostic.location} if diagnostic.location else {}
    return {
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        **location,
    }

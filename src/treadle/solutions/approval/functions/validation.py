"""The validation API: whether the packages of a release have all that they require."""

from __future__ import annotations

from typing import Any

from credentials import require_bearer, secret_of
from packages import read_packages, unmet
from web import Refusal, Request, serve

_secret = secret_of("API_SECRET")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """POST /validation {"story", "packages"}."""
    return serve(event, _validate)


def _validate(request: Request) -> dict[str, Any]:
    require_bearer(request, _secret)
    body = request.json()
    packages = read_packages(body.get("packages"))
    faults = list(unmet(packages))
    if faults:
        raise Refusal(422, "UnmetRequirements", "The release is not complete.", faults=faults)
    checked = sum(len(each.requires) for each in packages)
    return {"valid": True, "packages": [f"{each.id} {each.version}" for each in packages], "requirements": checked}

"""How tasks are ended from outside: by whoever has the task token."""

from __future__ import annotations

from treadle.api.host import Host
from treadle.api.payloads import read_json
from treadle.api.request import Answer, Request
from treadle.errors import ApiError


async def succeed(host: Host, request: Request) -> Answer:
    """SendTaskSuccess."""
    given = request.given
    fault, output = read_json(given["output"])
    if fault is not None:
        # Observed on AWS: of two faults it tells of the token.
        host.engine.check_token(given["taskToken"])
        raise ApiError("InvalidOutput", f"Invalid Output: '{fault}'")
    await host.engine.succeed_task(given["taskToken"], output)
    return {}


async def fail(host: Host, request: Request) -> Answer:
    """SendTaskFailure."""
    given = request.given
    await host.engine.fail_task(given["taskToken"], given.get("error"), given.get("cause"))
    return {}


async def heartbeat(host: Host, request: Request) -> Answer:
    """SendTaskHeartbeat."""
    await host.engine.heartbeat_task(request.given["taskToken"])
    return {}

"""The pages of a server that tell how it is: which path has what. Every way to start a server uses this one.

async with observing(host) as pages:
    app = Endpoint({...}, pages=pages)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from treadle.api.endpoint import Backend
from treadle.api.host import Host
from treadle.observation.health import Health
from treadle.observation.metrics import Metrics
from treadle.observation.stream import Stream
from treadle.observation.traces import tracing

PATHS: Final = ("/health", "/metrics", "/events")


@asynccontextmanager
async def observing(host: Host) -> AsyncGenerator[Mapping[str, Backend]]:
    """Watch an open host; gives the pages by their paths."""
    metrics = Metrics(host)
    stream = Stream(host)
    watching = [host.commits.subscribe(each) for each in (metrics.committed, stream.committed)]
    try:
        async with tracing(host):
            yield dict(zip(PATHS, (Health(host.store), metrics.page, stream.page), strict=True))
    finally:
        for unsubscribe in watching:
            unsubscribe()

"""GetExecutionHistory: the journal as AWS shows it, page by page."""

from __future__ import annotations

from treadle.api import pages
from treadle.api.executions import execution_arn
from treadle.api.host import Host
from treadle.api.request import Answer, Request, seconds
from treadle.machine.journal import Entry, history_event


async def get(host: Host, request: Request) -> Answer:
    """GetExecutionHistory."""
    given = request.given
    arn = execution_arn(request)
    position, limit = host.pages.position(given, request.operation), pages.size(given)
    backwards: bool = given.get("reverseOrder", False)
    entries = [entry for entry in await host.engine.journal(arn.text) if entry.id]
    # Ids are contiguous from 1. A history that grew meanwhile does not move the pages of either direction.
    if backwards:
        end = len(entries) if position is None else int(position) - 1
        page = entries[max(0, end - limit) : end][::-1]
        more = end > limit
    else:
        begin = 0 if position is None else int(position)
        page = entries[begin : begin + limit]
        more = begin + limit < len(entries)
    with_data: bool = given.get("includeExecutionData", True)
    return {
        "events": [_shown(each, with_data) for each in page],
        "nextToken": host.next_page(request, str(page[-1].id) if more else None),
    }


def _shown(entry: Entry, with_data: bool) -> Answer:
    event = history_event(entry, with_data)
    event["timestamp"] = seconds(entry.at)
    return event

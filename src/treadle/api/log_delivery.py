"""Histories as logs: what a state machine's loggingConfiguration asks for, delivered to CloudWatch Logs.

AWS 'Logging in CloudWatch Logs': delivery is best effort. So nothing waits for it, what does not fit into the queue is
lost, and a group that is gone costs a warning. Records are delivered to an endpoint that was named, never anywhere
else. Owns the queue and the calls; the form of the records is runtime.execution_log's.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from treadle.integrations.aws.sessions import Keys
from treadle.language.scope import Json
from treadle.machine.journal import Entry, json_text
from treadle.runtime.execution_log import log_records
from treadle.runtime.ports import Commit, Summary

log = logging.getLogger("treadle.api")

_QUEUE: Final = 1_000
"""Commits whose records wait."""
_RECORDS: Final = 10_000
"""AWS 'PutLogEvents': records of one call; their bytes are bounded by one page of a journal being far smaller."""
_BYTES: Final = 1_000_000
_OVERHEAD: Final = 26
"""AWS 'PutLogEvents': what a record costs beside its text."""
_LAST_SECONDS: Final = 3.0
"""How long delivery may go on when the server stops."""

Configuration = Mapping[str, Any]
"""A loggingConfiguration."""
Find = Callable[[Summary], Awaitable[Configuration]]
"""The loggingConfiguration of an execution."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Entries of one execution, to be delivered."""

    summary: Summary
    entries: Sequence[Entry]


class LogDelivery:
    """Delivers the histories of executions. `endpoint` is the URL of CloudWatch Logs; without one nothing is sent."""

    def __init__(self, endpoint: str | None, find: Find, keys: Keys | None = None) -> None:
        self._endpoint, self._find, self._keys = endpoint, find, keys
        self._queue: asyncio.Queue[_Batch] = asyncio.Queue(_QUEUE)
        self._silent: dict[str, bool] = {}  # by revision: whether it logs nothing
        self._streams: dict[str, str] = {}
        self._clients: dict[str, Any] = {}
        self._lost = 0

    def committed(self, commit: Commit) -> None:
        """An execution has made a step."""
        self.offer(commit.summary, commit.entries)

    def offer(self, summary: Summary, entries: Sequence[Entry]) -> None:
        """Deliver what is wanted of these entries, when there is time."""
        if self._endpoint is None or summary.revision is None or summary.is_map_run:
            return
        if self._silent.get(summary.revision):
            return
        try:
            self._queue.put_nowait(_Batch(summary, entries))
        except asyncio.QueueFull:
            self._lost += 1
            if self._lost.bit_count() == 1:
                log.warning("CloudWatch Logs is too slow: %d steps of executions were not logged", self._lost)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            batch = await self._queue.get()
            try:
                await self._deliver(batch)
            except Exception as error:
                log.warning("the log of %s was not delivered: %s", batch.summary.arn, error)
            finally:
                self._queue.task_done()

    async def drain(self) -> None:
        """Give what is waiting a last chance."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), _LAST_SECONDS)

    async def has_group(self, arn: str) -> bool:
        """Whether a log group is there; where nothing is sent, any may be."""
        if self._endpoint is None:
            return True
        name = _group_name(arn)

        def look() -> bool:
            found = self._client(arn).describe_log_groups(logGroupNamePrefix=name)
            return any(each["logGroupName"] == name for each in found["logGroups"])

        try:
            return await asyncio.to_thread(look)
        except Exception as error:
            log.warning("CloudWatch Logs cannot be asked for %s: %s", name, error)
            return True

    async def _deliver(self, batch: _Batch) -> None:
        summary = batch.summary
        configuration = await self._find(summary)
        level, destinations = configuration.get("level", "OFF"), list[Any](configuration.get("destinations", ()))
        if level == "OFF" or not destinations:
            if summary.revision is not None:
                self._silent[summary.revision] = True
            return
        data: bool = configuration.get("includeExecutionData", False)
        # What the summary counts, it counts with these entries.
        before = summary.redrives - sum(entry.type == "ExecutionRedriven" for entry in batch.entries)
        records = list(
            log_records(summary.arn, batch.entries, level, data, redrives=before, map_run=summary.map_run_arn)
        )
        if records:
            group: str = destinations[0]["cloudWatchLogsLogGroup"]["logGroupArn"]
            await asyncio.to_thread(self._put, group, summary, records)

    def _put(self, arn: str, summary: Summary, records: Sequence[Mapping[str, Json]]) -> None:
        """One call per page of records, in a thread."""
        client, group = self._client(arn), _group_name(arn)
        stream = self._streams.get(f"{arn}:{summary.machine_arn}")
        if stream is None:
            name = summary.machine_arn.rpartition(":")[2]
            stream = f"states/{name}/{time.strftime('%Y-%m-%d-%H-%M', time.gmtime())}/{uuid.uuid4().hex[:8]}"
            client.create_log_stream(logGroupName=group, logStreamName=stream)
            self._streams[f"{arn}:{summary.machine_arn}"] = stream
        page: list[dict[str, Any]] = []
        size = 0
        for record in records:
            message = json_text(dict(record))
            weight = len(message.encode()) + _OVERHEAD
            if page and (size + weight > _BYTES or len(page) == _RECORDS):
                client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=page)
                page, size = [], 0
            page.append({"timestamp": int(str(record["event_timestamp"])), "message": message})
            size += weight
        client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=page)

    def _client(self, arn: str) -> Any:
        """A client for the region of a log group. boto3 is imported when the first record is sent."""
        region = arn.split(":")[3]
        client = self._clients.get(region)
        if client is None:
            import boto3
            from botocore.config import Config

            config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
            # The SDK's types would bring a few hundred services with them.
            session: Any = boto3.Session()
            # A local endpoint needs a signature, yet nobody's credentials.
            keys = self._keys or (None if session.get_credentials() else Keys("treadle", "treadle"))
            client = self._clients[region] = session.client(
                "logs",
                region,
                endpoint_url=self._endpoint,
                aws_access_key_id=keys and keys.access_key,
                aws_secret_access_key=keys and keys.secret_key,
                config=config,
            )
        return client


def _group_name(arn: str) -> str:
    return arn.split(":log-group:", 1)[1].removesuffix(":*")

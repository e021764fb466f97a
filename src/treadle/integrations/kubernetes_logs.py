"""The logs of a Kubernetes job: `LogOptions` of `eks:runJob.sync`.

Owns which logs are read and how they are told. Retrieval is best effort, as on AWS: a log that cannot be read has its
error in its place. Must never read more than a task may give. Neighbour: kubernetes.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, Self
from urllib.parse import quote

import msgspec

from treadle.errors import StatesError
from treadle.integrations.arguments import members
from treadle.integrations.aws.connectors import at
from treadle.integrations.http_client import LARGEST
from treadle.language.scope import Json
from treadle.language.values import is_array, json_text

_PAGE: Final = 20
"""Pods that are asked for at once: their descriptions are long, and an answer has a largest size."""


class Ask(Protocol):
    """Reads from the cluster. Raises StatesError."""

    def __call__(self, path: str, query: Json = None, /) -> Awaitable[Json]:
        """What stands at a path."""
        ...


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How logs are read: `raw`, or parsed where they are JSON; `query` is for each."""

    raw: bool = False
    query: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @classmethod
    def of(cls, given: Json) -> Self | None:
        """Read `LogOptions`; None where no logs are wanted. Raises StatesError States.Runtime."""
        options = members(given or {}, "LogOptions")
        if options.get("RetrieveLogs") is not True:
            return None
        query = members(options.get("LogParameters") or {}, "LogOptions.LogParameters")
        return cls(options.get("RawLogs") is True, query)


async def logs_of(ask: Ask, namespace: str, job: str, options: LogOptions) -> Json:
    """The logs by pod and container: `{"pods": {"p": {"containers": {"c": {"log": ...}}}}}`.

    Raises StatesError States.DataLimitExceeded for more than a task may give.
    """
    place = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods"
    pods: dict[str, Json] = {}
    size, more = 0, ""
    while True:
        query = {"labelSelector": [f"job-name={job}"], "limit": [str(_PAGE)], "continue": [more] if more else []}
        try:
            page = await ask(place, query)
        except StatesError as error:
            return {"pods": pods, **_told(error)}
        found = at(page, "items")
        for pod in found if is_array(found) else []:
            name = str(at(pod, "metadata.name"))
            containers: dict[str, Json] = {}
            for container in _containers(pod):
                log = await _log(ask, f"{place}/{quote(name, safe='')}/log", container, options)
                containers[container] = log
                size += len(json_text(log))
                if size > LARGEST:
                    cause = f"The logs have more than {LARGEST} bytes: LogParameters can make them less."
                    raise StatesError("States.DataLimitExceeded", cause)
            pods[name] = {"containers": containers}
        more = str(at(page, "metadata.continue") or "")
        if not more:
            return {"pods": pods}


def _containers(pod: Json) -> list[str]:
    found = at(pod, "spec.containers")
    return [str(at(each, "name")) for each in found] if is_array(found) else []


async def _log(ask: Ask, path: str, container: str, options: LogOptions) -> Json:
    try:
        text = await ask(path, {**options.query, "container": [container]})
    except StatesError as error:
        return _told(error)
    if options.raw or not isinstance(text, str):
        return {"log": text}
    try:
        parsed: Json = msgspec.json.decode(text)
        json_text(parsed)
    except (ValueError, RecursionError):
        return {"log": text}
    return {"log": parsed}


def _told(error: StatesError) -> dict[str, Json]:
    return {"error": error.name, "cause": error.cause}

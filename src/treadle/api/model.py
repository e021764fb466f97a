"""The service model of Step Functions, as botocore ships it: operations, shapes, errors.

Owns where the model is found and how a shape checks a request (`constraints`). It is read once, when the first request
comes, and without importing botocore: that keeps the start short.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from treadle.api.constraints import Check, check_of

Shape: TypeAlias = Mapping[str, Any]

_SERVICE: Final = "stepfunctions/2016-11-23"
_STATUS: Final = {"ConflictException": 409, "ServiceQuotaExceededException": 402}
"""HTTP statuses that the model tells only in its prose; the others are 400."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name, and the check of its requests."""

    name: str
    check: Check


def model() -> Shape:
    """The whole model."""
    return read_model(_SERVICE)


@cache
def read_model(service: str) -> Shape:
    """The model of a service, named by its folder among botocore's data."""
    spec = find_spec("botocore")
    assert spec is not None, "botocore is a dependency"
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "data" / service / "service-2.json.gz"
    return msgspec.json.decode(gzip.decompress(path.read_bytes()))


@cache
def operation(name: str) -> Operation | None:
    """An operation by its name, compiled the first time; None where there is none."""
    service = model()
    if name not in service["operations"]:
        return None
    return Operation(name, check_of(service["operations"][name]["input"]["shape"], service["shapes"]))


def status_of(code: str) -> int:
    """The HTTP status of an error."""
    return _STATUS.get(code, 400)

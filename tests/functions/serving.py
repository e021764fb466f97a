"""Processes for the functions of a test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from treadle.functions import FunctionSpec, ProcessFunctions


def serving(specs: Iterable[FunctionSpec], **options: Any) -> ProcessFunctions:
    """Functions that run in processes; closed by `async with`."""
    return ProcessFunctions({spec.name: spec for spec in specs}, **options)

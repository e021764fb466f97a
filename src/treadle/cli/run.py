"""`treadle run`: one execution, from its start or from where it stopped, to its end."""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from treadle.cli.app import command
from treadle.cli.follow import Display, Interrupted, StandsStill, follow
from treadle.cli.inputs import Source, WorkflowType, either, read_definition, source_of
from treadle.cli.problems import FAILED, OK, Problem, run_async
from treadle.cli.session import (
    DEFAULT_STORE,
    Before,
    Setup,
    at_work,
    before,
    clock_of,
    opened,
    record_command,
)
from treadle.cli.show import clean, console, json_text, lasting, short, status_text, write, write_json
from treadle.errors import NotFound
from treadle.language.scope import Json
from treadle.machine.journal import Entry, history
from treadle.machine.journal import json_text as compact
from treadle.runtime.clock import VirtualClock
from treadle.runtime.engine import Engine, Result, execution_arn
from treadle.runtime.ports import Commit, Store, Summary
from treadle.stores import MemoryStore, open_store
from treadle.testing.world import START

MEMORY: Final = "memory:"


@dataclass(frozen=True, slots=True)
class Task:
    """What `run`, `redrive` and `fork` have in common: bring one execution to its end in a store.

    `begin` has the engine start or go on; `resumed` is what the reader is told when there is something before.
    """

    source: Source
    setup: Setup
    arn: str
    url: str
    as_json: bool
    go_on: str


def describe(result: Result, journal: list[Entry], as_json: bool, out: Console) -> int:
    """Show how an execution ended; gives the exit status."""
    summary = result.summary
    if as_json:
        write_json(document(result, journal))
    else:
        took = lasting((summary.stopped_at or summary.started_at) - summary.started_at)
        told = ": ".join(short(each, 2000) for each in (summary.error, summary.cause) if each)
        line = status_text(summary.status)
        line.append(f" {told}" if told else "")
        line.append(f" after {took}, {journal[-1].id} events", "dim")
        write(line, out)
        if summary.status == "SUCCEEDED":
            click.echo(json_text(result.output))
    return OK if summary.status == "SUCCEEDED" else FAILED


def document(result: Result, journal: list[Entry]) -> dict[str, Json]:
    """An execution as JSON: the names are those of AWS's DescribeExecution, data is parsed, times are seconds."""
    summary = result.summary
    told: dict[str, Json] = {
        "executionArn": summary.arn,
        "stateMachineArn": summary.machine_arn,
        "name": summary.name,
        "status": summary.status,
        "startDate": summary.started_at,
        "stopDate": summary.stopped_at,
        "input": result.input,
    }
    if summary.status == "SUCCEEDED":
        told["output"] = result.output
    told |= {name: value for name, value in (("error", summary.error), ("cause", summary.cause)) if value is not None}
    if summary.redrives:
        told["redriveCount"] = summary.redrives
    told["history"] = history(journal)
    return told

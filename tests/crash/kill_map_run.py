"""The process that test_kill_map_run.py kills: a distributed Map over a file, its results written beside it.

    python kill_map_run.py FOLDER KIND      KIND is STANDARD or EXPRESS

It starts the Map over FOLDER/rows.csv or goes on with it, writes a line to FOLDER/ledger for each call of a task, and
ends when the Map has. Lines need not be flushed to the disk: the machine lives on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from treadle.errors import ApiError
from treadle.items import Access, DataSets, ResultFiles
from treadle.runtime.engine import Engine
from treadle.runtime.machines import StateMachine
from treadle.runtime.ports import Call, Redelivery
from treadle.stores import SqliteStore

AT_ONCE = 40
NAME = "rows"


def machine(folder: Path, kind: str) -> StateMachine:
    """Each row is a child that calls a function."""
    bucket = folder.as_uri()
    each = {
        "Type": "Map",
        "Label": "each",
        "MaxConcurrency": AT_ONCE,
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Parameters": {"Bucket": bucket, "Key": "rows.csv"},
        },
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
            "StartAt": "Call",
            "States": {
                "Call": {
                    "Type": "Task",
                    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
                    "End": True,
                }
            },
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": bucket, "Prefix": "out"},
        },
        "End": True,
    }
    return StateMachine(
        arn=f"arn:aws:states:us-east-1:123456789012:stateMachine:{NAME}",
        name=NAME,
        definition=json.dumps({"StartAt": "Each", "States": {"Each": each}}),
        role_arn="arn:aws:iam::1:role/r",
    )


class Noted:
    """Calls that take a moment, each a line in the ledger."""

    redelivery: Redelivery = "again"

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def call(self, call: Call) -> Any:
        os.write(self._file, f"{call.execution_arn}\n".encode())
        await asyncio.sleep(0.005)
        return call.arguments

    async def poll(self, call: Call) -> Any:
        raise AssertionError("these have no jobs")

    async def cancel(self, call: Call) -> None:
        raise AssertionError("these have no jobs")


async def main(folder: Path, kind: str) -> None:
    access = Access()
    noted = Noted(folder / "ledger")
    store = SqliteStore(folder / "treadle.db")
    async with Engine(store, {"lambda": noted}, reader=DataSets(access), writer=ResultFiles(access)) as engine:
        try:
            arn = (await engine.start(machine(folder, kind), {}, NAME)).arn
        except ApiError as error:
            assert error.code == "ExecutionAlreadyExists", error
            arn = engine.arn_of(machine(folder, kind), NAME)
        await engine.wait_closed(arn)
    await access.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))

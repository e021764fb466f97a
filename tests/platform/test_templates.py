"""Every template of examples/templates comes to life in one process after the other, and does what it is for."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from platform_up import Up, soon, up

from treadle.local.template.reading import find_template

FOLDER = Path(__file__).parents[2] / "examples" / "templates"


async def order_api(here: Up) -> None:
    async with aiohttp.ClientSession() as session:
        order = {"id": "7", "items": [{"price": 3, "count": 2}]}
        async with session.post(here.outputs["Url"], json=order) as answer:
            assert answer.status == 202
            execution = json.loads(await answer.text())["execution"]

    async def kept() -> Any:
        return (await here.call("dynamodb", "scan", TableName=here.physical("Orders")))["Items"]

    assert await soon(kept) == [{"id": {"S": "7"}, "total": {"N": "6"}}]
    assert execution.endswith(":order-7")


async def sign_off(here: Up) -> None:
    doing = asyncio.create_task(here.execute({"what": "holiday"}))
    message = json.loads(await here.receive(here.outputs["Queue"]))
    answer = json.dumps({"signed": True})
    await here.call("stepfunctions", "send_task_success", taskToken=message["token"], output=answer)
    assert json.loads((await doing)["output"]) == {"what": "holiday", "answer": {"signed": True}}


async def queue_worker(here: Up) -> None:
    await here.call("sqs", "send_message", QueueUrl=here.outputs["Queue"], MessageBody=json.dumps({"id": "job-1"}))

    async def kept() -> Any:
        listed = await here.call("s3", "list_objects_v2", Bucket=here.outputs["Bucket"])
        return [each["Key"] for each in listed.get("Contents", [])]

    assert await soon(kept) == ["job-1"]


async def nightly_report(here: Up) -> None:
    ended = await here.execute({"regions": ["north", "south"]})
    assert [each["region"] for each in json.loads(ended["output"])] == ["north", "south"]


async def failure_watch(here: Up) -> None:
    assert (await here.execute({"right": True}))["status"] == "SUCCEEDED"
    ended = await here.execute({"right": False})
    assert (ended["status"], ended["error"]) == ("FAILED", "Wrong")
    assert json.loads(await here.receive(here.outputs["Inbox"])) == f"{ended['name']} is FAILED"


async def settings(here: Up) -> None:
    batch, secret = json.loads((await here.execute({}))["output"])
    assert batch == "10"
    assert secret.startswith("settings-Token-")


async def trip_saga(here: Up) -> None:
    payload = json.dumps({"what": "flight", "trip": {}})
    called = await here.call("lambda", "invoke", FunctionName=here.physical("Book"), Payload=payload)
    assert json.loads(await asyncio.to_thread(called["Payload"].read)) == {"id": "flight-1"}
    assert (await here.execute({}))["status"] == "SUCCEEDED"
    ended = await here.execute({"full": ["hotel"]})
    assert ended["error"] == "NoTrip"
    history = await here.call("stepfunctions", "get_execution_history", executionArn=ended["executionArn"])
    entered = [
        each["stateEnteredEventDetails"]["name"] for each in history["events"] if "stateEnteredEventDetails" in each
    ]
    assert entered == ["Book flight", "Book hotel", "Cancel flight", "No trip"]


async def quick_quote(here: Up) -> None:
    address = f"{here.platform.endpoint}/_api/{here.physical('Api')}/v1/quotes/lamp"
    async with aiohttp.ClientSession() as session:
        async with session.get(address) as answer:
            assert answer.status == 401
        async with session.get(address, headers={"x-key": "wrong"}) as answer:
            assert answer.status == 403
        async with session.get(address, headers={"x-key": "let me in"}) as answer:
            assert (answer.status, json.loads(await answer.text())) == (200, {"item": "lamp", "price": 12})


async def nested_build(here: Up) -> None:
    output = json.loads((await here.execute({"module": "core"}))["output"])
    assert (output["module"], output["compiled"]) == ("core", {"warnings": 0})


async def fan_out(here: Up) -> None:
    assert (await here.execute({"news": "hello"}))["status"] == "SUCCEEDED"

    async def heard() -> Any:
        found = [await here.call("dynamodb", "scan", TableName=f"fan-out-{team}") for team in ("red", "blue")]
        return all(each["Items"] for each in found)

    assert await soon(heard)


PLAYS = {
    "order-api": order_api,
    "sign-off": sign_off,
    "queue-worker": queue_worker,
    "nightly-report": nightly_report,
    "failure-watch": failure_watch,
    "settings": settings,
    "trip-saga": trip_saga,
    "quick-quote": quick_quote,
    "nested-build": nested_build,
    "fan-out": fan_out,
}


@pytest.mark.parametrize("name", PLAYS)
def test_a_template_comes_to_life_and_does_its_work(name: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with up(FOLDER / name, tmp_path) as here:
            assert {step.made.support for step in here.deployed.steps} <= {"works", "accepted"}
            await PLAYS[name](here)

    asyncio.run(play())


def test_every_template_is_played() -> None:
    assert {each.name for each in FOLDER.iterdir()} == PLAYS.keys()
    for folder in FOLDER.iterdir():
        assert len((folder / "README.md").read_text().splitlines()) <= 10


def test_cfn_lint_finds_nothing_wrong_with_any_template() -> None:
    templates = [str(find_template(each)) for each in FOLDER.iterdir()]
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--", *templates]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stdout == ""
    assert ran.returncode == 0

"""Crash anywhere, for map runs: what their host forgets but the journal makes no difference either."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treadle.language.compile import plan_of
from treadle.language.plan import MapPlan
from treadle.language.scope import Json
from treadle.machine.commands import Cancel
from treadle.machine.interpreter import Moment
from treadle.machine.journal import Entry
from treadle.machine.map_events import (
    ChildClosed,
    CloseRun,
    EffectFailed,
    ItemsRead,
    ReadItems,
    ResultsWritten,
    RunCommand,
    RunEvent,
    RunRedriven,
    RunRequested,
    RunStopped,
    RunUpdated,
    StartChild,
    WriteResults,
)
from treadle.machine.map_run import MapRun, recover_run

DEEP = os.environ.get("TREADLE_DEEP") == "1"
RUNS = 2_000 * (20 if DEEP else 1)
STATUSES = ("SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
ENTRIES = msgspec.json.Decoder(list[Entry])


@dataclass(frozen=True)
class Setting:
    """One random map run: the settings its parent evaluated, and the items."""

    plan: MapPlan
    request: RunRequested
    pages: tuple[list[Json], ...]


@st.composite
def runs(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Setting:
    """A random map run; the simplest has no items."""
    selector = draw(st.sampled_from(({}, {"ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value"}})))
    if draw(st.integers(0, 19)) == 19:
        selector = {"ItemSelector": {"v.$": "$$.Map.Item.Value.missing"}}
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    processor = {"ProcessorConfig": config, "StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    machine = {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": processor, "End": True, **selector}}}
    plan = plan_of(machine).states["M"]
    assert isinstance(plan, MapPlan)
    batch = {"maxItems": draw(st.integers(1, 4) | st.none()), "maxBytes": draw(st.sampled_from((None, 40)))}
    batcher = draw(st.sampled_from((None, {**batch, "input": None}, {**batch, "input": {"b": 1}})))
    writer = {"resource": None, "arguments": None, "outputType": "JSON", "transformation": "NONE"}
    transformation = draw(st.sampled_from(("NONE", "COMPACT", "FLATTEN")))
    settings: dict[str, Json] = {
        "concurrency": draw(st.integers(0, 4)),
        "toleratedCount": draw(st.none() | st.integers(0, 3)),
        "toleratedPercentage": draw(st.none() | st.sampled_from((0, 25, 100))),
        "input": {},
        "taken": {},
        "variables": {},
        "context": {},
        "batcher": batcher,
        "writer": draw(
            st.sampled_from((None, {**writer, "transformation": transformation}, {**writer, "resource": "s3"}))
        ),
    }
    pages = tuple(draw(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=3)))
    if draw(st.booleans()):
        settings["reader"] = {"resource": "s3", "arguments": None, "config": None, "maxItems": None}
        return Setting(plan, RunRequested(settings=settings), pages)
    keys = [str(index) for index in range(len(pages[0]))] if draw(st.booleans()) else None
    return Setting(plan, RunRequested(settings=settings, items=list(pages[0]), keys=keys), pages)


@dataclass
class Host:
    """Keeps the journal and the outbox of one map run, and forgets the run itself when told to."""

    setting: Setting
    forgets: bool = False
    journal: list[Entry] = field(default_factory=list)
    outbox: dict[int, StartChild | ReadItems | WriteResults] = field(default_factory=dict)
    closings: list[CloseRun] = field(default_factory=list)
    most: int = 0

    def __post_init__(self) -> None:
        self.run = MapRun(self.setting.plan)

    def give(self, event: RunEvent) -> None:
        if self.forgets:
            self.run = recover_run(self.setting.plan, self.journal)
        entries, commands = self.run.handle(event, Moment(1.0, random.Random(0), str))
        self.journal += ENTRIES.decode(msgspec.json.encode(entries)) if self.forgets else entries
        for command in commands:
            self.take(command)
        assert self.run.waits() == self.outbox, "the outbox is what the run waits for"
        running = sum(isinstance(each, StartChild) for each in self.outbox.values())
        self.most = max(self.most, running)
        assert self.run.progress().children.running == running

    def take(self, command: RunCommand) -> None:
        match command:
            case Cancel(wait):
                self.outbox.pop(wait, None)
            case CloseRun():
                self.closings.append(command)
            case _:
                self.outbox[command.wait] = command


def live(host: Host, luck: random.Random) -> list[RunEvent]:
    """Run to the end with random children; gives the events that happened."""
    script: list[RunEvent] = []
    pages = list(host.setting.pages)

    def happen(event: RunEvent) -> None:
        script.append(event)
        host.give(event)
        if not isinstance(event, RunUpdated | RunRedriven):
            assert host.run.handle(event, Moment(1.0, luck, str)) == ([], []), "events may be repeated"

    happen(host.setting.request)
    redriven = 0
    while True:
        if host.run.status != "RUNNING":
            assert not host.outbox
            if host.run.status == "SUCCEEDED" or redriven == 2 or luck.random() < 0.5:
                return script
            redriven += 1
            happen(RunRedriven())
            continue
        chance = luck.random()
        if chance < 0.02:
            happen(RunStopped())
        elif chance < 0.06:
            happen(RunUpdated(concurrency=luck.randrange(4), tolerated_count=luck.choice((None, 0, 2))))
        else:
            happen(answer(host, luck, pages))


def answer(host: Host, luck: random.Random, pages: list[list[Json]]) -> RunEvent:
    """What one open wait of the run brings."""
    wait, command = luck.choice(sorted(host.outbox.items()))
    if not isinstance(command, StartChild) and luck.random() < 0.1:
        return EffectFailed(wait, "States.Broken", "it did")
    match command:
        case ReadItems(skip=skip):
            assert skip == host.run.backlog.read
            page = pages.pop(0) if pages else []
            keys = [f"k{skip + index}" for index in range(len(page))] if luck.random() < 0.5 else None
            return ItemsRead(wait, page, bool(pages), "S3://b/k", keys)
        case WriteResults():
            return ResultsWritten(wait, {"ResultWriterDetails": {}})
        case StartChild():
            return ChildClosed(wait, luck.choice(STATUSES))


def test_a_host_may_forget_a_map_run_after_every_event() -> None:
    seen = {"runs": 0, "entries": 0, "redrives": 0}

    @settings(
        max_examples=RUNS,
        deadline=None,
        database=None,
        derandomize=not DEEP,
        suppress_health_check=list(HealthCheck),
    )
    @given(runs(), st.integers(0, 2**32))
    def holds(setting: Setting, luck: int) -> None:
        host = Host(setting)
        script = live(host, random.Random(luck))
        forgetful = Host(setting, forgets=True)
        for event in script:
            forgetful.give(event)
        assert forgetful.journal == host.journal
        assert forgetful.closings == host.closings
        assert_accounts(host)
        seen["runs"] += 1
        seen["entries"] += len(host.journal)
        seen["redrives"] += host.run.redrives

    holds()
    assert seen["redrives"] > seen["runs"] / 20


def assert_accounts(host: Host) -> None:
    """Every item went to one child, in order, no more children ran than allowed, and a restart is told as one."""
    run = host.run
    read = [item for entry in host.journal for item in (entry.note.get("items") or ()) if "items" in entry.note]
    assert sum(run.sizes) == run.backlog.taken <= run.backlog.read == len(read)
    if run.status == "SUCCEEDED":
        assert run.backlog.taken == run.backlog.read
        assert len(host.closings) == run.redrives + 1
    if not any(entry.type == "RunUpdated" for entry in host.journal) and host.setting.request.settings["concurrency"]:
        assert host.most <= host.setting.request.settings["concurrency"]

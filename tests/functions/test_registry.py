"""Functions that come and go while treadle runs, and invocations that are made later."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from treadle.functions import FunctionBusy, FunctionNotFound, ProcessFunctions
from treadle.functions.records import LATEST, Alias, Code, Function, Settings, Version
from treadle.functions.registry import Registry
from treadle.runtime.ports import Store
from treadle.stores import MemoryStore, open_store

Run = Callable[[Any], Any]


def zipped(code: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("app.py", code)
    return sink.getvalue()


def version(registry: Registry, code: str, number: str = LATEST) -> Version:
    package = registry.code.keep(zipped(code))
    settings = Settings(runtime="python3.12", handler="app.handler", role="r", timeout=20)
    return Version(version=number, settings=settings, code=Code(digest=package.digest), revision=code, modified="")


def function(registry: Registry, code: str, **fields: Any) -> Function:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
    return Function(name="f", arn=arn, latest=version(registry, code), **fields)


def gives(value: str) -> str:
    return f"def handler(event, context):\n    return [{value!r}, context.function_name, context.function_version]\n"


@asynccontextmanager
async def at_work(store: Store, folder: Path) -> AsyncGenerator[Registry]:
    registry = Registry(store, folder, ProcessFunctions({}), retry_seconds=(0.0, 0.0))
    await store.open()
    await registry.load()
    owed = asyncio.create_task(registry.run())
    try:
        yield registry
    finally:
        owed.cancel()
        await asyncio.wait([owed])
        await registry.close()
        await store.close()


def test_a_change_is_seen_by_the_next_invocation_and_after_a_restart(run: Run, tmp_path: Path) -> None:
    async def tried() -> None:
        store = open_store(str(tmp_path / "data"))
        async with at_work(store, tmp_path / "code") as registry:
            await registry.change("f", lambda there: function(registry, gives("one")))
            assert (await registry.invoke("f", b"{}")).payload == b'["one", "f", "$LATEST"]'
            await registry.change("f", lambda there: function(registry, gives("two")))
            assert (await registry.invoke("f", b"{}")).payload == b'["two", "f", "$LATEST"]'
        async with at_work(open_store(str(tmp_path / "data")), tmp_path / "code") as registry:
            assert (await registry.invoke("f", b"{}")).payload == b'["two", "f", "$LATEST"]'
            await registry.change("f", lambda there: None)
            with pytest.raises(FunctionNotFound):
                await registry.invoke("f", b"{}")
        async with at_work(open_store(str(tmp_path / "data")), tmp_path / "code") as registry:
            assert "f" not in registry.names()

    run(tried())


def test_a_qualifier_leads_to_its_version(run: Run, tmp_path: Path) -> None:
    async def tried() -> None:
        async with at_work(MemoryStore(), tmp_path) as registry:
            made = function(
                registry,
                gives("latest"),
                versions={"1": version(registry, gives("first"), "1")},
                aliases={"live": Alias(name="live", version="1")},
            )
            await registry.change("f", lambda there: made)
            for qualifier, payload in (
                (None, b'["latest", "f", "$LATEST"]'),
                ("1", b'["first", "f", "1"]'),
                ("live", b'["first", "f", "1"]'),
            ):
                invoked = await registry.invoke("f", b"{}", qualifier=qualifier)
                assert invoked.payload == payload
            assert invoked.version == "1"
            with pytest.raises(FunctionNotFound, match="f:2"):
                await registry.invoke("f", b"{}", qualifier="2")

    run(tried())


def test_changes_of_one_function_come_one_after_the_other(run: Run, tmp_path: Path) -> None:
    async def tried() -> None:
        async with at_work(MemoryStore(), tmp_path) as registry:
            await registry.change("f", lambda there: function(registry, gives("one")))

            def tagged(key: str) -> Callable[[Function | None], Function]:
                def change(there: Function | None) -> Function:
                    assert there is not None
                    return Function(name="f", arn=there.arn, latest=there.latest, tags={**there.tags, key: "1"})

                return change

            await asyncio.gather(*(registry.change("f", tagged(str(number))) for number in range(20)))
            found = registry.get("f")
            assert found is not None and len(found.tags) == 20

    run(tried())


def test_reserved_concurrency_is_kept_to(run: Run, tmp_path: Path) -> None:
    async def tried() -> None:
        async with at_work(MemoryStore(), tmp_path) as registry:
            await registry.change("f", lambda there: function(registry, gives("one"), reserved=0))
            with pytest.raises(FunctionBusy):
                await registry.invoke("f", b"{}")

    run(tried())


def test_what_is_owed_is_made_after_a_restart(run: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    code = f"def handler(event, context):\n    open({str(ledger)!r}, 'a').write(event + '\\n')\n"

    async def tried() -> None:
        # Nobody makes the invocation here: the process ends before.
        store = open_store(str(tmp_path / "data"))
        await store.open()
        registry = Registry(store, tmp_path / "code", ProcessFunctions({}))
        await registry.load()
        await registry.change("f", lambda there: function(registry, code))
        await registry.submit("f", b'"owed"')
        with pytest.raises(FunctionNotFound):
            await registry.submit("g", b"{}")
        await registry.close()
        await store.close()
        assert not ledger.exists()

        store = open_store(str(tmp_path / "data"))
        async with at_work(store, tmp_path / "code"):
            while await store.documents("lambda-event"):
                await asyncio.sleep(0.01)
            assert ledger.read_text() == "owed\n"

    run(tried())


def test_an_event_that_fails_is_tried_three_times_and_then_given_up(run: Run, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    code = f"def handler(event, context):\n    open({str(ledger)!r}, 'a').write('x')\n    raise ValueError\n"

    async def tried() -> None:
        store = MemoryStore()
        async with at_work(store, tmp_path / "code") as registry:
            await registry.change("f", lambda there: function(registry, code))
            await registry.submit("f", b"{}")
            while await store.documents("lambda-event"):
                await asyncio.sleep(0.01)
        assert ledger.read_text() == "xxx"

    run(tried())
